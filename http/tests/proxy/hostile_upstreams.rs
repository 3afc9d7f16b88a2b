//! Upstreams that send what no client should take: what the proxy's client gets, and whether the
//! connection is used again.

use straightline::proxy::{Proxy, ProxyLimits};

use crate::common::{Client, serve};
use crate::scripted::{quiet, scripted};

/// What the client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// A whole response: its status and its body.
    Whole(u16, &'static str),
    /// The status, and then an end that shows that the body is not complete.
    Cut(u16),
}

use Outcome::{Cut, Whole};

/// What an upstream sends before it closes, what the client gets, and whether the connection would
/// be used again if the upstream did not close it.
const CASES: &[(&str, Outcome, bool)] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Whole(200, "hi"), true),
    ("HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", Whole(200, "hi"), true),
    // To the end of the connection.
    ("HTTP/1.1 200 OK\r\n\r\nhi", Whole(200, "hi"), false),
    ("HTTP/1.0 200 OK\r\n\r\nhi", Whole(200, "hi"), false),
    (
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        Whole(200, "hi"),
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nhi\r\n0\r\n\r\n",
        Whole(200, "hi"),
        true,
    ),
    // More than was announced: the rest is not the next response.
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\n", Whole(200, "hi"), false),
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nx",
        Whole(200, "hi"),
        false,
    ),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi", Whole(204, ""), false),
    // A body that is announced where none may be: it may follow later.
    ("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", Whole(204, ""), false),
    ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", Whole(204, ""), false),
    ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", Whole(304, ""), false),
    ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", Whole(204, ""), true),
    ("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n", Whole(304, ""), true),
    ("HTTP/1.1 304 Not Modified\r\n\r\nhi", Whole(304, ""), false),
    // No response.
    ("", Whole(502, ""), false),
    ("HTTP/1.1 2", Whole(502, ""), false),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", Whole(502, ""), false),
    ("SSH-2.0-OpenSSH\r\n", Whole(502, ""), false),
    ("HTTP/2 200\r\n\r\n", Whole(502, ""), false),
    ("<html>hello</html>", Whole(502, ""), false),
    ("HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", Whole(502, ""), false),
    ("HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi", Whole(502, ""), false),
    ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nhi", Whole(502, ""), false),
    ("HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 2\r\n\r\nhi", Whole(502, ""), false),
    ("HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nhi", Whole(502, ""), false),
    // Two ends.
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi", Whole(502, ""), false),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi", Whole(502, ""), false),
    ("HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nhi", Whole(502, ""), false),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\
         \r\n2\r\nhi\r\n0\r\n\r\n",
        Whole(502, ""),
        false,
    ),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Whole(502, ""), false),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Whole(502, ""), false),
    // Interim responses: some, one that was not asked for, and many.
    ("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", Whole(204, ""), true),
    (
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 38\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Whole(502, ""),
        false,
    ),
    ("HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Whole(502, ""), false),
    ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", Whole(502, ""), false),
    // Bodies that are not complete.
    ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", Cut(200), false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", Cut(200), false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", Cut(200), false),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi\r\n0\r\n\r\n", Cut(200), false),
];

/// The response behind the interim ones.
fn receive(client: &mut Client) -> Outcome {
    let answer = loop {
        let answer = client.receive_with(false);
        if answer.status >= 200 {
            break answer;
        }
    };
    let status = answer.status;
    let body = if answer.field("transfer-encoding") == Some("chunked") {
        client.chunks().0
    } else {
        let length = answer.field("content-length").filter(|_| status != 304);
        let length = length.map_or(0, |text| text.parse().expect("digits"));
        Ok(client.up_to(length))
            .and_then(|body| if body.len() == length { Ok(body) } else { Err(body) })
    };
    match body {
        // The text of a problem is not compared.
        Ok(_) if status >= 500 => Whole(status, ""),
        Ok(body) if body == b"hi" => Whole(status, "hi"),
        Ok(body) if body.is_empty() => Whole(status, ""),
        Ok(body) => panic!("another body: {:?}", body.escape_ascii()),
        Err(_) => Cut(status),
    }
}

#[test]
fn what_is_no_good_response_never_looks_like_one() {
    for &(text, expected, _) in CASES {
        let upstream = scripted(move |peer, _| {
            if peer.read_head() {
                peer.write(text);
                peer.finish();
            }
        });
        let proxy = quiet(Proxy::builder().upstream(&upstream.address));
        let running = serve(proxy.clone());
        let mut client = running.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let outcome = receive(&mut client);
        // A cut body is a 502 in place of the response, if nothing of that has been sent.
        let is_replaced = matches!(expected, Cut(_)) && outcome == Whole(502, "");
        assert!(outcome == expected || is_replaced, "{text:?}: {outcome:?}");
        upstream.received.recv().expect("the connection ends");
        let is_failure = matches!(expected, Cut(_) | Whole(502, _));
        let numbers = proxy.metrics().upstreams.remove(0);
        assert_eq!(numbers.failures, u64::from(is_failure), "{text:?}");
        assert_eq!(numbers.in_flight, 0, "{text:?}");
        // A response that is passed on, with more behind it or announced, is counted apart.
        let is_misframed = !is_failure
            && (text.contains("hiHTTP") || text.ends_with('x') || text.contains("204"))
            && !text.contains("Length: 0")
            && text.contains(": ");
        let is_misframed = is_misframed || text.ends_with("Modified\r\n\r\nhi");
        assert_eq!(numbers.misframed > 0, is_misframed, "{text:?}: {numbers:?}");
    }
}

