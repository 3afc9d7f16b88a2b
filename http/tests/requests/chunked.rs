//! Chunked request bodies are read to the last chunk, are bounded, and are refused if ambiguous.

use std::io::{ErrorKind, Read};
use std::sync::mpsc;

use crate::common::{Client, serve, serve_with};
use straightline::{BodyError, Limits, RefusalKind, Request};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

fn echo(request: &mut Request) -> Result<Vec<u8>, BodyError> {
    request.body().read_to_vec(u64::MAX)
}

/// A request with `body` in chunks of `size` bytes.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = HEAD.as_bytes().to_vec();
    for chunk in body.chunks(size) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn a_chunked_body_comes_back_whole_however_it_is_cut() {
    let server = serve(echo);
    let mut client = server.client();
    let body: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    for size in [7, 4_096, 9_000, 70_000, 200_000] {
        let answer = client.ask(chunked(&body, size));
        assert!(answer.body == body, "chunks of {size}");
    }
    client.stream.set_nodelay(true).unwrap();
    for byte in chunked(b"one byte at a time", 5) {
        client.send([byte]);
    }
    assert_eq!(client.receive().text(), "one byte at a time");
    assert_eq!(client.ask(chunked(b"", 1)).text(), "");
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn pipelined_chunked_bodies_do_not_run_into_each_other() {
    let server = serve(echo);
    let mut client = server.client();
    let bodies: Vec<String> =
        (0..200).map(|n| "0\r\n\r\nGET / HTTP/1.1\r\n".repeat(n % 7)).collect();
    let all: Vec<Vec<u8>> = bodies.iter().map(|body| chunked(body.as_bytes(), 3)).collect();
    client.send(all.concat());
    for body in &bodies {
        assert_eq!(client.receive().text(), body);
    }
}

#[test]
fn trailers_are_there_after_the_body() {
    let server = serve(|request: &mut Request| {
        let early = request.trailers().len();
        let body = request.body().read_to_vec(u64::MAX).unwrap();
        let late = request.trailers();
        format!("{early} {} {} {:?}", body.len(), late.len(), late.get("CHECKSUM"))
    });
    let mut client = server.client();
    let with_trailers = format!("{HEAD}3\r\nabc\r\n0\r\nChecksum:  1 2 \r\nOther:\r\n\r\n");
    assert_eq!(client.ask(&with_trailers).text(), "0 3 2 Some(\"1 2\")");
    assert_eq!(client.ask(chunked(b"x", 1)).text(), "0 1 0 None");
    // These fields belong in the head. The handler does not see them if they are trailers.
    let of_the_head = "Set-Cookie: a=b\r\nconnection: close\r\nAuthorization: me\r\n";
    let forbidden = with_trailers.replace("Checksum", &format!("{of_the_head}Checksum"));
    assert_eq!(client.ask(&forbidden).text(), "0 3 2 Some(\"1 2\")");
    assert_eq!(client.get("/").text(), "0 0 0 None");
}

#[test]
fn an_unread_chunked_body_is_skipped() {
    let server = serve(|_: &mut Request| "unread");
    let mut client = server.client();
    for size in [0, 1, 1_000, 60_000] {
        let answer = client.ask(chunked(&vec![b'x'; size], 1_000));
        assert_eq!((answer.text(), answer.field("connection")), ("unread", None), "{size} bytes");
    }
    assert_eq!(client.get("/").text(), "unread");
    assert_eq!(server.handle.counters().accepted, 1);
}

#[test]
fn a_large_unread_chunked_body_ends_the_connection_and_the_answer_arrives() {
    let server = serve(|_: &mut Request| "unread");
    let mut client = server.client();
    client.send(chunked(&vec![b'x'; 150_000], 10_000));
    assert_eq!(client.receive().text(), "unread");
    assert!(client.is_at_end());
}

/// The status of the response, after which the connection must end without a reset.
fn refusal(mut client: Client, bytes: &[u8]) -> u16 {
    let answer = client.ask(bytes);
    assert_eq!(answer.field("connection"), Some("close"), "{}", bytes.escape_ascii());
    assert!(client.is_at_end());
    answer.status
}

#[test]
fn malformed_framing_is_refused_whether_the_handler_reads_or_not() {
    let reads = serve(echo);
    let ignores = serve(|_: &mut Request| "fine");
    let cases = [
        ("1\n!\n0\n\n", 400),
        ("1\r\n!0\r\n\r\n", 400),
        ("x\r\n", 400),
        ("fffffffffffffffff\r\n", 400),
        ("ffffffffffffffff\r\n", 413),
        ("0\r\nContent-Length: 3\r\n\r\n", 400),
        ("0\r\nfolded\r\n line: x\r\n\r\n", 400),
    ];
    for (body, status) in cases {
        let bytes = format!("{HEAD}{body}GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(refusal(reads.client(), bytes.as_bytes()), status, "{body:?}");
        assert_eq!(refusal(ignores.client(), bytes.as_bytes()), status, "{body:?}");
    }
    assert_eq!(reads.handle.counters().refused, cases.len() as u64);
    assert_eq!(ignores.handle.counters().refused, cases.len() as u64);
}

#[test]
fn the_limits_of_a_chunked_body_are_exact() {
    let limits =
        Limits::default().with_body_bytes(10).with_chunk_extension_bytes(6).with_trailer_bytes(6);
    let server = serve_with(|builder| builder.limits(limits), echo);
    let ask = |body: &str| {
        let mut client = server.client();
        client.ask(format!("{HEAD}{body}")).status
    };
    assert_eq!(ask("5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n"), 200);
    assert_eq!(ask("5\r\n12345\r\n6\r\n"), 413);
    assert_eq!(ask("1;aa\r\n!\r\n0;bb\r\n\r\n"), 200);
    assert_eq!(ask("1;aa\r\n!\r\n0;bbb\r\n\r\n"), 413);
    assert_eq!(ask("0\r\na: b\r\n\r\n"), 200);
    assert_eq!(ask("0\r\na: bb\r\n\r\n"), 431);
}

#[test]
fn a_handler_learns_what_is_wrong_with_its_body() {
    let (sender, receiver) = mpsc::channel();
    let server = serve(move |request: &mut Request| {
        sender.send(request.body().read_to_vec(u64::MAX).unwrap_err()).unwrap();
        "all is well, says the handler"
    });
    let status = refusal(server.client(), format!("{HEAD}1\r\nab").as_bytes());
    assert_eq!(status, 400);
    let error = receiver.recv().unwrap();
    let BodyError::Refused(refusal) = error else { panic!("{error:?}") };
    assert_eq!(refusal.kind, RefusalKind::Chunk);
    let mut client = server.client();
    client.send(format!("{HEAD}5\r\nab")).finish();
    let error = receiver.recv().unwrap();
    assert_eq!(error, BodyError::Disconnected(ErrorKind::UnexpectedEof));
    client.wait_for_end();
}

#[test]
fn a_client_that_waits_for_100_continue_may_send_chunks() {
    let server = serve(|request: &mut Request| {
        let mut text = String::new();
        request.body().read_to_string(&mut text).map_or("cut".to_owned(), |_| text)
    });
    let mut client = server.client();
    for _ in 0..3 {
        let head = HEAD.replace("Host", "Expect: 100-continue\r\nHost");
        assert_eq!(client.ask(head).status, 100);
        assert_eq!(client.ask("4\r\nbody\r\n0\r\n\r\n").text(), "body");
    }
}
