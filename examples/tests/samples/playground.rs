//! The playground has a path for each feature, and a flag for each limit.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;

use crate::servers::Server;

#[test]
fn it_has_a_path_for_each_thing() {
    let server = Server::start("playground", &["--workers", "1"]);
    for (method, target, body, status, end) in [
        ("GET", "/", "", "200", "\r\n\r\nHello, World!\n"),
        ("GET", "/hello", "", "200", "\r\n\r\nHello, World!\n"),
        ("HEAD", "/hello", "", "200", "Content-Length: 14\r\n\r\n"),
        ("POST", "/hello", "", "405", "Method Not Allowed\n"),
        ("POST", "/echo", "some text", "200", "\r\n\r\n9\r\nsome text\r\n0\r\n\r\n"),
        ("PUT", "/echo", "", "200", "\r\n\r\n0\r\n\r\n"),
        ("GET", "/echo", "", "405", "Method Not Allowed\n"),
        ("GET", "/big?bytes=3", "", "200", "\r\n\r\n3\r\nxxx\r\n0\r\n\r\n"),
        ("HEAD", "/big?bytes=3", "", "200", "Transfer-Encoding: chunked\r\n\r\n"),
        ("GET", "/big?bytes=many", "", "400", "bytes must be a whole number\n"),
        ("GET", "/slow?ms=1", "", "200", "that took 1ms\n"),
        ("GET", "/block?ms=1", "", "200", "that blocked a thread for 1ms\n"),
        ("GET", "/spin?ms=1", "", "200", "that kept the thread for 1ms\n"),
        ("GET", "/recurse", "", "200", "10 calls deep\n"),
        ("GET", "/panic", "", "500", "Internal Server Error\n"),
        ("GET", "/healthz", "", "200", "alive\n"),
        ("GET", "/readyz", "", "200", "ready\n"),
        ("GET", "/nowhere", "", "404", "Not Found\n"),
        ("OPTIONS", "*", "", "204", "\r\n\r\n"),
        ("CONNECT", "a:1", "", "501", "Not Implemented\n"),
        (
            "POST",
            "/upload",
            "abc",
            "200",
            "{\"bytes\":3,\"sha256\":\
             \"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"}\n",
        ),
    ] {
        let answer = poke(&server, &request(method, target, body));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {target}: {answer}");
        assert!(answer.ends_with(end), "{method} {target}: {answer}");
    }
    let answer = poke(&server, &request("GET", "/echo", ""));
    assert!(answer.contains("allow: POST, PUT\r\n"), "{answer}");
    let answer = poke(&server, &request("GET", "/headers?a", ""));
    for part in ["\"path\":\"/headers\"", "\"query\":\"a\"", "[\"Host\",\"a\"]"] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
}

#[test]
fn content_is_compressed_as_the_client_accepts() {
    let server = Server::start("playground", &["--workers", "1", "--decoded-bytes", "100000"]);
    let client = server.client();
    let get =
        |path: &str, accepted: &str| client.get(path).header("accept-encoding", accepted).send();
    let plain = get("/text?bytes=100000", "identity");
    plain.assert_header("content-length", "100000").assert_header("etag", "\"text-100000\"");
    plain.assert_header("vary", "accept-encoding").assert_no_header("content-encoding");
    let compressed = get("/text?bytes=100000", "gzip");
    compressed.assert_header("content-encoding", "gzip").assert_no_header("content-length");
    compressed.assert_header("etag", "W/\"text-100000\"").assert_header("vary", "accept-encoding");
    assert!(compressed.bytes().len() < 20_000);
    for (tag, status) in [("W/\"text-100000\"", 304), ("\"text-100000\"", 304), ("\"x\"", 200)] {
        let again = client.get("/text?bytes=100000").header("accept-encoding", "gzip");
        again.header("if-none-match", tag).send().assert_status(status);
    }
    let head = client.head("/text?bytes=100000").header("accept-encoding", "gzip").send();
    head.assert_status(200).assert_header("content-encoding", "gzip");
    head.assert_no_header("content-length").assert_header("etag", "W/\"text-100000\"");
    get("/png?bytes=5000", "gzip").assert_no_header("content-encoding").assert_no_header("vary");
    get("/nocontent", "gzip").assert_status(204).assert_no_header("content-encoding");
    get("/stream?lines=2&ms=1", "identity").assert_text("line 0\nline 1\n");
    get("/stream?lines=2&ms=1", "br").assert_header("content-encoding", "br");
    client.post("/text").send().assert_status(405).assert_header("allow", "GET, HEAD");

    // What the server has compressed, it also decodes.
    let echo = |coding: &str, body: &[u8]| {
        client.post("/echo").header("content-encoding", coding).body(body).send()
    };
    let echoed = echo("gzip", compressed.bytes());
    assert_eq!(echoed.assert_status(200).bytes(), plain.bytes());
    let longer = get("/text?bytes=100001", "gzip");
    echo("gzip", longer.bytes()).assert_status(413);
    echo("gzip", b"text").assert_status(400);
    let unknown = echo("lzma", b"text");
    unknown.assert_status(415);
    assert!(unknown.header("accept-encoding").is_some_and(|codings| codings.contains("gzip")));
}

