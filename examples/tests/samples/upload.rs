//! `upload`: forms with files, large ones in flat memory, and forms that never end.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;
use sha2::{Digest, Sha256};
use straightline::testing::TestResponse;

use crate::servers::Server;

fn post(server: &Server, content_type: &str, body: impl Into<Vec<u8>>) -> TestResponse {
    let client = server.client();
    client.post("/upload").header("content-type", content_type).body(body).send()
}

fn form(server: &Server, body: &str) -> TestResponse {
    post(server, "multipart/form-data; boundary=b", body.replace('\n', "\r\n"))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn it_tells_the_parts_of_a_form_in_their_order() {
    let server = Server::start("upload", &[]);
    let body = "--b\nContent-Disposition: form-data; name=\"note\"\n\nhello\n--b\n\
                Content-Disposition: form-data; name=\"file\"; filename=\"a; name=x.txt\"\n\
                Content-Type: text/plain\n\n\n--b--\n";
    let response = form(&server, body);
    response.assert_status(200).assert_header("content-type", "application/json");
    response.assert_json(&json!([
        {"name": "note", "filename": null, "content_type": null, "bytes": 5,
         "sha256": sha256(b"hello")},
        {"name": "file", "filename": "a; name=x.txt", "content_type": "text/plain", "bytes": 0,
         "sha256": sha256(b"")},
    ]));
    form(&server, "--b--\n").assert_status(200).assert_json(&json!([]));
}

#[test]
fn it_says_what_is_wrong_with_a_form() {
    let server = Server::start("upload", &["--parts", "2", "--body-bytes", "100000"]);
    let part = "--b\nContent-Disposition: form-data; name=a\n\nx\n";
    let long = format!("--b\nContent-Disposition: form-data; name=a\nx: {}\n\n", "y".repeat(9_000));
    for (body, status) in [
        (String::new(), 400),
        ("--b\nContent-Dispo".to_owned(), 400),
        (part.to_owned(), 400),
        ("--b\nX: y\n\n--b--".to_owned(), 400),
        (format!("{part}{part}--b--"), 200),
        (format!("{part}{part}{part}--b--"), 413),
        (format!("{long}\n--b--"), 413),
        (format!("{}{part}--b--", "x".repeat(10_000)), 413),
    ] {
        form(&server, &body).assert_status(status);
    }
    for other in ["text/plain", "multipart/mixed; boundary=b"] {
        post(&server, other, "--b--").assert_status(415);
    }
    post(&server, "multipart/form-data", "--b--").assert_status(400);
    post(&server, "multipart/form-data; boundary=b", vec![b'x'; 100_001]).assert_status(413);
}

#[test]
fn it_has_a_page_with_a_form_and_the_answers_of_a_router() {
    let server = Server::start("upload", &[]);
    let client = server.client();
    let page = client.get("/").send();
    page.assert_status(200).assert_header("content-type", "text/html; charset=utf-8");
    page.assert_contains("enctype=\"multipart/form-data\"");
    client.head("/").send().assert_status(200).assert_text("");
    client.get("/upload").send().assert_status(405);
    assert!(
        client.get("/upload").send().header("allow").is_some_and(|allow| allow.contains("POST"))
    );
    client.get("/nowhere").send().assert_status(404);
}

/// The most memory that the server has used so far, in KiB.
fn peak_memory(server: &Server) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

fn begin(server: &Server, length: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n{length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("the server reads");
    stream
}

const PART: &[u8] = b"--b\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n";

#[test]
fn a_large_file_passes_in_flat_memory() {
    // On a busy machine the server may report that a fiber kept its thread. For that it loads the
    // debug information of the whole program. A server that keeps the file grows each time.
    let grown: Vec<_> = std::iter::repeat_with(grown_by_a_large_file).take(3).collect();
    assert!(grown.iter().any(|kib| *kib < 8 * 1024), "{grown:?} KiB for a file of 112 MiB");
}

/// By how many KiB the peak of a server's memory grows.
fn grown_by_a_large_file() -> u64 {
    let server = Server::start("upload", &["--workers", "1"]);
    form(&server, "--b--").assert_status(200);
    let before = peak_memory(&server);
    // Many beginnings of a boundary.
    let piece = b"\r\n--\r\n-\r\n--a\r\n--bb".repeat(64 * 1024);
    let length = PART.len() + 100 * piece.len() + 7;
    let mut stream = begin(&server, &format!("Content-Length: {length}"));
    let mut hash = Sha256::new();
    stream.write_all(PART).expect("the server reads");
    for _ in 0..100 {
        hash.update(&piece);
        stream.write_all(&piece).expect("the server reads");
    }
    stream.write_all(b"\r\n--b--").expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(answer.contains(&sha256), "{answer}");
    assert!(answer.contains(&format!("\"bytes\":{}", 100 * piece.len())), "{answer}");
    peak_memory(&server) - before
}

#[test]
fn a_form_without_end_is_refused_in_flat_memory() {
    let server = Server::start("upload", &["--workers", "1"]);
    form(&server, "--b--").assert_status(200);
    let before = peak_memory(&server);
    let repeated: [(&[u8], &[u8]); 4] = [
        (b"", &[PART, b"\r\n"].concat()),
        (b"--b\r\n", b"x: y\r\n"),
        (b"--b\r\nx: ", b"y"),
        (b"", b"a preamble\r\n"),
    ];
    for (first, again) in repeated {
        let mut stream = begin(&server, "Transfer-Encoding: chunked");
        let data = [first, &again.repeat(1 << 20 >> again.len().ilog2())].concat();
        let chunk = [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat();
        // The server answers and closes before it has read everything.
        let _ = stream.write_all(&chunk);
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(&answer, b"HTTP/1.1 413");
    }
    let grown = peak_memory(&server) - before;
    assert!(grown < 8 * 1024, "{grown} KiB");
}
