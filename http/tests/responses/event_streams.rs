//! Event streams: events reach all clients, in order and at once; heartbeats fill the pauses; what
//! a client has missed comes again; a drain, a cancel and a lost client end a stream.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::simulated::{
    Client as Simulated, assert_between, secs, simulated_to_its_end, time_since,
};
use crate::common::{Client, serve, serve_with};
use straightline::net::TcpStream;
use straightline::net::sim::{network, on_host};
use straightline::sched::sync::{after, mpsc};
use straightline::sched::{self, sim};
use straightline::sse::{self, Event, EventStream, Feed, FeedSettings, OnLag};
use straightline::{
    Event as Told, FinishedRequest, IntoResponse, MinRate, OnDisconnect, Outcome, Request,
    Response, StatusCode, Timeouts,
};

const EVENTS: &str = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";

fn news(feed: &Feed) -> impl Fn(&mut Request) -> Response + Send + Sync + 'static + use<> {
    let feed = feed.clone();
    move |request: &mut Request| match request.path() {
        "/events" => feed.subscribe(request).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Connects, and waits until the stream has begun.
fn subscriber(address: SocketAddr, head: &str) -> Client {
    let mut client = Client::connect(address);
    client.send(head);
    assert_eq!(client.receive_with(false).status, 200);
    client
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// The number behind the origin in the id of an event.
fn number(event: &str) -> u64 {
    let id = event.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
    id.split_once('-').expect("two parts").1.parse().expect("a number")
}

#[test]
fn the_head_says_what_proxies_and_browsers_need() {
    let feed = Feed::new();
    let server = serve(news(&feed));
    let mut client = server.client();
    client.send(EVENTS);
    let answer = client.receive_with(false);
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("x-accel-buffering"), Some("no"));
    assert_eq!(answer.field("connection"), Some("close"));
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    let mut head = server.client();
    head.send("HEAD /events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.receive_with(false).status, 200);
    head.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n"); // there is no body to wait for
    assert_eq!(head.receive_with(true).status, 404);
}

#[test]
fn every_client_of_every_shard_gets_every_event_at_once() {
    let feed = Feed::new();
    let server = serve_with(|builder| builder.workers(2), news(&feed));
    let mut clients: Vec<_> = (0..20).map(|_| subscriber(server.address, EVENTS)).collect();
    assert_eq!(feed.subscribers(), 20);
    for number_sent in 1..=5 {
        let sent = feed.publish(&Event::new(format!("event {number_sent}\nits second line")));
        assert_eq!(sent, 20);
        for client in &mut clients {
            let event = text(client.chunk());
            assert_eq!(number(&event), number_sent);
            let data = format!("data: event {number_sent}\ndata: its second line\n\n");
            assert!(event.ends_with(&data), "{event}");
        }
    }
    drop(clients);
    // The server notices by itself that they have left.
    while feed.subscribers() > 0 {
        thread::yield_now();
    }
    assert_eq!(feed.publish(&Event::new("x")), 0);
}

#[test]
fn a_client_of_http_1_0_gets_the_events_without_chunks() {
    let feed = Feed::new();
    let server = serve(news(&feed));
    let mut stream = std::net::TcpStream::connect(server.address).expect("the server listens");
    stream.write_all(b"GET /events HTTP/1.0\r\n\r\n").expect("the server reads");
    while feed.subscribers() == 0 {
        thread::yield_now();
    }
    feed.publish(&Event::new("one"));
    feed.publish(&Event::new("two"));
    server.handle.shutdown();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("an end in good order");
    let data = rest.lines().filter(|line| line.starts_with("data"));
    assert!(data.eq(["data: one", "data: two"]), "{rest}");
}

#[test]
fn a_client_that_comes_again_gets_what_it_has_missed() {
    let feed = Feed::with_settings(&FeedSettings::default().with_events(3));
    let server = serve(news(&feed));
    let mut client = subscriber(server.address, EVENTS);
    feed.publish(&Event::new("1"));
    let first = text(client.chunk());
    let id = first.lines().next().and_then(|line| line.strip_prefix("id: ")).expect("an id");
    drop(client);
    let again = |id: &str, expected: &str| {
        let head = format!("GET /events HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {id}\r\n\r\n");
        let mut client = subscriber(server.address, &head);
        let mut got = String::new();
        while got.len() < expected.len() {
            let event = text(client.chunk());
            let lines = event.lines().filter(|line| !line.is_empty() && !line.starts_with("id"));
            lines.for_each(|line| got.extend([line, "|"]));
        }
        assert_eq!(got, expected, "{id}");
    };
    // At the bound of three events, and one beyond it.
    for number in 2..=4 {
        feed.publish(&Event::new(number.to_string()));
    }
    again(id, "data: 2|data: 3|data: 4|");
    feed.publish(&Event::new("5"));
    again(id, "event: gap|data: 1|data: 3|data: 4|data: 5|");
    let origin = id.split('-').next().expect("two parts");
    again(&format!("{origin}-4"), "data: 5|");
    // Ids of another process, of no process, and of the future.
    for strange in ["0-1", "x", "7", "-", &format!("{origin}-999"), &format!("{origin}-x")] {
        again(strange, "event: gap|data: unknown|data: 3|data: 4|data: 5|");
    }
    assert_eq!(feed.missed(), 1);
}

#[test]
fn heartbeats_fill_the_pauses() {
    let feed = Feed::new();
    let counters = simulated_to_its_end(
        |builder| builder,
        {
            let feed = feed.clone();
            move || news(&feed)
        },
        move |address, handle| {
            let mut client = Simulated::connect(address);
            client.send(EVENTS);
            sched::sleep(secs(59));
            feed.publish(&Event::new("late"));
            sched::sleep(secs(11)); // the event has moved the next heartbeat
            assert_eq!(handle.counters().in_flight, 1);
            handle.shutdown();
            let (text, time) = client.rest();
            let beats = text.matches("4\r\n: \n\n\r\n").count();
            assert_eq!(beats, 4, "{text}"); // after 12, 24, 36 and 48 s
            assert!(text.ends_with("data: late\n\n\r\n0\r\n\r\n"), "{text}");
            assert_between(time, secs(70), secs(71));
        },
    );
    assert_eq!((counters.drained, counters.force_closed, counters.answered), (1, 0, 1));
    assert_eq!(counters.timed_out(straightline::Timeout::Handler), 0);
}

#[test]
fn a_stream_of_straight_line_code_has_heartbeats_and_ends_with_the_drain() {
    let clock = || {
        |_: &mut Request| {
            sse::stream(|_, events| {
                events.set_heartbeat(secs(5));
                let mut number = 0;
                while events.wait_for(&[&after(secs(12))])?.is_some() {
                    number += 1;
                    events.send(&Event::new(number.to_string()))?;
                }
                events.send(&Event::new("bye"))
            })
        }
    };
    let counters = simulated_to_its_end(
        |builder| builder,
        clock,
        |address, handle| {
            let mut client = Simulated::connect(address);
            client.send(EVENTS);
            sched::sleep(secs(30));
            handle.shutdown();
            let (text, _) = client.rest();
            let lines: String = text.lines().filter(|line| line.contains(": ")).skip(4).collect();
            let lines = lines.replace("no-store", "");
            assert!(lines.ends_with(": : data: 1: : data: 2: data: bye"), "{lines}");
        },
    );
    assert_eq!((counters.drained, counters.force_closed), (1, 0));
}

#[test]
fn a_stream_ends_with_its_source() {
    let server = serve(|_: &mut Request| {
        let (sender, events) = mpsc::channel(1);
        sched::spawn(move || {
            for word in ["one", "two", "three"] {
                sender.send(Event::new(word)).expect("the client reads");
            }
        });
        EventStream::new(events).retry(Duration::from_millis(1_500))
    });
    let mut client = server.client();
    client.send(EVENTS);
    assert_eq!(client.receive_with(false).status, 200);
    let (body, _) = client.chunks();
    let expected = "retry: 1500\n\ndata: one\n\ndata: two\n\ndata: three\n\n";
    assert_eq!(text(body.expect("a whole body")), expected);
    assert_eq!(client.stream.read(&mut [0; 1]).expect("an end in good order"), 0);
}

/// What an observer is told of the requests.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Outcome, u64, String)>>>);

impl Log {
    fn write(&self, request: &FinishedRequest<'_>) {
        let target = request.target.unwrap_or_default().to_owned();
        self.0.lock().expect("no panic").push((request.outcome, request.response_bytes, target));
    }

    fn observer(&self) -> impl Fn(&Told<'_>) + Send + Sync + 'static {
        let log = self.clone();
        move |event: &Told<'_>| {
            if let Told::RequestFinished(request) = event {
                log.write(request);
            }
        }
    }

    fn take(&self) -> Vec<(Outcome, u64, String)> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

/// How a client leaves, and what the server says of its request.
fn leaves(leave: impl FnOnce(&mut Simulated, &Feed) + 'static) -> (Outcome, Duration) {
    let (feed, log) = (Feed::new(), Log::default());
    let gone = Rc::new(RefCell::new(Duration::ZERO));
    let observer = log.observer();
    simulated_to_its_end(
        move |builder| builder.observer(observer).drain_timeout(secs(1)),
        {
            let feed = feed.clone();
            move || news(&feed)
        },
        {
            let gone = Rc::clone(&gone);
            move |address, handle| {
                let mut client = on_host([10, 0, 0, 7].into(), || Simulated::connect(address));
                client.send(EVENTS);
                sched::sleep(secs(1));
                assert_eq!(feed.subscribers(), 1);
                leave(&mut client, &feed);
                let left_at = sim::elapsed();
                while feed.subscribers() > 0 && time_since(left_at) < secs(3_600) {
                    sched::sleep(Duration::from_millis(100));
                }
                gone.replace(time_since(left_at));
                let _ = client.stream.set_zero_linger();
                drop(client);
                sched::sleep(secs(5));
                assert_eq!(handle.counters().accepted, handle.counters().closed);
            }
        },
    );
    let told = log.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].2, "/events");
    (told[0].0, gone.take())
}

#[test]
fn a_client_that_closes_is_noticed_within_seconds() {
    let (outcome, time) = leaves(|client, _| {
        let other = TcpStream::connect(client.stream.peer_addr().unwrap());
        drop(std::mem::replace(&mut client.stream, other.expect("the server listens")));
    });
    assert_eq!(outcome, Outcome::Disconnected);
    assert!(time <= secs(2), "{time:?}");
}

#[test]
fn a_client_that_resets_is_noticed_at_once() {
    let (outcome, time) = leaves(|client, _| client.stream.reset().expect("it is open"));
    assert_eq!(outcome, Outcome::Disconnected);
    assert!(time <= Duration::from_millis(200), "{time:?}");
}

#[test]
fn a_client_that_vanishes_is_noticed_by_a_heartbeat() {
    let (outcome, time) =
        leaves(|client, _| network().vanish(client.stream.local_addr().expect("it is open")));
    assert!(matches!(outcome, Outcome::Disconnected | Outcome::TimedOut(_)), "{outcome:?}");
    assert!(time <= secs(1_800), "{time:?}");
}

#[test]
fn a_client_that_closes_only_its_own_side_still_gets_events() {
    let (feed, log) = (Feed::new(), Log::default());
    let observer = log.observer();
    simulated_to_its_end(
        move |builder| builder.observer(observer),
        {
            let feed = feed.clone();
            move || news(&feed)
        },
        move |address, handle| {
            let mut client = Simulated::connect(address);
            client.send(EVENTS);
            client.stream.shutdown(std::net::Shutdown::Write).expect("it is open");
            sched::sleep(secs(40));
            feed.publish(&Event::new("still here"));
            sched::sleep(secs(1));
            handle.shutdown();
            let (text, _) = client.rest();
            assert!(text.contains("data: still here\n\n"), "{text}");
            // Three within two seconds, and then one in twelve seconds.
            assert_eq!(text.matches(": \n\n").count(), 6, "{text}");
        },
    );
    let told = log.take();
    assert!(matches!(told[..], [(Outcome::Answered, bytes, _)] if bytes > 40), "{told:?}");
}

#[test]
fn what_a_client_sends_meanwhile_is_dropped_up_to_a_bound() {
    for (bytes, stays) in [(64 * 1024 - 1, true), (64 * 1024, true), (64 * 1024 + 1, false)] {
        let feed = Feed::new();
        let server = serve(news(&feed));
        let mut client = subscriber(server.address, EVENTS);
        // The end of the connection may come before the last byte is written.
        let _ = client.stream.write_all(&vec![b'x'; bytes]);
        if stays {
            while server.handle.counters().bytes_read < (bytes + EVENTS.len()) as u64 {
                thread::yield_now();
            }
            feed.publish(&Event::new("here"));
            assert!(text(client.chunk()).contains("data: here\n"));
        } else {
            while feed.subscribers() > 0 {
                thread::yield_now();
            }
        }
    }
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_delays_no_other() {
    let pace = MinRate::default().with_idle(secs(20)).with_bytes_per_second(0);
    let timeouts = Timeouts::default().with_write(pace);
    let feed = Feed::with_settings(&FeedSettings::default().with_events(8));
    let counters = simulated_to_its_end(
        move |builder| builder.timeouts(timeouts),
        {
            let feed = feed.clone();
            move || news(&feed)
        },
        move |address, _| {
            let (mut slow, mut quick) = (Simulated::connect(address), Simulated::connect(address));
            slow.send(EVENTS);
            quick.send(EVENTS);
            sched::sleep(secs(1));
            let event = Event::new("x".repeat(100_000));
            let begin = sim::elapsed();
            let mut got = 0;
            while feed.subscribers() == 2 {
                feed.publish(&event);
                let mut bytes = vec![0; 100_000];
                quick.stream.read_exact(&mut bytes).expect("it is served meanwhile");
                got += 1;
                sched::sleep(secs(1));
                assert!(time_since(begin) < secs(600), "the slow client stays");
            }
            assert!(got > 8, "the buffers of both ends are smaller than the events");
            assert_eq!(feed.subscribers(), 1);
        },
    );
    assert_eq!(counters.timed_out(straightline::Timeout::Write), 1);
}

#[test]
fn a_client_that_lags_is_told_or_ends() {
    for on_lag in [OnLag::Tell, OnLag::End] {
        let settings = FeedSettings::default().with_events(2).with_on_lag(on_lag);
        let feed = Feed::with_settings(&settings);
        let counters = simulated_to_its_end(
            |builder| builder,
            {
                let feed = feed.clone();
                move || news(&feed)
            },
            move |address, handle| {
                let mut client = Simulated::connect(address);
                client.send(EVENTS);
                sched::sleep(secs(1));
                // The connection does not run meanwhile.
                for number in 1..=5 {
                    feed.publish(&Event::new(number.to_string()));
                }
                sched::sleep(secs(1));
                assert_eq!(feed.missed(), 3);
                handle.shutdown();
                let (text, _) = client.rest();
                let told = "event: gap\ndata: 3\n\n";
                assert_eq!(text.contains(told), on_lag == OnLag::Tell, "{text}");
                assert_eq!(text.contains("data: 5\n\n"), on_lag == OnLag::Tell, "{text}");
                assert!(text.ends_with("\r\n0\r\n\r\n"), "{text}");
            },
        );
        assert_eq!(counters.answered, 1);
    }
}

#[test]
fn a_stream_has_no_deadline_and_takes_no_place_among_the_requests() {
    let capacity = straightline::Capacity::default().with_in_flight(2);
    let feed = Feed::new();
    simulated_to_its_end(
        move |builder| {
            let timeouts = Timeouts::default().with_handler(secs(5)).with_idle(secs(5));
            builder.capacity(capacity).timeouts(timeouts.with_head(secs(5)))
        },
        {
            let feed = feed.clone();
            move || news(&feed)
        },
        move |address, handle| {
            let mut clients: Vec<_> = (0..5)
                .map(|_| {
                    let mut client = Simulated::connect(address);
                    client.send(EVENTS);
                    sched::sleep(secs(1));
                    client
                })
                .collect();
            sched::sleep(secs(100));
            assert_eq!((feed.subscribers(), handle.counters().overloaded), (5, 0));
            let mut other = Simulated::connect(address);
            other.send("GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert!(other.rest().0.starts_with("HTTP/1.1 404 "));
            handle.shutdown();
            for client in &mut clients {
                assert!(client.rest().0.ends_with("0\r\n\r\n"));
            }
        },
    );
}

#[test]
fn a_drain_that_begins_while_an_event_is_on_its_way_loses_none() {
    for has_another in [false, true] {
        let feed = Feed::with_settings(&FeedSettings::default().with_bytes(16 << 20));
        let counters = simulated_to_its_end(
            |builder| builder.drain_timeout(secs(60)),
            {
                let feed = feed.clone();
                move || news(&feed)
            },
            move |address, handle| {
                let mut client = Simulated::connect(address);
                client.send(EVENTS);
                sched::sleep(secs(1));
                // More than the buffers of both sides take.
                let large = "x".repeat(8_000_000);
                feed.publish(&Event::new(large.clone()));
                sched::sleep(secs(1));
                if has_another {
                    feed.publish(&Event::new("last"));
                }
                handle.shutdown();
                sched::sleep(secs(1));
                let (text, time) = client.rest();
                let mut data = text.lines().filter_map(|line| line.strip_prefix("data: "));
                assert!(data.next() == Some(&large), "{} bytes", text.len());
                assert_eq!(data.next(), has_another.then_some("last"));
                assert!(text.ends_with("\r\n0\r\n\r\n"), "the end is in order");
                assert_between(time, secs(3), secs(20));
            },
        );
        assert_eq!((counters.drained, counters.force_closed), (1, 0), "{has_another}");
    }
}

#[test]
fn a_forced_end_cancels_streams_and_reports_them() {
    let (feed, log) = (Feed::new(), Log::default());
    let observer = log.observer();
    let counters = simulated_to_its_end(
        // The client below reads nothing, so the last chunk does not leave.
        move |builder| builder.observer(observer).drain_timeout(secs(3)),
        {
            let feed = feed.clone();
            move || news(&feed)
        },
        move |address, handle| {
            let mut client = Simulated::connect(address);
            client.send(EVENTS);
            sched::sleep(secs(1));
            for _ in 0..80 {
                feed.publish(&Event::new("x".repeat(100_000)));
                sched::sleep(Duration::from_millis(10));
            }
            handle.shutdown();
            sched::sleep(secs(10));
            assert_eq!(feed.subscribers(), 0);
            drop(client);
        },
    );
    assert_eq!(counters.force_closed, 1);
    let told = log.take();
    assert!(matches!(told[..], [(Outcome::ForceClosed, ..)]), "{told:?}");
}

#[test]
fn a_handler_may_have_asked_to_be_cancelled_with_its_client() {
    let feed = Feed::new();
    let own = feed.clone();
    let server = serve(move |request: &mut Request| {
        request.on_disconnect(OnDisconnect::Cancel);
        own.subscribe(request)
    });
    let mut client = subscriber(server.address, EVENTS);
    feed.publish(&Event::new("x"));
    assert!(text(client.chunk()).ends_with("data: x\n\n"));
    drop(client);
    while feed.subscribers() > 0 {
        thread::yield_now();
    }
}

#[test]
fn a_wrapper_that_changes_the_body_gets_the_events() {
    let feed = Feed::new();
    let own = feed.clone();
    let server = serve(move |request: &mut Request| {
        let mut response = own.subscribe(request).into_response();
        let body = response.take_body();
        response.set_body(straightline::ResponseBody::stream(move |request, writer| {
            writer.write_all(b": wrapped\n\n")?;
            body.write_to(request, writer).map(drop)
        }));
        response
    });
    let mut client = subscriber(server.address, EVENTS);
    assert_eq!(text(client.chunk()), ": wrapped\n\n");
    feed.publish(&Event::new("x"));
    assert!(text(client.chunk()).ends_with("data: x\n\n"));
    server.handle.shutdown();
    assert!(client.chunks().0.is_ok(), "the drain ends it whole");
}