#[test]
fn a_connection_is_used_again_only_behind_a_clear_end() {
    for &(text, expected, is_reused) in CASES {
        if matches!(expected, Cut(_) | Whole(502, _)) || text.starts_with("HTTP/1.1 200 OK\r\n\r\n")
        {
            continue; // the other test has them, and the end of these is the connection's
        }
        if text.starts_with("HTTP/1.0") {
            continue;
        }
        let upstream = scripted(move |peer, _| {
            while peer.read_head() {
                peer.write(text);
            }
        });
        let proxy = quiet(Proxy::builder().upstream(&upstream.address));
        let running = serve(proxy.clone());
        for _ in 0..2 {
            let mut client = running.client();
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(receive(&mut client), expected, "{text:?}");
        }
        let connected = proxy.metrics().upstreams[0].connected;
        assert_eq!(connected, if is_reused { 1 } else { 2 }, "{text:?}");
    }
}

#[test]
fn bytes_on_an_idle_connection_are_not_the_next_response() {
    let (sent, is_sent) = std::sync::mpsc::channel();
    let sent = std::sync::Mutex::new(sent);
    let upstream = scripted(move |peer, number| {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        while peer.read_head() {
            peer.write(answer);
            if number == 0 {
                // Not at once: it comes when the connection is idle.
                std::thread::sleep(std::time::Duration::from_millis(50));
                peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
                sent.lock().expect("no panic").send(()).expect("the test waits");
                peer.read_to_end();
            }
        }
    });
    let proxy = quiet(Proxy::builder().upstream(&upstream.address));
    let running = serve(proxy.clone());
    let mut client = running.client();
    assert_eq!(client.get("/").text(), "hi");
    is_sent.recv().expect("the upstream goes on");
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "hi");
    }
    assert_eq!(proxy.metrics().upstreams[0].connected, 2);
}

#[test]
fn bytes_behind_a_response_that_filled_a_read_are_not_the_next_one() {
    // The sizes of the proxy's reads: behind a read that filled its buffer no event comes.
    for whole in [1 << 15, 1 << 16, 3 << 15] {
        let upstream = scripted(move |peer, number| {
            while peer.read_head() {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {:05}\r\n\r\n", whole - 42);
                assert_eq!(head.len(), 42);
                let poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
                let rest = if number == 0 { poison } else { "" };
                peer.write(&(head + &"a".repeat(whole - 42) + rest));
            }
        });
        let running = serve(quiet(Proxy::builder().upstream(&upstream.address)));
        for _ in 0..3 {
            let body = running.client().get("/").text().to_owned();
            assert!(body.len() == whole - 42 && body.starts_with("aaa"), "{} bytes", body.len());
        }
    }
}

#[test]
fn heads_and_fields_and_interim_responses_have_their_limits() {
    let limits = ProxyLimits::default().with_head_bytes(1000).with_fields(10);
    let status_line = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
    let long = |bytes: usize| {
        let text = format!("{status_line}X: \r\n\r\n");
        format!("{status_line}X: {}\r\n\r\n", "x".repeat(bytes - text.len()))
    };
    let many = |fields: usize| format!("{status_line}{}\r\n", "X: y\r\n".repeat(fields - 1));
    let interim = |count: usize| {
        format!("{}{status_line}\r\n", "HTTP/1.1 100 Continue\r\n\r\n".repeat(count))
    };
    for (text, status) in [
        (long(999), 200),
        (long(1000), 200),
        (long(1001), 502),
        (format!("{status_line}X: {}", "x".repeat(2000)), 502),
        (many(9), 200),
        (many(10), 200),
        (many(11), 502),
        (interim(15), 200),
        (interim(16), 200),
        (interim(17), 502),
    ] {
        let shown = format!("{} bytes of {:?}", text.len(), &text[..40]);
        let upstream = scripted(move |peer, _| {
            if peer.read_head() {
                peer.write(&text);
                peer.read_to_end();
            }
        });
        let builder = Proxy::builder().upstream(&upstream.address).limits(limits.clone());
        let proxy = serve(quiet(builder));
        assert_eq!(proxy.client().get("/").status, status, "{shown}");
    }
}
