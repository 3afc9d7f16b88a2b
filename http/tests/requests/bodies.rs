//! Request bodies are read from the connection, to the last byte and no further.

use std::io::{ErrorKind, Read};
use std::sync::mpsc;
use std::time::Duration;

use crate::common::{serve, serve_with};
use straightline::{BodyError, Limits, Request, StatusCode};

fn echo(request: &mut Request) -> Result<Vec<u8>, BodyError> {
    request.body().read_to_vec(u64::MAX)
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn a_body_comes_back_whole_however_it_is_sent() {
    let server = serve(echo);
    let mut client = server.client();
    client.stream.set_nodelay(true).unwrap();
    for size in [0, 1, 100, 8_000, 100_000, 2_000_000] {
        let body = "abcdefghij".repeat(size / 10 + 1)[..size].to_string();
        assert!(client.ask(post("/", &body)).text() == body, "{size} bytes");
    }
    for piece in post("/", "in pieces").as_bytes().chunks(3) {
        client.send(piece);
    }
    assert_eq!(client.receive().text(), "in pieces");
}

#[test]
fn pipelined_bodies_do_not_run_into_each_other() {
    let server = serve(echo);
    let mut client = server.client();
    let bodies: Vec<String> = (0..100).map(|n| "GET / HTTP/1.1\r\n".repeat(n % 7)).collect();
    client.send(bodies.iter().map(|body| post("/", body)).collect::<String>());
    for body in &bodies {
        assert_eq!(client.receive().text(), body);
    }
}

#[test]
fn a_read_in_small_steps_ends_with_the_body() {
    let server = serve(|request: &mut Request| {
        let (mut total, mut step) = (0, [0; 7]);
        loop {
            match request.body().read(&mut step) {
                Ok(0) => return total.to_string(),
                Ok(count) => total += count,
                Err(error) => return error.to_string(),
            }
        }
    });
    let mut client = server.client();
    assert_eq!(client.ask(post("/", &"x".repeat(20_000))).text(), "20000");
    assert_eq!(client.get("/").text(), "0");
}

#[test]
fn a_small_unread_body_is_skipped() {
    let server = serve(|_: &mut Request| "unread");
    let mut client = server.client();
    for size in [1, 1_000, 60_000] {
        let answer = client.ask(post("/", &"x".repeat(size)));
        assert_eq!((answer.text(), answer.field("connection")), ("unread", None), "{size} bytes");
    }
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn a_large_unread_body_ends_the_connection_and_the_answer_arrives() {
    let server = serve(|_: &mut Request| "unread");
    for _ in 0..20 {
        let mut client = server.client();
        let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
        client.send(head).send(vec![b'x'; 150_000]);
        let answer = client.receive();
        assert_eq!((answer.text(), answer.field("connection")), ("unread", Some("close")));
        assert!(client.is_at_end());
    }
}

#[test]
fn a_client_that_waits_for_100_continue_is_told_by_the_first_read() {
    let server = serve(echo);
    let mut client = server.client();
    for _ in 0..3 {
        let head =
            "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(client.ask(head).status, 100);
        assert_eq!(client.ask("body").text(), "body");
    }
}

#[test]
fn a_client_that_waits_for_100_continue_gets_the_answer_of_a_handler_that_does_not_read() {
    let server = serve(|_: &mut Request| StatusCode::FORBIDDEN);
    let mut client = server.client();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let answer = client.ask(head);
    assert_eq!((answer.status, answer.field("connection")), (403, Some("close")));
    assert!(client.is_at_end());
}

#[test]
fn an_earlier_answer_does_not_wait_for_a_later_body() {
    let server = serve(echo);
    let mut client = server.client();
    client.send(post("/", "first"));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n");
    assert_eq!(client.receive().text(), "first");
    assert_eq!(client.ask("second").text(), "second");
}

#[test]
fn a_client_that_vanishes_in_mid_body_is_an_error_to_the_handler() {
    let (sender, receiver) = mpsc::channel();
    let server = serve(move |request: &mut Request| {
        sender.send(request.body().read_to_vec(u64::MAX).unwrap_err()).unwrap();
        StatusCode::BAD_REQUEST
    });
    let mut client = server.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").finish();
    let error = receiver.recv().unwrap();
    assert_eq!(error, BodyError::Disconnected(ErrorKind::UnexpectedEof));
    let answer = client.receive();
    assert_eq!((answer.status, answer.field("connection")), (400, Some("close")));
    assert!(client.is_at_end());
    assert_eq!(server.handle.counters().aborted, 1);
}

#[test]
fn the_body_limit_is_exact() {
    let limits = Limits::default().with_body_bytes(10);
    let server = serve_with(|builder| builder.limits(limits), echo);
    assert_eq!(server.client().ask(post("/", "123456789")).status, 200);
    assert_eq!(server.client().ask(post("/", "1234567890")).status, 200);
    assert_eq!(server.client().ask(post("/", "12345678901")).status, 413);
}

/// The bodies are longer than what the server reads together with the head, so the handler reads
/// from the socket.
#[test]
fn a_read_that_a_deadline_ends_takes_nothing() {
    let server = serve(|request: &mut Request| {
        let mut left = request.body().remaining().unwrap();
        // So many reads meet each place where a read yields.
        for _ in 0..100_000 {
            let read = straightline::sched::deadline(Duration::ZERO, || {
                request.body().read(&mut [0; 3]).map_or(0, |count| count as u64)
            });
            match read {
                Ok(count) => left -= count,
                Err(_) => straightline::sched::yield_now(), // so that more can arrive
            }
            if left == 0 {
                break;
            }
        }
        format!("{left} left, {:?} by the request's count", request.body().remaining())
    });
    let mut client = server.client();
    for _ in 0..3 {
        let answer = client.ask(post("/", &"x".repeat(50_000)));
        assert_eq!(answer.text(), "0 left, Some(0) by the request's count");
    }
}
