//! `proxy`: requests pass to the upstreams that are well, in flat memory.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::servers::Server;

/// A proxy in front of these servers.
fn in_front_of(upstreams: &[&str], more: &[&str]) -> Server {
    let flags = upstreams.iter().flat_map(|address| ["--upstream", address]);
    Server::start("proxy", &flags.chain(more.iter().copied()).collect::<Vec<_>>())
}

/// A server that calls `serve` for each connection, behind the head of a request.
fn upstream(serve: impl Fn(&mut TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let serve = std::sync::Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, serve) = (stream.expect("a client"), std::sync::Arc::clone(&serve));
            thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
                    head.push(byte[0]);
                }
                serve(&mut stream);
            });
        }
    });
    address
}

#[test]
fn requests_pass_to_all_upstreams_and_responses_back() {
    let hello = Server::start("hello", &[]);
    let playground = Server::start("bench_server", &["--workers", "1"]);
    let proxy = in_front_of(&[hello.address(), playground.address()], &["--workers", "1"]);
    let client = proxy.client();
    let texts: Vec<_> = (0..10).map(|_| client.get("/plaintext").send().status()).collect();
    assert!(texts.iter().any(|&status| status == 200) && texts.iter().any(|&s| s == 404));
}

#[test]
fn without_an_upstream_it_has_a_page_of_its_own() {
    let server = Server::start("proxy", &["--workers", "2"]);
    let client = server.client();
    client.get("/").send().assert_status(200).assert_text("an upstream\n");
    client.head("/").send().assert_status(200).assert_text("");
    let refused = client.post("/").body("x").send();
    refused.assert_status(405).assert_header("allow", "GET, HEAD");
    client.get("/nowhere").send().assert_status(404);
}

#[test]
fn an_upstream_that_fails_is_a_502_and_the_health_check_finds_it() {
    let address = upstream(|_| {}); // closes each connection
    let mut proxy = in_front_of(&[&address], &["--workers", "1"]);
    let answer = proxy.get("/");
    answer.assert_status(502).assert_header("content-type", "application/problem+json");
    proxy.wait_for_stderr("failed: the connection broke");
    let flags = ["--workers", "1", "--health-path", "/", "--health-interval", "10ms"];
    let mut proxy = in_front_of(&[&address], &flags);
    proxy.get("/").assert_status(502);
    proxy.wait_for_stderr("is ill");
    proxy.get("/").assert_status(503);
    assert!(proxy.stop().success());
}

#[test]
fn an_upstream_may_be_a_url() {
    let hello = Server::start("hello", &[]);
    for url in [format!("http://{}", hello.address()), format!("http://{}/", hello.address())] {
        let proxy = in_front_of(&[&url], &["--workers", "1"]);
        proxy.get("/").assert_status(200).assert_text("Hello, World!\n");
    }
}

#[test]
fn mistakes_are_one_line() {
    for (flags, text) in [
        (
            ["--upstream", "nowhere"],
            "'nowhere' for '--upstream <ADDR>': wanted is a host with a port",
        ),
        (["--upstream", "host:0"], "wanted is a host with a port"),
        (["--upstream", "http://host:80/path"], "and no path"),
        (["--upstream", "https://host"], "no TLS to its upstreams"),
        (["--connections", "0"], "a limit of the proxy is zero"),
        (["--health-path", "x"], "a health check needs a path"),
    ] {
        let output = crate::servers::output("proxy", &flags);
        let error = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success(), "{flags:?}");
        assert!(error.lines().count() == 1 && error.contains(text), "{error}");
    }
}

/// The most memory that the server has used so far, in KiB.
fn peak_memory(server: &Server) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", server.child.id())).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

const PIECES: usize = 1000;
const PIECE_BYTES: usize = 100_000;

#[test]
fn large_bodies_pass_both_ways_in_flat_memory() {
    let address = upstream(|stream| {
        let mut left = PIECES * PIECE_BYTES;
        let mut buffer = vec![0; PIECE_BYTES];
        while left > 0 {
            let wanted = left.min(PIECE_BYTES);
            left -= stream.read(&mut buffer[..wanted]).expect("the proxy sends all");
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PIECES * PIECE_BYTES);
        stream.write_all(head.as_bytes()).expect("the proxy reads");
        for _ in 0..PIECES {
            stream.write_all(&buffer).expect("the proxy reads");
        }
    });
    let proxy = in_front_of(&[&address], &["--workers", "1"]);
    let mut stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
    let before = peak_memory(&proxy);
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        PIECES * PIECE_BYTES
    );
    stream.write_all(head.as_bytes()).expect("the proxy reads");
    let piece = vec![b'x'; PIECE_BYTES];
    for _ in 0..PIECES {
        stream.write_all(&piece).expect("the proxy reads");
    }
    let (mut received, mut buffer) = (0, vec![0; PIECE_BYTES]);
    loop {
        match stream.read(&mut buffer).expect("a whole answer") {
            0 => break,
            count => received += count,
        }
    }
    assert!(received > PIECES * PIECE_BYTES, "{received} bytes");
    let grown = peak_memory(&proxy) - before;
    assert!(grown < 4 * 1024, "{grown} KiB for two bodies of 100 MB");
}
