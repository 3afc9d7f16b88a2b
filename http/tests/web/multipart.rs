//! Multipart forms, over a socket and in process.

use std::fmt::Write;
use std::io::{self, ErrorKind, Read};
use std::sync::{Arc, Mutex};

use straightline::testing::Client;
use straightline::web::{MultipartLimits, RequestExt};
use straightline::{BodyError, HandlerError, Method, Problem, Request, StatusCode};

use crate::common::serve;

fn list(request: &mut Request) -> Result<String, HandlerError> {
    let mut form = request.multipart()?;
    let mut text = String::new();
    while let Some(mut part) = form.next_part()? {
        let name = part.name().to_owned();
        let content = part.text(1_000)?;
        writeln!(text, "{name}={content}")?;
    }
    Ok(text)
}

const FORM: &str = "multipart/form-data; boundary=b";

fn part(name: &str, content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name={name}\r\n\r\n{content}\r\n")
}

fn request(body: impl Read + 'static) -> Request {
    let builder = Request::builder().method(Method::POST).header("content-type", FORM);
    builder.reader(body).build().expect("a request")
}

#[test]
fn a_form_is_read_part_by_part() {
    let server = serve(list);
    let client = Client::connect(server.address);
    let body = format!("{}{}--b--", part("a", "1"), part("b", ""));
    let post = |body: &str| client.post("/").header("content-type", FORM).body(body).send();
    post(&body).assert_status(200).assert_text("a=1\nb=\n");
    let chunked = client.post("/").header("content-type", FORM).body(body).chunked().send();
    chunked.assert_status(200).assert_text("a=1\nb=\n");
    post(&part("a", "1")).assert_status(400).assert_contains("last boundary");
    post("--b\r\nContent-").assert_status(400).assert_contains("inside the head");
    let long = format!("{}--b--", part("a", &"x".repeat(1_001)));
    post(&long).assert_status(413);
    client.post("/").body("--b--").send().assert_status(415);
}

#[test]
fn an_encoded_form_is_decoded() {
    let body = format!("{}--b--", part("a", "1"));
    let mut encoded = Vec::new();
    io::Write::write_all(
        &mut flate2::write::GzEncoder::new(&mut encoded, flate2::Compression::fast()),
        body.as_bytes(),
    )
    .expect("memory");
    let client = Client::new(list);
    let post = client.post("/").header("content-type", FORM).header("content-encoding", "gzip");
    post.body(encoded).send().assert_status(200).assert_text("a=1\n");
}

#[test]
fn a_client_that_leaves_is_told_from_a_form_without_its_end() {
    let seen = Arc::new(Mutex::new(None));
    let error = Arc::clone(&seen);
    let server = serve(move |request: &mut Request| -> Result<&'static str, Problem> {
        let mut form = request.multipart()?;
        let mut part = form.next_part()?.ok_or(StatusCode::BAD_REQUEST)?;
        let result = io::copy(&mut part, &mut io::sink());
        *error.lock().expect("no panic") = result.err().and_then(|error| BodyError::of(&error));
        Ok("done")
    });
    let mut client = server.client();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 999");
    client.send(format!("{head}\r\n\r\n{}", part("a", "1"))).finish();
    client.rest();
    server.handle.shutdown();
    server.join();
    let seen = *seen.lock().expect("no panic");
    assert_eq!(seen, Some(BodyError::Disconnected(ErrorKind::UnexpectedEof)));
}

#[test]
fn a_part_is_a_reader_and_what_is_not_read_is_skipped() {
    let body = format!("{}{}{}--b--", part("a", "123"), part("b", "456"), part("c", "7\n8"));
    let request = request(io::Cursor::new(body));
    let mut form = request.multipart().expect("a form");
    let mut first = form.next_part().expect("a form").expect("a part");
    let mut byte = [0];
    first.read_exact(&mut byte).expect("a byte");
    assert_eq!(byte, *b"1");
    form.next_part().expect("a form").expect("a part");
    let third = form.next_part().expect("a form").expect("a part");
    let lines: Vec<_> = io::BufRead::lines(third).map(|line| line.expect("text")).collect();
    assert_eq!(lines, ["7", "8"]);
    assert!(form.next_part().expect("a form").is_none());
}

#[test]
fn an_error_stays() {
    let request = request(io::Cursor::new(format!("{}{}", part("a", "1"), part("b", "2"))));
    let limits = MultipartLimits::default().with_parts(1);
    let mut form = request.multipart_within(limits).expect("a form");
    form.next_part().expect("a form");
    for _ in 0..2 {
        let problem = form.next_part().expect_err("too many parts");
        assert_eq!(problem.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
