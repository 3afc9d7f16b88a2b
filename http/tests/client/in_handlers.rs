//! Calls that handlers make: the handler's timeout, its client's end, a drain, several shards.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use straightline::client::Client;
use straightline::sched::{self, sleep};
use straightline::{
    HandlerError, OnDisconnect, Request, Response, Server, ServerBuilder, ServerHandle, Timeouts,
};

use crate::common::{serve_with, simulated::assert_between};
use crate::upstream::{MS, Upstream, check, time_of, url};

const FRONT: &str = "http://10.0.0.1/";

/// Runs a server whose handler passes on what the upstream says.
fn with_front(
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
    test: impl FnOnce(&Client, &ServerHandle),
) {
    let to_upstream = Client::new();
    let server = configure(Server::builder().bind("10.0.0.1:80").workers(1));
    let server = server
        .build(move |_: &mut Request| -> Result<String, HandlerError> {
            Ok(to_upstream.get(url("/")).call()?.body_mut().read_to_string()?)
        })
        .expect("a free port");
    let handle = server.handle();
    let serving = sched::spawn(|| server.run());
    test(&Client::new(), &handle);
    handle.shutdown();
    serving.join().expect("no panic").expect("it runs");
}

/// An upstream that answers after a while.
fn slow(time: Duration) -> Upstream {
    Upstream::start(move |mut conversation| {
        while conversation.hear().is_some() {
            sleep(time);
            conversation.say(crate::upstream::OK);
        }
    })
}

#[test]
fn the_timeout_of_a_handler_ends_its_call() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.wait_for_end();
        });
        let timeouts = Timeouts::default().with_handler(200 * MS);
        with_front(
            |server| server.timeouts(timeouts),
            |client, _| {
                let took = time_of(|| {
                    assert_eq!(client.get(FRONT).call().unwrap().status(), 504);
                });
                assert_between(took, 200 * MS, 205 * MS);
                sleep(2 * MS);
                assert_eq!(upstream.ends().len(), 1);
            },
        );
    });
}

#[test]
fn a_client_that_leaves_ends_the_call_of_its_handler() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| {
            conversation.hear();
            conversation.wait_for_end();
        });
        with_front(
            |server| server.on_disconnect(OnDisconnect::Cancel),
            |client, _| {
                let outcome = sched::deadline(50 * MS, || drop(client.get(FRONT).call()));
                assert!(outcome.is_err());
                sleep(5 * MS);
                assert_eq!(upstream.ends().len(), 1);
            },
        );
    });
}

#[test]
fn a_call_that_fails_is_the_handlers_error() {
    check(|| {
        with_front(
            |server| server,
            |client, _| {
                assert_eq!(client.get(FRONT).call().unwrap().status(), 500);
            },
        );
    });
}

#[test]
fn a_drain_lets_calls_in_flight_end() {
    check(|| {
        let upstream = slow(100 * MS);
        with_front(
            |server| server,
            |client, handle| {
                sched::scope(|s| {
                    let answer = s.spawn(|| client.get(FRONT).call().map(|r| r.status()));
                    sleep(50 * MS);
                    handle.shutdown();
                    assert_eq!(answer.join().unwrap().unwrap(), 200);
                });
            },
        );
        drop(upstream);
    });
}

#[test]
fn each_shard_keeps_connections_of_its_own() {
    const SHARDS: usize = 3;
    let peers = Arc::new(Mutex::new(HashSet::new()));
    let seen = Arc::clone(&peers);
    let upstream = serve_with(
        |builder| builder,
        move |request: &mut Request| {
            seen.lock().expect("no panic").insert(request.peer().to_string());
            "from upstream"
        },
    );
    let url = format!("http://{}/", upstream.address);
    let (client, answered) = (Client::new(), Arc::new(AtomicUsize::new(0)));
    let shards: Vec<_> = (0..SHARDS)
        .map(|_| {
            let (client, url, answered) = (client.clone(), url.clone(), Arc::clone(&answered));
            std::thread::spawn(move || {
                sched::run(move || {
                    for _ in 0..10 {
                        let mut response = client.get(&url).call().expect("a response");
                        let text = response.body_mut().read_to_string().expect("a body");
                        assert_eq!(text, "from upstream");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            })
        })
        .collect();
    shards.into_iter().for_each(|shard| shard.join().expect("no panic"));
    assert_eq!(answered.load(Ordering::Relaxed), 10 * SHARDS);
    assert_eq!(peers.lock().expect("no panic").len(), SHARDS, "one connection for each shard");
}

#[test]
fn a_streamed_response_of_a_handler_can_come_from_a_call() {
    check(|| {
        let upstream = slow(MS);
        let to_upstream = Client::new();
        let server = Server::builder().bind("10.0.0.1:80").workers(1);
        let server = server.build(move |_: &mut Request| {
            let to_upstream = to_upstream.clone();
            Response::stream(move |_, body| {
                let mut response =
                    to_upstream.get(url("/")).call().map_err(std::io::Error::other)?;
                std::io::copy(&mut response.body_mut().as_reader(), body).map(drop)
            })
        });
        let server = server.expect("a free port");
        let handle = server.handle();
        let serving = sched::spawn(|| server.run());
        let mut response = Client::new().get(FRONT).call().unwrap();
        assert_eq!(response.body_mut().read_to_string().unwrap(), "hello");
        handle.shutdown();
        serving.join().unwrap().unwrap();
        drop(upstream);
    });
}
