//! Handlers hear of a drain: long polls, event streams and upgraded connections end by it, and a
//! drain waits for background fibers.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::mpsc as threads;
use std::thread;
use std::time::Duration;

use crate::common::simulated::{
    Client, assert_between, secs, simulated, simulated_to_its_end, time_since,
};
use crate::common::{serve, serve_with};
use straightline::sched::sync::{after, mpsc, select};
use straightline::sched::{self, sim};
use straightline::{Event, IntoResponse, Request, Response, StatusCode, Upgraded};

/// Waits for news that never come.
fn poll(request: &mut Request) -> StatusCode {
    let (_news, inbox) = mpsc::channel::<()>(1);
    match select(&[&inbox, &request.draining(), &after(secs(3_600))]) {
        Ok(1) => StatusCode::NO_CONTENT,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_long_poll_ends_when_the_drain_begins() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(600)),
        || {
            |request: &mut Request| {
                request.set_handler_timeout(secs(3_600));
                poll(request)
            }
        },
        |address, handle| {
            let mut clients: Vec<_> = (0..5).map(|_| Client::connect(address)).collect();
            for client in &mut clients {
                client.send("GET /x HTTP/1.0\r\n\r\n");
            }
            sched::sleep(secs(60));
            handle.shutdown();
            for client in &mut clients {
                let (text, time) = client.rest();
                assert!(text.starts_with("HTTP/1.1 204 "), "{text}");
                assert_between(time, secs(60), secs(61));
            }
        },
    );
    assert_eq!((counters.drained, counters.force_closed, counters.panicked), (5, 0, 0));
}

#[test]
fn an_event_stream_ends_whole_when_the_drain_begins() {
    let stream = || {
        |_: &mut Request| {
            Response::stream(|request, body| {
                let draining = request.draining();
                while select(&[&draining, &after(secs(10))])? == 1 {
                    body.write_all(b"data: tick\n\n")?;
                    body.flush()?;
                }
                body.write_all(b"event: bye\n\n")
            })
        }
    };
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(600)),
        stream,
        |address, handle| {
            let mut client = Client::connect(address);
            client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
            sched::sleep(secs(35));
            handle.shutdown();
            let (text, time) = client.rest();
            assert_eq!(text.matches("data: tick").count(), 3, "{text}");
            // With the last chunk: no client takes the end for an accident.
            assert!(text.ends_with("event: bye\n\n\r\n0\r\n\r\n"), "{text}");
            assert_between(time, secs(35), secs(36));
        },
    );
    assert_eq!((counters.drained, counters.force_closed), (1, 0));
}

/// Echoes messages. When the drain begins it says goodbye, and waits for the client's own end.
fn chat(client: &Upgraded) -> io::Result<()> {
    let draining = client.draining();
    let (received, messages) = mpsc::channel(1);
    sched::scope(|scope| {
        scope.spawn(move || {
            let mut bytes = [0; 100];
            while let Ok(count @ 1..) = { client }.read(&mut bytes) {
                received.send(bytes[..count].to_vec()).expect("the other fiber reads");
            }
        });
        while select(&[&messages, &draining])? == 0 {
            match messages.try_recv() {
                Ok(message) => { client }.write_all(&message)?,
                Err(mpsc::TryRecvError::Empty) => {}
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            }
        }
        { client }.write_all(b"goodbye")?;
        client.shutdown_write()
    })
}

#[test]
fn an_upgraded_connection_says_goodbye_and_has_time_for_the_answer() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(600)),
        || |_: &mut Request| Response::upgrade("chat", |client| chat(&client)),
        |address, handle| {
            let mut client = Client::connect(address);
            let upgrade =
                "GET /x HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
            assert!(client.send(upgrade).receive().starts_with("HTTP/1.1 101 "));
            let mut bytes = [0; 5];
            client.send("hello").stream.read_exact(&mut bytes).expect("an echo");
            assert_eq!(&bytes, b"hello");
            sched::sleep(secs(100));
            client.since = sim::elapsed();
            handle.shutdown();
            let (text, time) = client.rest();
            assert_eq!(text, "goodbye");
            assert_between(time, secs(0), secs(1));
            // Longer than the time after which a protocol that does not learn of the drain is
            // ended.
            sched::sleep(secs(60));
        },
    );
    assert_eq!((counters.drained, counters.force_closed, counters.cancelled), (1, 0, 0));
}

