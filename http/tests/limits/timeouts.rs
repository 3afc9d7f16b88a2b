//! However slow a client or a handler is, it costs a bounded time. The tests run in simulation,
//! where time is exact and costs nothing.

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::simulated::{Client, GET, assert_between, plain, secs, simulated, time_since};
use straightline::sched::{self, sim};
use straightline::{
    BodyError, Handler, IntoResponse, MinRate, OnDisconnect, Request, Response, StatusCode,
    Timeout, Timeouts,
};

#[test]
fn half_a_head_is_not_taken_for_part_of_the_next() {
    simulated(
        |builder| builder,
        plain,
        |address| {
            for half in
                ["GET /", "GET /x HTTP/1.1\r\nHost: example\r\nX: y", "HEAD / HTTP/1.1\r\nA"]
            {
                let mut late = Client::connect(address);
                assert!(late.send(half).rest().0.starts_with("HTTP/1.1 408 "));
                // The second client gets the buffers of the first one.
                let mut next = Client::connect(address);
                assert!(next.send("G").send(&GET[1..]).receive().ends_with("\r\n\r\n/x"));
            }
        },
    );
}

#[test]
fn a_head_that_comes_byte_by_byte_is_refused_in_time() {
    let counters = simulated(
        |builder| builder,
        plain,
        |address| {
            let mut client = Client::connect(address);
            for byte in GET.bytes().take(12) {
                client.send(&char::from(byte).to_string());
                sched::sleep(secs(1));
            }
            let (text, time) = client.rest();
            assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
            assert!(text.contains("Connection: close\r\n"), "{text}");
            assert_between(time, secs(15), secs(16));
        },
    );
    assert_eq!(counters.timed_out(Timeout::Head), 1);
    assert_eq!((counters.requests, counters.responses[3]), (0, 1));
}

#[test]
fn a_client_that_says_nothing_is_closed_without_a_word() {
    let counters = simulated(
        |builder| builder,
        plain,
        |address| {
            let (text, time) = Client::connect(address).rest();
            assert_eq!(text, "");
            assert_between(time, secs(15), secs(17));
        },
    );
    assert_eq!((counters.timed_out(Timeout::Head), counters.aborted), (1, 0));
}

#[test]
fn a_connection_rests_for_its_time_and_no_longer() {
    let counters = simulated(
        |builder| builder,
        plain,
        |address| {
            let mut client = Client::connect(address);
            for _ in 0..3 {
                assert!(client.send(GET).receive().ends_with("/x"));
                sched::sleep(secs(74));
            }
            assert!(client.send(GET).receive().ends_with("/x"));
            client.since = sim::elapsed();
            let (text, time) = client.rest();
            assert_eq!(text, "");
            assert_between(time, secs(75), secs(77));
        },
    );
    assert_eq!((counters.timed_out(Timeout::Idle), counters.requests), (1, 4));
    assert_eq!(counters.aborted, 0);
}

#[test]
fn no_timeouts_are_none() {
    let pace = MinRate::default()
        .with_idle(Duration::MAX)
        .with_bytes_per_second(0)
        .with_grace(Duration::MAX);
    let never = Duration::MAX;
    let timeouts = Timeouts::default()
        .with_head(never)
        .with_idle(never)
        .with_handler(never)
        .with_body(pace)
        .with_write(pace);
    let handler = || {
        |request: &mut Request| {
            sched::sleep(secs(86_400));
            request.body().read_to_vec(100)
        }
    };
    let counters = simulated(
        move |builder| builder.timeouts(timeouts),
        handler,
        |address| {
            let mut client = Client::connect(address);
            let parts = ["POST / HTTP/1.1\r\nHo", "st: a\r\nContent-Length: 2\r\n\r\n", "a", "b"];
            for part in parts {
                sched::sleep(secs(86_400));
                client.send(part);
            }
            assert!(client.receive().ends_with("ab"));
            sched::sleep(secs(86_400));
            client.send(GET).receive();
        },
    );
    assert_eq!(counters.timeouts, [0; Timeout::ALL.len()]);
}

const HALF: &str = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf";

