//! How event streams end that do not end by themselves: a drain with a client that does not read, a
//! source that panics.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::simulated::{Client, assert_between, secs, simulated_to_its_end, time_since};
use crate::common::{serve, serve_with};
use straightline::sched::sync::{Flag, Ready, after};
use straightline::sched::{self, sim};
use straightline::sse::{self, Event, EventSource, EventStream, Feed, FeedSettings, NextEvent};
use straightline::{Event as Told, IntoResponse, Outcome, Request, Response, StatusCode, Timeout};

const EVENTS: &str = "GET /events HTTP/1.1\r\nHost: a\r\n\r\n";

/// The three ways to send events, all of which have more to send than the buffers take.
fn news(feed: &Feed) -> impl Fn(&mut Request) -> Response + Send + Sync + 'static + use<> {
    let feed = feed.clone();
    move |request: &mut Request| match request.path() {
        "/feed" => feed.subscribe(request).into_response(),
        "/wrapped" => {
            let mut response = feed.subscribe(request).into_response();
            let body = response.take_body();
            response.set_body(straightline::ResponseBody::stream(move |request, writer| {
                body.write_to(request, writer).map(drop)
            }));
            response
        }
        "/code" => sse::stream(|_, events| {
            while events.wait_for(&[&after(Duration::from_millis(10))])?.is_some() {
                events.send(&Event::new("x".repeat(100_000)))?;
            }
            events.send(&Event::new("bye"))
        }),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[test]
fn a_client_that_reads_nothing_does_not_hold_a_drain() {
    for path in ["/feed", "/wrapped", "/code"] {
        let feed = Feed::with_settings(&FeedSettings::default().with_events(8));
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&outcomes);
        let counters = simulated_to_its_end(
            move |builder| {
                let builder = builder.drain_timeout(secs(60));
                builder.observer(move |event: &Told<'_>| {
                    if let Told::RequestFinished(request) = event {
                        told.lock().expect("no panic").push(request.outcome);
                    }
                })
            },
            {
                let feed = feed.clone();
                move || news(&feed)
            },
            move |address, handle| {
                let mut client = Client::connect(address);
                client.send(&EVENTS.replace("/events", path));
                for _ in 0..200 {
                    feed.publish(&Event::new("x".repeat(100_000)));
                    sched::sleep(Duration::from_millis(10));
                }
                let since = sim::elapsed();
                handle.shutdown();
                while handle.counters().closed < handle.counters().accepted {
                    assert!(time_since(since) < secs(60), "it holds the drain");
                    sched::sleep(secs(1));
                }
                assert_between(time_since(since), secs(4), secs(11));
                drop(client);
            },
        );
        assert_eq!(counters.force_closed, 0, "{path}");
        assert_eq!(counters.timed_out(Timeout::Write), 1, "{path}");
        let outcomes = outcomes.lock().expect("no panic");
        assert_eq!(*outcomes, [Outcome::TimedOut(Timeout::Write)], "{path}");
    }
}

/// The time of a drain holds only for event streams, and not for what follows on the connection.
#[test]
fn another_response_has_the_whole_drain() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(60)),
        || {
            |request: &mut Request| match request.path() {
                "/short" => sse::stream(|_, events| events.send(&Event::new("one"))),
                _ => Response::stream(|_, body| body.write_all(&vec![b'x'; 20_000_000])),
            }
        },
        |address, handle| {
            let mut client = Client::connect(address);
            client.send("GET /short HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n0\r\n\r\n") {
                let mut byte = [0];
                client.stream.read_exact(&mut byte).expect("events");
                head.push(byte[0]);
            }
            client.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n");
            sched::sleep(secs(1));
            handle.shutdown();
            sched::sleep(secs(20));
            let (text, _) = client.rest();
            assert!(text.ends_with("\r\n0\r\n\r\n"), "{} bytes", text.len());
        },
    );
    assert_eq!(counters.force_closed, 0);
}

/// A source that panics where it is told to.
struct Broken(&'static str);

impl Broken {
    fn step(&self, name: &str) {
        assert!(!self.0.split('+').any(|broken| broken == name), "on purpose: {name}");
    }
}

impl EventSource for Broken {
    fn next(&mut self) -> NextEvent {
        self.step("next");
        NextEvent::Wait
    }

    fn ready(&self) -> Ready<'_> {
        self.step("ready");
        Ready::with(&NEVER)
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.step("drop");
    }
}

static NEVER: Flag = Flag::new();

/// The process would abort if a panic left a destructor that runs because of another one.
#[test]
fn a_source_that_panics_breaks_its_stream_alone() {
    for (broken, panics) in [
        ("next", 1),
        ("ready", 2), // asked once more to end the wait
        ("next+ready", 2),
        ("next+ready+drop", 3),
    ] {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&messages);
        let server = serve_with(
            |builder| {
                builder.observer(move |event: &Told<'_>| match event {
                    Told::HandlerPanicked { message, target, .. } => {
                        let message = (*message).to_owned();
                        told.lock().expect("no panic").push((message, (*target).to_owned()));
                    }
                    Told::RequestFinished(request) => {
                        let outcome = format!("{:?}", request.outcome);
                        told.lock().expect("no panic").push((outcome, String::new()));
                    }
                    _ => {}
                })
            },
            move |request: &mut Request| match request.path() {
                "/events" => EventStream::new(Broken(broken)).into_response(),
                _ => "well\n".into_response(),
            },
        );
        let mut client = server.client();
        client.send(EVENTS);
        assert_eq!(client.receive_with(false).status, 200);
        assert!(client.chunks().0.is_err(), "{broken}: the body does not look whole");
        assert_eq!(server.client().get("/").status, 200);
        server.handle.shutdown();
        let counters = server.join();
        assert_eq!(counters.panicked, panics, "{broken}");
        let messages = messages.lock().expect("no panic");
        let of_panics = messages.iter().filter(|(message, _)| message.contains("on purpose"));
        assert!(of_panics.clone().all(|(_, target)| target == "/events"), "{messages:?}");
        assert_eq!(of_panics.count() as u64, panics, "{messages:?}");
        assert!(messages.iter().any(|(outcome, _)| outcome == "Panicked"), "{messages:?}");
    }
}

/// The fiber is cancelled while it rests, so the source is asked in a destructor.
#[test]
fn a_source_may_panic_at_the_end_of_a_stream() {
    let server = serve(|_: &mut Request| EventStream::new(Broken("drop")));
    let mut client = server.client();
    client.send(EVENTS);
    assert_eq!(client.receive_with(false).status, 200);
    server.handle.shutdown();
    assert!(client.chunks().0.is_ok(), "the stream had ended before");
    assert_eq!(server.join().panicked, 1);
}

/// A source that becomes ready again and again, and has nothing.
#[test]
fn heartbeats_come_although_the_source_wakes_often() {
    let counters = simulated_to_its_end(
        |builder| builder,
        || {
            |_: &mut Request| {
                sse::stream(|_, events| {
                    events.set_heartbeat(secs(5));
                    while events.wait_for(&[&after(secs(1))])?.is_some() {}
                    events.set_heartbeat(Duration::MAX); // it must not overflow
                    events.set_heartbeat(Duration::ZERO);
                    events.wait_for(&[]).map(drop)
                })
            }
        },
        |address, handle| {
            let mut client = Client::connect(address);
            client.send(EVENTS);
            sched::sleep(secs(31));
            handle.shutdown();
            let (text, _) = client.rest();
            assert_eq!(text.matches(": \n\n").count(), 6, "{text}");
        },
    );
    assert_eq!(counters.drained, 1);
}