#[test]
fn it_has_a_flag_for_each_limit() {
    let head = "GET /hello HTTP/1.1\r\nHost: a\r\nX: 0123456789\r\n\r\n";
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (flag, value, request, status) in [
        ("--request-line-bytes", "18", head.to_owned(), "414"),
        ("--field-line-bytes", "12", head.to_owned(), "431"),
        ("--head-bytes", "45", head.to_owned(), "431"),
        ("--fields", "1", head.to_owned(), "431"),
        ("--body-bytes", "4", request("POST", "/echo", "12345"), "413"),
        ("--chunk-extension-bytes", "1", format!("{chunked}1;a\r\n"), "413"),
        ("--trailer-bytes", "1", format!("{chunked}0\r\na: b\r\n\r\n"), "431"),
        ("--requests", "1", head.to_owned(), "200"),
    ] {
        let server = Server::start("playground", &["--workers", "1", flag, value]);
        let answer = poke(&server, &request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{flag}: {answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{flag}: {answer}");
    }
    let mut server = Server::start("playground", &["--verbose"]);
    assert!(poke(&server, "G@T / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    server.wait_for_stderr("refused: malformed method (byte 1)");
}

#[test]
fn it_has_a_flag_for_each_time() {
    let cut_head = "GET / HT";
    let cut_body = "POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n1";
    // This takes far longer than any test, so only the timeout can end the request.
    let slow = request("GET", "/slow?ms=600000", "");
    for (flags, request, answer, kind) in [
        (["--head-timeout", "50ms"].as_slice(), cut_head, "HTTP/1.1 408 ", "head"),
        (
            &["--idle-timeout", "50ms"],
            "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n",
            "HTTP/1.1 200 ",
            "idle",
        ),
        (&["--body-timeout", "50ms"], cut_body, "HTTP/1.1 408 ", "body"),
        (&["--body-rate", "9", "--body-grace", "50ms"], cut_body, "HTTP/1.1 408 ", "body_rate"),
        (&["--handler-timeout", "50ms"], &slow, "HTTP/1.1 504 ", "handler"),
    ] {
        let server = Server::start("playground", flags);
        let text = poke(&server, request);
        assert!(text.starts_with(answer), "{flags:?}: {text}");
        expect_metric(&server, &format!("timeouts_total{{kind=\"{kind}\"}}"), "1");
    }
    // The call on the offload pool goes on. Neither the client nor the stop waits for it.
    let flags = ["--handler-timeout", "50ms"];
    let mut server = Server::start("playground", &flags);
    let text = poke(&server, &request("GET", "/block?ms=600000", ""));
    assert!(text.starts_with("HTTP/1.1 504 "), "{text}");
    expect_metric(&server, "offload_abandoned_total", "1");
    assert!(server.stop().success());
}

#[test]
fn slow_readers_are_reset() {
    for (flags, kind) in [
        (["--write-timeout", "50ms"].as_slice(), "write"),
        (&["--write-rate", "1000000000", "--write-grace", "50ms"], "write_rate"),
    ] {
        let server = Server::start("playground", flags);
        let mut client = TcpStream::connect(server.address()).expect("the server listens");
        let bytes = 1 << 30; // more than any buffers hold
        client.write_all(request("GET", &format!("/big?bytes={bytes}"), "").as_bytes()).unwrap();
        // The client reads nothing until its timeout has passed.
        while metric(&server, &format!("timeouts_total{{kind=\"{kind}\"}}")) == "0" {}
        let error = std::io::copy(&mut client, &mut std::io::sink()).expect_err("it was reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn it_has_a_flag_for_each_bound_on_load() {
    // The timeouts are so long that no idle connection is evicted for a new client.
    let flags = ["--max-connections", "1", "--head-timeout", "600s", "--idle-timeout", "600s"];
    let server = Server::start("playground", &flags);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    client.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut begin = [0; 13];
    client.read_exact(&mut begin).expect("the server answers");
    assert_eq!(&begin, b"HTTP/1.1 200 ");
    let answer = poke(&server, &request("GET", "/hello", ""));
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: "),
        "{answer}"
    );

    let server = Server::start("playground", &["--max-in-flight", "1"]);
    let ask_slowly = || {
        let mut client = TcpStream::connect(server.address()).expect("the server listens");
        client.write_all(request("GET", "/slow?ms=600000", "").as_bytes()).unwrap();
        client.set_nonblocking(true).expect("an option of a socket");
        client
    };
    let mut busy = ask_slowly();
    let answer = (0..10_000).find_map(|_| {
        // If another request was in flight, the slow request was refused: send it again.
        if busy.peek(&mut [0]).is_ok() {
            busy = ask_slowly();
        }
        let answer = poke(&server, &request("GET", "/hello", ""));
        (!answer.starts_with("HTTP/1.1 200 ")).then_some(answer)
    });
    let answer = answer.expect("a refusal");
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nretry-after: 1\r\n"));
}

#[test]
fn a_stuck_thread_is_replaced() {
    let flags = ["--workers", "1", "--stuck-limit", "500ms"];
    let mut server = Server::start("playground", &flags);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    client.write_all(request("GET", "/hang", "").as_bytes()).unwrap();
    assert_eq!(client.read(&mut [0]).expect("the end"), 0);
    let line = server.wait_for_stderr("shard 0 is stuck");
    assert!(line.contains("shard 1 takes over"), "{line}");
    assert!(poke(&server, &request("GET", "/hello", "")).starts_with("HTTP/1.1 200 "));
    expect_metric(&server, "replacements_total", "1");
    assert!(server.stop().success());
}

#[test]
fn new_clients_do_not_wait_for_a_busy_thread() {
    let mut server = Server::start("playground", &["--workers", "1"]);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    client.write_all(request("GET", "/spin?ms=2000", "").as_bytes()).unwrap();
    let line = server.wait_for_stderr("is busy: shard");
    assert!(line.contains(" WARN ") && line.contains("shard 1 accepts"), "{line}");
    assert!(poke(&server, &request("GET", "/hello", "")).starts_with("HTTP/1.1 200 "));
    let mut begin = [0; 13];
    client.read_exact(&mut begin).expect("it is answered, too");
    assert_eq!(&begin, b"HTTP/1.1 200 ");
    assert!(server.stop().success());
}

#[test]
fn when_every_thread_is_stuck_the_process_ends_with_an_error() {
    let stuck = ["--workers", "1", "--stuck-limit", "300ms", "--replacements", "0"];
    for (flags, code) in [(&[][..], Some(1)), (&["--abort-when-stuck"], None)] {
        let mut server = Server::start("playground", &[&stuck, flags].concat());
        let mut client = TcpStream::connect(server.address()).expect("the server listens");
        client.write_all(request("GET", "/hang", "").as_bytes()).unwrap();
        let line = server.wait_for_stderr("every shard is stuck (1)");
        assert!(line.contains(" CRIT ") || code.is_none(), "{line}");
        let status = server.child.wait().expect("the server ends");
        assert_eq!(status.code(), code, "{status}");
    }
}

#[test]
fn a_request_that_overflows_its_stack_is_named() {
    let mut server = Server::start("playground", &["--workers", "1"]);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    client.write_all(request("GET", "/recurse?depth=100000", "").as_bytes()).unwrap();
    let line = server.wait_for_stderr("overflowed its stack of 256 KiB");
    assert!(line.contains("GET /recurse"), "{line}");
    let status = server.child.wait().expect("the server ends");
    assert!(!status.success(), "{status}");
}

#[test]
fn a_panic_is_logged_with_its_place() {
    let mut server = Server::start("playground", &["--workers", "1"]);
    assert!(poke(&server, &request("GET", "/panic", "")).starts_with("HTTP/1.1 500 "));
    let line = server.wait_for_stderr(" ERRO ");
    assert!(line.contains("as you wish") && line.contains("paths.rs:"), "{line}");
    expect_metric(&server, "handlers_panicked_total", "1");
}

#[test]
fn a_signal_lists_requests_and_what_they_wait_for() {
    for signal in ["USR1", "QUIT"] {
        let mut server = Server::start("playground", &["--workers", "1"]);
        let mut client = TcpStream::connect(server.address()).expect("the server listens");
        client.write_all(request("GET", "/slow?ms=600000", "").as_bytes()).unwrap();
        // This counts the slow request and the one for the metrics.
        while metric(&server, "requests_in_flight") != "2" {}
        server.signal(signal);
        let line = server.wait_for_stderr("GET /slow?ms=600000");
        assert!(line.contains("sleep"), "{line}");
    }
}

#[test]
fn a_stop_is_announced_first_and_reported_at_the_end() {
    let mut server = Server::start("playground", &["--ready-delay", "600s"]);
    let mut client = TcpStream::connect(server.address()).expect("the server listens");
    client.write_all(request("POST", "/echo", "").replace("h: 0", "h: 2").as_bytes()).unwrap();
    assert!(poke(&server, &request("GET", "/readyz", "")).starts_with("HTTP/1.1 200 "));
    while metric(&server, "requests_in_flight") != "2" {}
    server.signal("TERM");
    // The server goes on to serve, so that a load balancer can notice the stop.
    while poke(&server, &request("GET", "/readyz", "")).starts_with("HTTP/1.1 200 ") {}
    assert!(poke(&server, &request("GET", "/readyz", "")).starts_with("HTTP/1.1 503 "));
    assert!(poke(&server, &request("GET", "/hello", "")).starts_with("HTTP/1.1 200 "));
    // Another signal, which does not come right behind the first, ends the delay and the drain.
    let status = loop {
        server.signal("TERM");
        if let Some(status) = server.child.try_wait().expect("a child") {
            break status;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    server.wait_for_stderr("1 cancelled");
}

#[test]
fn it_writes_an_access_log() {
    for (format, part) in [
        ("common", "\"GET /hello HTTP/1.1\" 200 14"),
        ("combined", "\"GET /hello HTTP/1.1\" 200 14 \"-\" \"-\""),
        ("json", "\"target\":\"/hello\""),
    ] {
        let mut server = Server::start("playground", &["--access-log", format]);
        poke(&server, &request("GET", "/hello", ""));
        let mut line = String::new();
        server.stdout.read_line(&mut line).expect("a line of text");
        assert!(line.contains(part), "{format}: {line}");
    }
}

#[test]
fn a_log_that_is_not_read_delays_no_client() {
    let server = Server::start("playground", &["--workers", "1", "--verbose"]);
    // Each request logs a line or two. Together they are more than a pipe holds.
    for _ in 0..2_000 {
        assert!(poke(&server, "G@T / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    }
}

/// The value of a metric.
fn metric(server: &Server, name: &str) -> String {
    let response = server.get("/metrics");
    let name = format!("straightline_{name} ");
    let value = response.text().lines().find_map(|line| line.strip_prefix(&name));
    value.unwrap_or_else(|| panic!("no {name}in {response}")).to_owned()
}

fn expect_metric(server: &Server, name: &str, value: &str) {
    assert_eq!(metric(server, name), value, "{name}");
}

/// Sends the request to a playground and returns all bytes until the server closes.
fn poke(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.write_all(request.as_bytes()).expect("the server reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the server answers");
    text
}

/// The last request of a connection, with this body.
fn request(method: &str, target: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}