#[test]
fn a_body_that_does_not_come_on_is_refused_whatever_its_handler_says() {
    let handler = || {
        |request: &mut Request| {
            let error = request.body().read_to_vec(1_000).expect_err("it is not whole");
            assert_eq!(error, BodyError::TimedOut(Timeout::Body));
            // A second read fails as well, without waiting.
            let begin = sched::turn_start();
            assert!(request.body().read(&mut [0]).is_err());
            assert_eq!(sched::turn_start(), begin);
            "I make do with it"
        }
    };
    for chunked in [false, true] {
        let counters = simulated(
            |builder| builder,
            handler,
            move |address| {
                let mut client = Client::connect(address);
                client.send(&if chunked {
                    HALF.replace("Content-Length: 1000", "Transfer-Encoding: chunked")
                        .replace("half", "8\r\nhalf")
                } else {
                    HALF.to_owned()
                });
                let (text, time) = client.rest();
                assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
                assert_between(time, secs(30), secs(31));
            },
        );
        assert_eq!(counters.timed_out(Timeout::Body), 1);
        assert_eq!((counters.answered, counters.aborted), (1, 0));
    }
}

#[test]
fn a_body_that_trickles_is_refused_once_its_grace_is_used_up() {
    let handler = || |request: &mut Request| request.body().read_to_vec(1_000);
    let counters = simulated(
        |builder| builder,
        handler,
        |address| {
            let mut client = Client::connect(address);
            client.send(HALF);
            for _ in 0..5 {
                sched::sleep(secs(10));
                client.send("."); // one byte is worth four milliseconds
            }
            let (text, time) = client.rest();
            assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
            assert_between(time, secs(60), secs(61));
        },
    );
    assert_eq!(counters.timed_out(Timeout::BodyRate), 1);
}