#[test]
fn the_flag_stays_set_and_is_not_set_before_the_drain() {
    let counters = simulated_to_its_end(
        |builder| builder.ready_delay(secs(100)).drain_timeout(secs(600)),
        || {
            |request: &mut Request| {
                request.set_handler_timeout(secs(600));
                let draining = request.draining();
                let before = draining.is_set();
                sched::sleep(secs(20));
                let (after, of_server) = (draining.is_set(), request.server().draining().is_set());
                draining.wait().expect("no unwinding");
                draining.wait().expect("at once: it stays set");
                format!("{before} {after} {of_server} {}", request.draining().is_set())
            }
        },
        |address, handle| {
            let mut client = Client::connect(address);
            client.send("GET /x HTTP/1.0\r\n\r\n");
            sched::sleep(secs(1));
            handle.shutdown(); // not ready for 100 seconds, then the drain
            let (text, time) = client.rest();
            assert!(text.ends_with("false false false true"), "{text}");
            assert_between(time, secs(101), secs(102));
        },
    );
    assert_eq!(counters.force_closed, 0);
}

#[test]
fn plain_threads_and_all_shards_wait_for_the_drain() {
    let (told, tells) = threads::channel();
    let server = serve_with(
        |builder| builder.workers(3),
        move |request: &mut Request| {
            told.send(()).expect("the test waits");
            request.draining().wait().expect("no unwinding");
            "heard"
        },
    );
    let mut clients: Vec<_> = (0..12).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    (0..12).for_each(|_| tells.recv().expect("a handler"));
    let draining = server.handle.draining();
    let waiting = thread::spawn(move || draining.wait());
    server.handle.shutdown();
    clients.iter_mut().for_each(|client| assert_eq!(client.receive().text(), "heard"));
    assert_eq!(waiting.join().expect("no panic"), Ok(()));
    assert_eq!(server.join().force_closed, 0);
}

/// Leaves a background fiber behind that works for the number of seconds in the path, and then adds
/// it to the list.
fn leave_behind(request: &Request, ended: &Rc<RefCell<Vec<u64>>>) -> StatusCode {
    let seconds = request.path()[1..].parse().expect("a number");
    let ended = Rc::clone(ended); // not Send
    let fiber = request.server().spawn(move || {
        sched::sleep(secs(seconds));
        ended.borrow_mut().push(seconds);
    });
    fiber.map_or(StatusCode::SERVICE_UNAVAILABLE, |_| StatusCode::ACCEPTED)
}

#[test]
fn a_drain_waits_for_background_fibers_and_cancels_those_that_take_too_long() {
    sim::run(1, || {
        let server = straightline::Server::builder().bind("127.0.0.1:0").workers(1);
        let server = server.drain_timeout(secs(100)).build_with(|| {
            let ended = Rc::<RefCell<Vec<u64>>>::default();
            move |request: &mut Request| match request.path() {
                "/ended" => format!("{:?}", ended.borrow()).into_response(),
                _ => leave_behind(request, &ended).into_response(),
            }
        });
        let server = server.expect("a port");
        let address = server.local_addrs()[0].as_tcp().expect("TCP");
        let handle = server.handle();
        let serving = sched::spawn(|| server.run());
        let ask = |path: &str| {
            let mut client = Client::connect(address);
            client.send(&format!("GET {path} HTTP/1.0\r\n\r\n")).rest().0
        };
        for path in ["/5", "/70", "/80", "/900", "/900", "/900"] {
            assert!(ask(path).starts_with("HTTP/1.1 202 "));
        }
        sched::sleep(secs(10));
        assert!(ask("/ended").ends_with("[5]"));
        let counters = handle.counters();
        assert_eq!((counters.background_spawned, counters.background_ended), (6, 1));
        let text = handle.metrics().to_prometheus();
        assert!(text.contains("\nstraightline_background_running 5\n"), "{text}");
        handle.shutdown();
        let report = serving.join().expect("no panic").expect("a good end");
        assert_eq!((report.background_finished, report.background_cancelled), (2, 3), "{report}");
        assert_between(report.took, secs(100), secs(101));
        let counters = handle.counters();
        assert_eq!((counters.background_spawned, counters.background_ended), (6, 6));
    });
}

