//! Without a logger and an observer, faults are told on standard error.

use std::io;

use crate::common::own_process::child;
use crate::common::serve_with;
use straightline::sched::stderr;
use straightline::{Capacity, Event, IntoResponse, Request, Response, ServerBuilder};

fn handler(request: &mut Request) -> Response {
    match request.path() {
        "/fails" => Response::stream(|_, _| Err(io::Error::other("no\nnumber"))),
        "/panics" => panic!("on purpose"),
        _ => "fine".into_response(),
    }
}

/// A server with some faults, for a process of its own.
fn have_faults(configure: fn(ServerBuilder) -> ServerBuilder) {
    let capacity = Capacity::default().with_connections(1);
    let server = serve_with(|builder| configure(builder).capacity(capacity), handler);
    for _ in 0..20 {
        let mut client = server.client();
        client.send("GET /fails HTTP/1.1\r\nHost: a\r\n\r\n");
        client.wait_for_end();
        while server.handle.counters().closed < server.handle.counters().accepted {
            std::thread::yield_now();
        }
    }
    let mut client = server.client();
    assert_eq!(client.get("/panics").status, 500);
    assert_eq!(client.get("/").text(), "fine");
    assert_eq!(server.client().receive().status, 503); // there is a client
    client.send("nonsense\r\n\r\n");
    client.wait_for_end();
    server.handle.shutdown();
    server.join();
    assert!(stderr().flush_within(std::time::Duration::from_secs(10)));
}

#[test]
fn faults_are_told_a_line_each_and_not_too_many() {
    let output = child(|| have_faults(|builder| builder));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let lines: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("straightline: ")).collect();
    // A machine that is busy itself makes a shard look so.
    let lines: Vec<_> =
        lines.into_iter().filter(|line| !line.contains("shard 0 is busy")).collect();
    let count = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
    let failed = "GET /fails failed: no\\nnumber";
    assert_eq!((count(failed), count("and 15 more requests")), (5, 1), "{text}");
    assert_eq!(count("rejected: too many connections"), 1, "{text}");
    assert_eq!(count("faults of clients: 1 requests were refused"), 1, "{text}");
    // The panic hook has printed this one too, without the request.
    assert_eq!(count("the handler of GET /panics panicked at "), 1, "{text}");
    assert_eq!(text.matches("on purpose").count(), 2, "{text}");
    assert_eq!(lines.len(), 9, "{text}");
}

#[test]
fn a_quiet_server_tells_nothing() {
    let output = child(|| have_faults(ServerBuilder::quiet));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains("straightline: "), "{text}");
}

#[test]
fn a_server_with_an_observer_tells_it_alone() {
    let output = child(|| have_faults(|builder| builder.observer(|_: &Event<'_>| ())));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains("straightline: "), "{text}");
}