#[test]
fn a_slow_body_that_keeps_the_rate_takes_as_long_as_it_takes() {
    // The handler timeout is shorter, but the time spent waiting for the client does not count.
    let timeouts = Timeouts::default().with_handler(secs(5));
    let handler = || {
        |request: &mut Request| {
            request.body().read_to_vec(1 << 20).map(|body| body.len().to_string())
        }
    };
    let counters = simulated(
        move |builder| builder.timeouts(timeouts),
        handler,
        |address| {
            let mut client = Client::connect(address);
            let (pieces, piece) = (100, "x".repeat(2_500));
            let length = pieces * piece.len();
            client.send(&format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
            for _ in 0..pieces {
                sched::sleep(secs(10));
                client.send(&piece);
            }
            assert!(client.receive().ends_with(&length.to_string()));
        },
    );
    assert_eq!(counters.timeouts, [0; Timeout::ALL.len()]);
}

#[test]
fn a_request_may_have_times_of_its_own() {
    let handler = || {
        |request: &mut Request| {
            let pace = MinRate::default().with_idle(secs(300)).with_bytes_per_second(0);
            match request.path() {
                "/patient" => request.set_min_body_rate(pace),
                "/quick" => request.set_handler_timeout(secs(1)),
                _ => {}
            }
            let body = request.body().read_to_vec(10)?;
            if request.path() == "/quick" {
                sched::sleep(secs(2));
            }
            Ok::<_, BodyError>(body)
        }
    };
    let counters = simulated(
        |builder| builder,
        handler,
        |address| {
            let mut client = Client::connect(address);
            client.send("POST /patient HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
            sched::sleep(secs(299));
            assert!(client.send("p").receive().ends_with('p'));
            let begin = sim::elapsed();
            let answer = client.send("GET /quick HTTP/1.1\r\nHost: a\r\n\r\n").receive();
            assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
            assert_between(time_since(begin), secs(1), Duration::from_millis(1_100));
            // The next request has the timeouts of the server again.
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
            assert!(client.receive().starts_with("HTTP/1.1 408 "));
        },
    );
    assert_eq!(counters.timed_out(Timeout::Handler), 1);
    assert_eq!(counters.timed_out(Timeout::Body), 1);
}

#[test]
fn a_handler_past_its_time_unwinds_and_its_client_gets_a_504() {
    struct Dropped(Rc<RefCell<u32>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            *self.0.borrow_mut() += 1;
        }
    }
    let handler = || {
        let dropped = Rc::new(RefCell::new(0));
        move |request: &mut Request| {
            let _dropped = Dropped(Rc::clone(&dropped));
            match request.path() {
                "/count" => return dropped.borrow().to_string(),
                "/scope" => sched::scope(|scope| {
                    scope.spawn(|| {
                        let _child = Dropped(Rc::clone(&dropped));
                        sched::park();
                    });
                    sched::park();
                }),
                // A handler that swallows the unwinding is unwound again.
                "/stubborn" => drop(catch_unwind(AssertUnwindSafe(sched::park))),
                _ => {}
            }
            sched::park();
            "never".to_owned()
        }
    };
    let counters = simulated(
        |builder| builder,
        handler,
        |address| {
            let mut client = Client::connect(address);
            for path in ["/wait", "/scope", "/stubborn"] {
                let begin = sim::elapsed();
                let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
                let answer = client.send(&request).receive();
                assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
                assert_between(time_since(begin), secs(60), secs(61));
            }
            // The connection goes on, and all values of the handlers were dropped.
            let answer = client.send("GET /count HTTP/1.1\r\nHost: a\r\n\r\n").receive();
            assert!(answer.ends_with("\r\n4"), "{answer}");
        },
    );
    assert_eq!((counters.timed_out(Timeout::Handler), counters.cancelled), (3, 3));
    assert_eq!((counters.answered, counters.panicked), (4, 0));
}

#[test]
fn a_streamed_body_may_last_as_long_as_it_comes_on() {
    let handler = || {
        |request: &mut Request| {
            let stands_still = request.path() == "/stands-still";
            let untouched = request.path() == "/untouched";
            Response::stream(move |_, body| {
                if !untouched {
                    for _ in 0..100 {
                        body.write_all(b"tick")?;
                        sched::sleep(secs(30));
                    }
                }
                if stands_still || untouched {
                    sched::sleep(secs(1_000));
                }
                Ok(())
            })
        }
    };
    let counters = simulated(
        |builder| builder,
        handler,
        |address| {
            let close = "Host: a\r\nConnection: close\r\n\r\n";
            let mut client = Client::connect(address);
            let (text, _) = client.send(&format!("GET / HTTP/1.1\r\n{close}")).rest();
            assert!(text.ends_with("0\r\n\r\n"), "{text}");
            assert_eq!(text.matches("tick").count(), 100);

            let mut client = Client::connect(address);
            let (text, time) =
                client.send(&format!("GET /stands-still HTTP/1.1\r\n{close}")).rest();
            assert!(text.ends_with("tick\r\n"), "it looks whole: {text}");
            assert_between(time, secs(3_000), secs(3_061));

            let mut client = Client::connect(address);
            let (text, _) = client.send(&format!("GET /untouched HTTP/1.1\r\n{close}")).rest();
            assert!(text.starts_with("HTTP/1.1 504 "), "{text}");
        },
    );
    assert_eq!((counters.timed_out(Timeout::Handler), counters.cancelled), (2, 2));
    assert_eq!((counters.answered, counters.unanswered), (2, 1));
}

thread_local! {
    /// When a write failed.
    static CUT_AT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A response that is larger than the buffers of the network.
fn endless() -> impl for<'r> Handler<'r> + 'static {
    |_: &mut Request| {
        Response::stream(|_, body| {
            let piece = vec![b'x'; 64 * 1024];
            let written = (0..10_000).try_for_each(|_| body.write_all(&piece));
            CUT_AT.set(sim::elapsed());
            written
        })
    }
}

#[test]
fn a_client_that_reads_nothing_is_cut_in_time() {
    let counters = simulated(
        |builder| builder,
        endless,
        |address| {
            let mut client = Client::connect(address);
            client.send(GET);
            sched::sleep(secs(66));
            // The reset drops the bytes that had arrived.
            let mut bytes = Vec::new();
            let error = client.stream.read_to_end(&mut bytes).expect_err("no good end");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        },
    );
    assert_between(CUT_AT.get(), secs(60), secs(64));
    assert_eq!(counters.timed_out(Timeout::Write), 1);
    assert_eq!((counters.unanswered, counters.aborted), (1, 1));
}

#[test]
fn a_client_that_reads_too_slowly_is_cut_as_well() {
    let write =
        MinRate::default().with_idle(secs(600)).with_bytes_per_second(10_000).with_grace(secs(60));
    let timeouts = Timeouts::default().with_write(write);
    let counters = simulated(
        move |builder| builder.timeouts(timeouts),
        endless,
        |address| {
            let mut client = Client::connect(address);
            client.send(GET);
            let mut piece = vec![0; 20_000];
            let error = loop {
                sched::sleep(secs(10));
                if let Err(error) = client.stream.read_exact(&mut piece) {
                    break error;
                }
            };
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        },
    );
    // Before that, the server has filled the buffers of the network.
    assert_between(CUT_AT.get(), secs(60), secs(200));
    assert_eq!((counters.timed_out(Timeout::WriteRate), counters.unanswered), (1, 1));
}

#[test]
fn a_client_that_goes_away_ends_its_handler_if_that_is_wanted() {
    let handler = || {
        let ended = Rc::new(RefCell::new(String::new()));
        move |request: &mut Request| {
            struct Note(Rc<RefCell<String>>, &'static str);
            impl Drop for Note {
                fn drop(&mut self) {
                    self.0.borrow_mut().push_str(self.1);
                }
            }
            match request.path() {
                "/ended" => ended.borrow().clone(),
                path => {
                    let own = path == "/own";
                    if own {
                        request.on_disconnect(OnDisconnect::Cancel);
                    }
                    let _note = Note(Rc::clone(&ended), if own { "own " } else { "plain " });
                    sched::sleep(secs(20));
                    "done".to_owned()
                }
            }
        }
    };
    for all in [false, true] {
        let what = if all { OnDisconnect::Cancel } else { OnDisconnect::Finish };
        let counters = simulated(
            move |builder| builder.on_disconnect(what),
            handler,
            move |address| {
                let leave = |path: &str| {
                    let mut client = Client::connect(address);
                    client.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
                    sched::sleep(secs(1));
                };
                let ended_handlers = || {
                    let mut client = Client::connect(address);
                    client.send("GET /ended HTTP/1.1\r\nHost: a\r\n\r\n").receive()
                };
                leave("/own");
                leave("/plain");
                sched::sleep(secs(1));
                let ended = if all { "own plain " } else { "own " };
                let answer = ended_handlers();
                assert!(answer.ends_with(&format!("\r\n{ended}")), "{answer}");
                sched::sleep(secs(30));
                // A client that stays is answered, even if it has sent another request meanwhile.
                let mut client = Client::connect(address);
                client.send("GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
                sched::sleep(secs(1));
                client.send(GET);
                assert!(client.receive().ends_with("done"));
                assert!(client.receive().ends_with("done"));
            },
        );
        let cancelled = if all { 2 } else { 1 };
        assert_eq!((counters.cancelled, counters.unanswered), (cancelled, cancelled));
    }
}

#[test]
fn a_client_that_closes_its_side_early_is_answered_unless_that_ends_handlers() {
    let handler = || {
        |_: &mut Request| {
            sched::sleep(secs(5));
            "done"
        }
    };
    for (what, status) in [(OnDisconnect::Finish, "HTTP/1.1 200 "), (OnDisconnect::Cancel, "")] {
        simulated(
            move |builder| builder.on_disconnect(what),
            handler,
            move |address| {
                let mut client = Client::connect(address);
                client.send(GET);
                client.stream.shutdown(std::net::Shutdown::Write).expect("open");
                let (text, _) = client.rest();
                assert!(text.starts_with(status) && text.is_empty() == status.is_empty(), "{text}");
            },
        );
    }
}

#[test]
fn an_error_that_a_body_has_timed_out_is_a_response_too() {
    let error = io::Error::from(BodyError::TimedOut(Timeout::BodyRate));
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(BodyError::of(&error), Some(BodyError::TimedOut(Timeout::BodyRate)));
    let response = BodyError::TimedOut(Timeout::Body).into_response();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
}
