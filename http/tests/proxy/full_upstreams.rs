//! Upstreams that have as many requests as they may have: requests wait for their turn, in order,
//! for a bounded time and in a bounded number.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;

use straightline::proxy::{Proxy, ProxyLimits, ProxyTimeouts};
use straightline::sched::{self, sim};
use straightline::{IntoResponse, OnDisconnect, Request, StatusCode};

use crate::common::simulated::{Client, assert_between, secs, simulated, time_since};
use crate::scripted::{SimulatedUpstream, quiet, read_head, simulated_upstream};

const UPSTREAM: &str = "10.0.0.9:80";
const MS: Duration = Duration::from_millis(1);

/// An upstream that takes a while for each answer, and keeps the paths in the order of their
/// coming.
fn slow_upstream(time: Duration) -> (SimulatedUpstream, Rc<RefCell<Vec<String>>>) {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let paths = Rc::clone(&asked);
    let upstream = simulated_upstream(UPSTREAM, move |mut stream, _| {
        while let Some(head) = read_head(&mut stream) {
            let path = head.split(' ').nth(1).expect("a target").to_owned();
            paths.borrow_mut().push(path);
            sched::sleep(time);
            if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    });
    (upstream, asked)
}

fn proxy(connections: usize, queue: usize, time: Duration) -> Proxy {
    let limits = ProxyLimits::default().with_connections(connections).with_queue(queue);
    let timeouts = ProxyTimeouts::default().with_queue(time);
    quiet(Proxy::builder().upstream(UPSTREAM).limits(limits).timeouts(timeouts))
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// Runs the proxy; `ask` asks on a connection of its own, and gets the status and how long it took.
fn with_proxy(proxy: &Proxy, client: impl FnOnce(&dyn Fn(&str) -> (u16, Duration)) + 'static) {
    let handler = proxy.clone();
    simulated(
        |server| server,
        move || handler.clone(),
        move |address| {
            client(&|path| {
                let mut client = Client::connect(address);
                let since = sim::elapsed();
                let text = client.send(&get(path)).receive();
                (text[9..12].parse().expect("a status"), time_since(since))
            });
        },
    );
    let metrics = proxy.metrics();
    assert_eq!((metrics.waiting, metrics.upstreams[0].in_flight), (0, 0), "{metrics:?}");
}

#[test]
fn requests_beyond_the_limit_get_their_turn_in_order() {
    for connections in 1..4 {
        let proxy = proxy(connections, 100, secs(1));
        let shown = proxy.clone();
        with_proxy(&proxy, move |ask| {
            let (_upstream, asked) = slow_upstream(100 * MS);
            sched::scope(|scope| {
                for number in 0..9 {
                    scope.spawn(move || assert_eq!(ask(&format!("/{number}")).0, 200));
                    sched::sleep(MS);
                }
                let waiting = 9 - connections;
                assert_eq!(
                    (shown.metrics().waiting, shown.metrics().waited),
                    (waiting, waiting as u64)
                );
            });
            let expected: Vec<_> = (0..9).map(|number| format!("/{number}")).collect();
            assert_eq!(*asked.borrow(), expected, "{connections} connections");
        });
        assert_eq!(proxy.metrics().upstreams[0].connected, connections as u64);
    }
}

#[test]
fn a_request_waits_no_longer_than_its_time_and_none_waits_in_a_full_queue() {
    for (queue, time, expected) in [(100, 300, 300), (1, 300, 300), (0, 300, 0), (100, 0, 0)] {
        let proxy = proxy(1, queue, time * MS);
        with_proxy(&proxy, move |ask| {
            let (_upstream, asked) = slow_upstream(secs(2));
            sched::scope(|scope| {
                scope.spawn(|| assert_eq!(ask("/first").0, 200));
                sched::sleep(10 * MS);
                let waits = scope.spawn(|| ask("/second"));
                sched::sleep(10 * MS);
                if queue == 1 {
                    let (status, time) = ask("/third");
                    assert_eq!(status, 503);
                    assert_between(time, Duration::ZERO, 50 * MS);
                }
                let (status, time) = waits.join().expect("no panic");
                assert_eq!(status, 503);
                assert_between(time, expected * MS, (expected + 50) * MS);
            });
            assert_eq!(*asked.borrow(), ["/first"]);
        });
        assert_eq!(proxy.metrics().unavailable, if queue == 1 { 2 } else { 1 });
    }
}

#[test]
fn a_request_leaves_the_queue_with_its_client_and_with_its_deadline() {
    let proxy = proxy(1, 100, secs(60));
    let (handler, shown) = (proxy.clone(), proxy.clone());
    let handler = move |request: &mut Request| {
        let time = if request.path() == "/hurried" { 500 * MS } else { secs(60) };
        let late = |_| StatusCode::GATEWAY_TIMEOUT.into_response();
        sched::deadline(time, || handler.pass(request)).unwrap_or_else(late)
    };
    simulated(
        |server| server.on_disconnect(OnDisconnect::Finish),
        move || handler.clone(),
        move |address| {
            let (_upstream, asked) = slow_upstream(secs(2));
            let begin = |path: &str| {
                let mut client = Client::connect(address);
                client.send(&get(path));
                sched::sleep(10 * MS);
                client
            };
            let mut first = begin("/first");
            let (gone, mut hurried, mut last) = (begin("/gone"), begin("/hurried"), begin("/last"));
            assert_eq!(shown.metrics().waiting, 3);
            drop(gone);
            sched::sleep(10 * MS);
            assert_eq!(shown.metrics().waiting, 2);
            assert!(hurried.receive().starts_with("HTTP/1.1 504 "));
            assert_eq!(shown.metrics().waiting, 1);
            assert!(first.receive().starts_with("HTTP/1.1 200 "));
            assert!(last.receive().starts_with("HTTP/1.1 200 "));
            assert_eq!(*asked.borrow(), ["/first", "/last"]);
        },
    );
    assert_eq!(proxy.metrics().waiting, 0);
}

/// Places that become free while requests come and go, at random times: none is lost.
#[test]
fn no_place_is_lost_whatever_the_order() {
    sim::check(|| {
        let proxy = proxy(2, 5, 200 * MS);
        let upstream = simulated_upstream(UPSTREAM, move |mut stream, _| {
            while read_head(&mut stream).is_some() {
                sched::sleep(Duration::from_millis(sched::random_u64() % 100));
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let server = straightline::Server::builder().bind("10.0.0.1:80").workers(1).quiet();
        let server = server.build(proxy.clone()).expect("a port");
        let handle = server.handle();
        let serving = sched::spawn(move || server.run());
        let address = "10.0.0.1:80".parse().expect("an address");
        sched::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| {
                    sched::sleep(Duration::from_millis(sched::random_u64() % 200));
                    let patience = Duration::from_millis(sched::random_u64() % 400);
                    let ask = || Client::connect(address).send(&get("/")).receive();
                    let status = sched::deadline(patience, ask).map(|text| text[9..12].to_owned());
                    // One that has left early has no status.
                    let status = status.unwrap_or_else(|_| "200".to_owned());
                    assert!(["200", "503"].contains(&&*status), "{status}");
                });
            }
        });
        // All have gone: both places are there again, without a wait.
        sched::sleep(secs(1));
        for _ in 0..2 {
            let text = Client::connect(address).send(&get("/")).receive();
            assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        }
        let metrics = proxy.metrics();
        assert_eq!((metrics.waiting, metrics.upstreams[0].in_flight), (0, 0), "{metrics:?}");
        handle.shutdown();
        serving.join().expect("no panic").expect("a good end");
        drop(upstream);
    });
}
