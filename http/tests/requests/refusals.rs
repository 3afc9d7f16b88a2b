//! A request that two parties could read differently is refused and counted, and its connection
//! ends.

use std::sync::mpsc;

use crate::common::{Client, serve, serve_with};
use straightline::{Event, Limits, Observer, Peer, Refusal, RefusalKind, Request};

fn unreachable(_: &mut Request) -> &'static str {
    panic!("a refused request reached the handler")
}

/// The status of the response, after which the connection must end without a reset.
fn refusal(mut client: Client, bytes: &[u8]) -> u16 {
    let answer = client.ask(bytes);
    assert_eq!(answer.field("connection"), Some("close"), "{}", bytes.escape_ascii());
    assert!(answer.text().ends_with('\n') && answer.text().len() > 5, "{answer:?}");
    assert!(client.is_at_end());
    answer.status
}

#[test]
fn each_fault_has_its_status() {
    let server = serve(unreachable);
    let cases: &[(&str, u16)] = &[
        ("GET\r\n\r\n", 400),
        ("\x16\x03\x01\x02\x00\x01\x00", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: x\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 501),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
    ];
    for (bytes, status) in cases {
        assert_eq!(refusal(server.client(), bytes.as_bytes()), *status, "{bytes:?}");
    }
    assert_eq!(server.handle.counters().refused, cases.len() as u64);
    assert_eq!(server.handle.counters().requests, 0);
}

#[test]
fn each_limit_has_its_status() {
    let limits = Limits::default()
        .with_request_line_bytes(100)
        .with_field_line_bytes(50)
        .with_head_bytes(400)
        .with_fields(10)
        .with_body_bytes(10);
    let server = serve_with(|builder| builder.limits(limits), unreachable);
    let head = |lines: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let cases = [
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(100)), 414),
        (format!("GET /{}", "a".repeat(200)), 414),
        (head(&format!("X: {}\r\n", "a".repeat(48))), 431),
        (head(&"X: y\r\n".repeat(10)), 431),
        (head(&format!("X: {}\r\n", "a".repeat(44)).repeat(8)), 431),
        (head("Content-Length: 11\r\n"), 413),
    ];
    for (bytes, status) in cases {
        assert_eq!(refusal(server.client(), bytes.as_bytes()), status, "{bytes:?}");
    }
}

#[test]
fn heads_larger_than_the_first_buffer_are_served() {
    let server = serve(|request: &mut Request| request.headers().len().to_string());
    let mut client = server.client();
    let lines: String = (0..7).map(|n| format!("X-{n}: {}\r\n", "v".repeat(4000))).collect();
    for _ in 0..3 {
        let answer = client.ask(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
        assert_eq!((answer.status, answer.text()), (200, "8"));
    }
}

#[test]
fn what_was_asked_before_the_fault_is_answered() {
    let server = serve(|_: &mut Request| "fine");
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n");
    assert_eq!(client.receive().text(), "fine");
    assert_eq!(client.receive().status, 400);
    assert!(client.is_at_end());
}

#[test]
fn a_client_that_is_still_sending_sees_its_refusal() {
    let server = serve(unreachable);
    for _ in 0..20 {
        let mut client = server.client();
        let mut bytes = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n".to_vec();
        bytes.resize(150_000, b'x');
        let answer = client.ask(&bytes);
        assert_eq!(answer.status, 413);
        assert!(client.is_at_end());
    }
}

#[test]
fn a_refused_head_request_gets_no_body() {
    let server = serve(unreachable);
    let mut client = server.client();
    let answer = client.send("HEAD / HTTP/1.1\r\n\r\n").receive_with(false);
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));
    assert!(client.is_at_end());
}

/// Sends each refusal, with its peer.
struct SendRefusals(mpsc::Sender<(Peer, Refusal)>);

impl Observer for SendRefusals {
    fn on_event(&self, event: &Event<'_>) {
        if let Event::RequestRefused { peer, refusal, .. } = *event {
            self.0.send((peer.clone(), refusal)).expect("the test listens");
        }
    }
}

#[test]
fn the_hooks_get_the_refused_client_the_reason_and_the_place() {
    let (sender, receiver) = mpsc::channel();
    let server =
        serve_with(|builder| builder.observer(SendRefusals(sender)), |_: &mut Request| "fine");
    for (bytes, kind, offset) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", RefusalKind::FieldName, 26),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nG@T /", RefusalKind::Method, 1),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\n",
            RefusalKind::Chunk,
            60,
        ),
    ] {
        let mut client = server.client();
        client.send(bytes);
        client.wait_for_end();
        let (peer, refusal) = receiver.recv().expect("a refusal");
        assert_eq!((refusal.kind, refusal.offset), (kind, offset), "{bytes:?}");
        let Peer::Tcp(peer) = peer else { panic!("{peer:?}") };
        assert_eq!(peer, client.stream.local_addr().expect("an address"));
    }
}

#[test]
fn the_last_request_of_a_connection_is_answered_with_close() {
    let limits = Limits::default().with_requests(3);
    let server = serve_with(|builder| builder.limits(limits), |_: &mut Request| "fine");
    for _ in 0..2 {
        let mut client = server.client();
        assert_eq!(client.get("/").field("connection"), None);
        assert_eq!(client.get("/").field("connection"), None);
        assert_eq!(client.get("/").field("connection"), Some("close"));
        assert!(client.is_at_end());
    }
}

#[test]
fn a_refusal_deep_in_a_body_says_how_deep() {
    let (sender, receiver) = mpsc::channel();
    let server = serve_with(
        |builder| builder.observer(SendRefusals(sender)),
        |request: &mut Request| request.body().read_to_vec(u64::MAX),
    );
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 70_000, "x".repeat(70_000));
    let bytes = [head, &chunk, &chunk, "3\r\nabc\r\n", "z"].concat();
    let mut client = server.client();
    client.send(&bytes);
    client.wait_for_end();
    let (_, refusal) = receiver.recv().expect("a refusal");
    let expected = (RefusalKind::Chunk, bytes.len() as u64 - 1);
    assert_eq!((refusal.kind, refusal.offset), expected);
}

#[test]
fn a_refusal_after_a_head_request_has_its_body() {
    let server = serve(|_: &mut Request| "fine");
    let mut client = server.client();
    client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\n\r\n");
    assert_eq!(client.receive_with(false).status, 200);
    let answer = client.receive();
    assert_eq!((answer.status, answer.text()), (400, "too many empty lines before the request\n"));
    assert!(client.is_at_end());
}
