//! Connections that switch to another protocol through the proxy.

use std::io::{Read, Write};
use std::net::Shutdown;

use straightline::proxy::Proxy;
use straightline::{IntoResponse, Request, Response, StatusCode, Upgraded};

use crate::common::{Running, serve};
use crate::passing::in_front_of;
use crate::scripted::{proxy_to, quiet, scripted};

const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Echoes in capital letters, and says goodbye at the end.
fn shout(mut client: Upgraded) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match client.read(&mut buffer)? {
            0 => return client.write_all(b"bye"),
            count => client.write_all(&buffer[..count].to_ascii_uppercase())?,
        }
    }
}

fn server() -> Running {
    serve(|request: &mut Request| match request.path() {
        "/ws" if request.headers().contains("sec-websocket-key") => {
            Response::upgrade("websocket", shout).header("sec-websocket-accept", "s3pPLMBiTxaQ9k")
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    })
}

#[test]
fn bytes_pass_both_ways_and_a_half_close_too() {
    let upstream = server();
    let proxy = proxy_to(&upstream.address.to_string());
    let running = serve(proxy.clone());
    let mut client = running.client();
    // The first bytes of the protocol come along with the request.
    let answer = client.send(format!("{ASK}hello ")).receive_with(false);
    assert_eq!(answer.status, 101);
    assert_eq!(answer.field("upgrade"), Some("websocket"));
    assert_eq!(answer.field("connection"), Some("upgrade"));
    assert_eq!(answer.field("sec-websocket-accept"), Some("s3pPLMBiTxaQ9k"));
    assert_eq!(client.exactly(6), b"HELLO ");
    for number in 0..100 {
        let text = format!("message {number}");
        client.send(&text);
        assert_eq!(client.exactly(text.len()), text.to_uppercase().as_bytes());
    }
    let large = vec![b'x'; 1_000_000];
    let mut writer = client.stream.try_clone().expect("a second handle");
    let sending = std::thread::spawn(move || writer.write_all(&large));
    assert!(client.exactly(1_000_000).iter().all(|&byte| byte == b'X'));
    sending.join().expect("no panic").expect("the proxy reads");
    assert_eq!(proxy.metrics().upstreams[0].in_flight, 1);
    client.stream.shutdown(Shutdown::Write).expect("open");
    assert_eq!(client.rest(), b"bye");
    drop(client);
    drop(running);
    let numbers = &proxy.metrics().upstreams[0];
    assert_eq!((numbers.in_flight, numbers.idle, numbers.failures), (0, 0, 0));
}

#[test]
fn an_end_of_either_side_ends_the_other() {
    // The client.
    let upstream = scripted(|peer, _| {
        assert!(peer.read_head());
        peer.write("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
        peer.read_to_end();
    });
    let running = serve(proxy_to(&upstream.address));
    let mut client = running.client();
    assert_eq!(client.send(ASK).receive_with(false).status, 101);
    assert_eq!(client.exactly(2), b"hi");
    drop(client);
    upstream.received.recv_timeout(std::time::Duration::from_secs(20)).expect("its end");
    // The upstream.
    let upstream = scripted(|peer, _| {
        assert!(peer.read_head());
        peer.write("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi");
    });
    let running = serve(proxy_to(&upstream.address));
    let mut client = running.client();
    assert_eq!(client.send(ASK).receive_with(false).status, 101);
    assert_eq!(client.rest(), b"hi");
}

#[test]
fn an_upstream_may_decline_and_only_known_protocols_pass() {
    let upstream = server();
    let proxy = in_front_of(&upstream);
    let mut client = proxy.client();
    let declined = client.ask(ASK.replace("/ws", "/other"));
    assert_eq!(declined.status, 404);
    // The field does not pass, so the upstream does not switch.
    let other = client.ask(ASK.replace("Upgrade: websocket", "Upgrade: h2c"));
    assert_eq!((other.status, other.field("upgrade")), (426, Some("websocket")));
    let allowed = quiet(Proxy::builder().upstream(upstream.address.to_string()).upgrades(["chat"]));
    let proxy = serve(allowed);
    assert_eq!(proxy.client().ask(ASK).status, 426);
}

#[test]
fn an_upstream_that_switches_to_something_else_is_a_502() {
    for fields in ["Upgrade: h2c\r\n", ""] {
        let upstream = scripted(move |peer, _| {
            assert!(peer.read_head());
            peer.write(&format!("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n{fields}\r\n"));
            peer.read_to_end();
        });
        let running = serve(proxy_to(&upstream.address));
        assert_eq!(running.client().ask(ASK).status, 502);
    }
}
