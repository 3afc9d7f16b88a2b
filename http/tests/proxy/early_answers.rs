//! Upstreams that answer before they have read an upload: the client gets the answer, and learns
//! from it that its connection closes.

use crate::common::{Client, serve};
use crate::scripted::{proxy_to, scripted};

/// How the upstream answers, and whether the answer has come whole before the upload ends.
const ANSWERS: [(&str, &str); 4] = [
    ("413 x\r\nContent-Length: 4\r\nContent-Type: text/plain", "no!\n"),
    ("413 x\r\nContent-Length: 4", "no!\n"),
    ("401 x\r\nTransfer-Encoding: chunked", "4\r\nno!\n\r\n0\r\n\r\n"),
    ("200 x\r\nContent-Length: 4", "no!\n"),
];

/// Begins an upload that never ends, in one of the two framings.
fn begin_upload(client: &mut Client, is_chunked: bool) {
    let (framing, begin) = if is_chunked {
        ("Transfer-Encoding: chunked", "5\r\nbegin\r\n")
    } else {
        ("Content-Length: 2000000", "begin")
    };
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{begin}"));
}

#[test]
fn an_answer_to_an_upload_that_is_not_read_says_that_the_connection_closes() {
    for (head, body) in ANSWERS {
        for is_chunked in [false, true] {
            let upstream = scripted(move |peer, _| {
                assert!(peer.read_head());
                peer.write(&format!("HTTP/1.1 {head}\r\n\r\n{body}"));
                peer.read_to_end();
            });
            let running = serve(proxy_to(&upstream.address));
            let mut client = running.client();
            begin_upload(&mut client, is_chunked);
            let answer = client.receive();
            assert_eq!(answer.text(), "no!\n", "{head}");
            assert_eq!(answer.field("connection"), Some("close"), "{head}, {is_chunked}");
            assert!(client.is_at_end(), "{head}, {is_chunked}");
            upstream.received.recv().expect("the upstream's connection ends too");
        }
    }
}

#[test]
fn an_error_of_the_proxy_during_an_upload_says_that_the_connection_closes() {
    for is_chunked in [false, true] {
        let upstream = scripted(|peer, _| {
            assert!(peer.read_head());
            peer.write("SSH-2.0-OpenSSH\r\n");
            peer.read_to_end();
        });
        let running = serve(proxy_to(&upstream.address));
        let mut client = running.client();
        begin_upload(&mut client, is_chunked);
        let answer = client.receive();
        assert_eq!((answer.status, answer.field("connection")), (502, Some("close")));
        assert!(client.is_at_end());
    }
}

#[test]
fn an_answer_to_an_upload_whose_rest_is_small_keeps_the_connection() {
    let upstream = scripted(|peer, _| {
        while peer.read_head() {
            peer.write("HTTP/1.1 401 x\r\nContent-Length: 3\r\n\r\nno\n");
            peer.read_to_end();
        }
    });
    let running = serve(proxy_to(&upstream.address));
    let mut client = running.client();
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000\r\n\r\n");
        let answer = client.receive();
        assert_eq!((answer.status, answer.field("connection")), (401, None));
        client.send("x".repeat(20_000));
    }
}