#[test]
fn a_drain_ends_with_the_last_background_fiber() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(600)),
        || {
            |request: &mut Request| {
                let handle = request.server();
                // A background fiber may spawn another one, also during the drain.
                let first = request.server().spawn(move || {
                    handle.draining().wait().expect("no unwinding");
                    sched::sleep(secs(7));
                    handle.spawn(|| sched::sleep(secs(7))).map(drop)
                });
                first.map_or("not left", |_| "left")
            }
        },
        |address, handle| {
            let mut client = Client::connect(address);
            assert!(client.send("GET /x HTTP/1.0\r\n\r\n").rest().0.ends_with("left"));
            client.since = sim::elapsed();
            handle.shutdown();
            while handle.counters().background_ended < 2 {
                sched::sleep(Duration::from_millis(100));
            }
            assert_between(time_since(client.since), secs(14), secs(15));
        },
    );
    assert_eq!((counters.background_drained, counters.background_cancelled), (2, 0));
}

#[test]
fn a_background_fiber_outlives_the_timeout_of_its_request_and_may_panic() {
    let counters = simulated(
        |builder| builder,
        || {
            |request: &mut Request| {
                let fiber = request.server().spawn(|| {
                    sched::sleep(secs(600));
                    "done"
                });
                let panics = request.server().spawn(|| panic!("on purpose")).expect("a stack");
                assert!(panics.join().is_err_and(|error| error.is_panic()));
                request.set_handler_timeout(secs(1_000));
                fiber.expect("a stack").join().expect("no cancel")
            }
        },
        |address| {
            let (text, time) = Client::connect(address).send("GET /x HTTP/1.0\r\n\r\n").rest();
            assert!(text.ends_with("done"), "{text}");
            assert_between(time, secs(600), secs(601));
        },
    );
    assert_eq!((counters.background_spawned, counters.background_ended), (2, 2));
}

#[test]
fn a_background_fiber_belongs_to_a_shard_of_the_server() {
    let server = serve(|_: &mut Request| "hi");
    let handle = server.handle.clone();
    assert!(thread::spawn(move || handle.spawn(|| ()).is_ok()).join().is_err());
    let handle = server.handle.clone();
    let elsewhere =
        sched::spawn_shard("other", sched::Config::default(), move || handle.spawn(|| ()).is_ok());
    assert!(elsewhere.expect("a thread").join().is_err());
}

#[test]
fn a_background_fiber_that_panics_is_reported_and_counted() {
    let (sender, heard) = threads::channel();
    let observe = move |event: &Event<'_>| {
        if let Event::BackgroundPanicked { message, place, .. } = event {
            let _ = sender.send(((*message).to_owned(), place.is_some()));
        }
    };
    let server = serve_with(
        |builder| builder.observer(observe),
        |request: &mut Request| {
            request.server().spawn(|| panic!("in the background")).expect("a stack");
            "spawned\n"
        },
    );
    assert_eq!(server.client().get("/").text(), "spawned\n");
    assert_eq!(heard.recv(), Ok(("in the background".to_owned(), true)));
    let counters = server.handle.counters();
    assert_eq!((counters.background_panicked, counters.panicked), (1, 0));
}
