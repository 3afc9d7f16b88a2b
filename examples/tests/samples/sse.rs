//! `sse`: what is published reaches all clients of all workers as one event, and comes again to a
//! client that has missed it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use straightline::testing::TestResponse;

use crate::servers::Server;

/// A client of `/events`, behind the head of its response.
struct Subscriber(BufReader<TcpStream>);

impl Subscriber {
    fn connect(server: &Server, fields: &str) -> Self {
        let mut stream = TcpStream::connect(server.address()).expect("the server listens");
        // A test that fails should not hang.
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        // Before HTTP/1.1 there are no chunks, so the lines are those of the events.
        let request = format!("GET /events HTTP/1.0\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut subscriber = Self(BufReader::new(stream));
        let head = subscriber.until_empty_line();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("Content-Type: text/event-stream\r\n"), "{head}");
        subscriber
    }

    fn until_empty_line(&mut self) -> String {
        let mut text = String::new();
        while !text.ends_with("\n\n") && !text.ends_with("\n\r\n") {
            assert!(self.0.read_line(&mut text).expect("a line") > 0, "it has ended: {text}");
        }
        text
    }

    /// The next event, without comments: its id, and the rest.
    fn event(&mut self) -> (String, String) {
        loop {
            let text = self.until_empty_line();
            if text.starts_with(':') {
                continue;
            }
            let id = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap_or_default();
            let rest = text.lines().filter(|line| !line.starts_with("id: "));
            let rest: Vec<_> = rest.filter(|line| !line.is_empty()).collect();
            return (id.to_owned(), rest.join("|"));
        }
    }
}

fn publish(server: &Server, text: impl Into<Vec<u8>>) -> TestResponse {
    server.client().post("/publish").body(text).send()
}

#[test]
fn an_event_reaches_the_clients_of_all_workers() {
    let server = Server::start("sse", &["--workers", "2"]);
    let mut clients: Vec<_> = (0..8).map(|_| Subscriber::connect(&server, "")).collect();
    let answer = publish(&server, "one\r\nid: 7\rretry: 1\n\nevent: x");
    answer.assert_status(200).assert_text("sent to 8 clients\n");
    publish(&server, "").assert_status(200);
    for client in &mut clients {
        let (id, event) = client.event();
        assert!(!id.is_empty());
        assert_eq!(event, "data: one|data: id: 7|data: retry: 1|data: |data: event: x");
        assert_eq!(client.event().1, "data: ");
    }
}

#[test]
fn a_client_that_comes_again_gets_what_it_has_missed() {
    let server = Server::start("sse", &["--workers", "2", "--replay", "2"]);
    let mut client = Subscriber::connect(&server, "");
    publish(&server, "1").assert_status(200);
    let (id, _) = client.event();
    drop(client);
    publish(&server, "2").assert_status(200);
    publish(&server, "3").assert_status(200);
    let again = || Subscriber::connect(&server, &format!("Last-Event-ID: {id}\r\n"));
    let mut client = again();
    assert_eq!([client.event().1, client.event().1], ["data: 2", "data: 3"]);
    publish(&server, "4").assert_status(200);
    let mut client = again();
    let events = [client.event().1, client.event().1, client.event().1];
    assert_eq!(events, ["event: gap|data: 1", "data: 3", "data: 4"]);
}

#[test]
fn what_cannot_be_an_event_is_refused() {
    let server = Server::start("sse", &["--body-bytes", "100"]);
    for (text, status) in [
        (vec![b'x'; 99], 200),
        (vec![b'x'; 100], 200),
        (vec![b'x'; 101], 413),
        (b"\xff".to_vec(), 400),
        (b"ok \xc3".to_vec(), 400),
        ("\u{e9}\0".into(), 200),
    ] {
        publish(&server, text.clone()).assert_status(status);
    }
    let get = server.get("/publish");
    get.assert_status(405);
    assert!(get.header("allow").is_some_and(|allow| allow.contains("POST")));
    let post = server.client().post("/events").body("x").send();
    post.assert_status(405);
    server.get("/nowhere").assert_status(404);
    server.client().head("/events").send().assert_status(200).assert_text("");
}

#[test]
fn the_page_listens_for_events() {
    let server = Server::start("sse", &["--workers", "1"]);
    let page = server.get("/");
    page.assert_status(200).assert_header("content-type", "text/html; charset=utf-8");
    page.assert_contains("new EventSource(\"/events\")");
}

#[test]
fn a_client_that_does_not_read_delays_no_other() {
    let server = Server::start("sse", &["--workers", "1", "--replay", "4"]);
    let _silent = Subscriber::connect(&server, "");
    let mut client = Subscriber::connect(&server, "");
    // More than the buffers of the kernel take for the silent one.
    let text = "x".repeat(60_000);
    for _ in 0..200 {
        publish(&server, text.clone()).assert_status(200);
        assert_eq!(client.event().1.len(), "data: ".len() + text.len());
    }
}

#[test]
fn a_stop_ends_the_streams() {
    let mut server = Server::start("sse", &["--workers", "2"]);
    let mut clients: Vec<_> = (0..4).map(|_| Subscriber::connect(&server, "")).collect();
    publish(&server, "last").assert_status(200);
    server.signal("TERM");
    for client in &mut clients {
        assert_eq!(client.event().1, "data: last");
        let mut rest = String::new();
        client.0.read_to_string(&mut rest).expect("an end in good order");
        assert_eq!(rest, "");
    }
    assert!(server.child.wait().expect("the server ends").success());
}
