//! Connections through proxies that speak the PROXY protocol.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::simulated::{self, assert_between, secs, simulated};
use crate::common::{Running, serve_with};
use straightline::{Capacity, Event, Networks, Request, ServerBuilder, Timeouts};

fn peer(request: &mut Request) -> String {
    format!("{} {}", request.peer(), request.path())
}

fn local() -> Networks {
    Networks::new(["127.0.0.0/8"]).expect("a network")
}

/// A server behind a proxy on this machine, and its events as text.
fn behind_proxy(
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Running, Arc<Mutex<Vec<String>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&events);
    let observer = move |event: &Event<'_>| told.lock().expect("no panic").push(event.to_string());
    let server =
        serve_with(|builder| configure(builder.proxy_protocol(local()).observer(observer)), peer);
    (server, events)
}

fn has_event(events: &Mutex<Vec<String>>, text: &str) -> bool {
    events.lock().expect("no panic").iter().any(|event| event.contains(text))
}

const TEXT: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n";

fn binary() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x28".to_vec();
    header.extend_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    header.extend_from_slice(&[0; 16]);
    header.extend_from_slice(&[0x12, 0x67, 1, 0xbb]);
    header.extend_from_slice(&[4, 0, 1, 0]); // additional data
    header
}

#[test]
fn the_client_is_the_one_that_the_proxy_names() {
    let (server, events) = behind_proxy(|builder| builder);
    for (header, name) in [(TEXT.to_vec(), "203.0.113.7:4711"), (binary(), "[2001:db8::1]:4711")] {
        // The requests come with the header or after it, and the connection stays open.
        for pieces in [1, 2, 7, header.len() + 9] {
            let mut client = server.client();
            let all = [&header[..], b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            for piece in all.chunks(all.len().div_ceil(pieces)) {
                client.stream.write_all(piece).unwrap();
            }
            assert_eq!(client.receive().text(), format!("{name} /a"));
            client.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.receive().text(), format!("{name} /b"));
        }
    }
    assert!(has_event(&events, "203.0.113.7:4711: named by the proxy 127.0.0.1:"));
    server.handle.shutdown();
    let counters = server.join();
    assert_eq!((counters.requests, counters.proxy_headers_refused), (16, 0));
}

#[test]
fn a_connection_of_the_proxys_own_keeps_its_address() {
    let (server, _) = behind_proxy(|builder| builder);
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"] {
        let mut client = server.client();
        client.stream.write_all(header).unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let address = client.stream.local_addr().unwrap();
        assert_eq!(client.receive().text(), format!("{address} /"));
    }
}

#[test]
fn a_bad_header_closes_the_connection_without_an_answer() {
    let (server, events) = behind_proxy(|builder| builder);
    let bad: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 x y 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x12\0\x0c",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
        b"PROXY TCP4 203.0.113.7",
    ];
    for header in bad {
        let mut client = server.client();
        client.stream.write_all(header).unwrap();
        client.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(client.rest(), b"", "{:?}", String::from_utf8_lossy(header));
    }
    // A probe, which closes at once, is no fault.
    let mut probe = server.client();
    probe.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(probe.rest(), b"");
    assert!(has_event(&events, "the connection ended in its PROXY header"));
    server.handle.shutdown();
    let counters = server.join();
    assert_eq!((counters.proxy_headers_refused, counters.requests), (5, 0));
}

#[test]
fn a_client_that_is_no_proxy_is_served_as_it_is_and_cannot_pretend() {
    let elsewhere = Networks::new(["192.0.2.0/24"]).expect("a network");
    let server = serve_with(|builder| builder.proxy_protocol(elsewhere), peer);
    let mut client = server.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let address = client.stream.local_addr().unwrap();
    assert_eq!(client.receive().text(), format!("{address} /"));
    let mut liar = server.client();
    liar.stream.write_all(TEXT).unwrap();
    assert_eq!(liar.receive().status, 400);
}

#[test]
fn the_limit_for_a_client_counts_those_that_the_proxy_names() {
    let capacity = Capacity::default().with_connections_per_peer(1);
    let (server, _) = behind_proxy(|builder| builder.capacity(capacity));
    let connect = |address: &str| {
        let mut client = server.client();
        client.send(format!("PROXY TCP4 {address} 10.0.0.1 4711 443\r\n"));
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client
    };
    let mut first = connect("203.0.113.7");
    assert_eq!(first.receive().status, 200);
    assert_eq!(connect("203.0.113.8").receive().status, 200);
    assert_eq!(connect("203.0.113.7").rest(), b"");
    drop(first);
    // The place is free when the server has seen that the first connection is closed.
    while server.handle.counters().accepted - server.handle.counters().closed > 0 {
        std::thread::yield_now();
    }
    assert_eq!(connect("203.0.113.7").receive().status, 200);
    server.handle.shutdown();
    assert_eq!(server.join().rejected, 1);
}

#[test]
fn half_a_header_has_the_time_of_a_head() {
    let timeouts = Timeouts::default().with_head(secs(3));
    let behind = move |builder: ServerBuilder| builder.proxy_protocol(local()).timeouts(timeouts);
    let make = || |request: &mut Request| peer(request);
    let counters = simulated(behind, make, |address: SocketAddr| {
        let (rest, time) = simulated::Client::connect(address).send("PROXY TCP4 203.").rest();
        assert_eq!(rest, "");
        assert_between(time, secs(3), secs(4));
        // The time of the request's head begins behind the header.
        let mut client = simulated::Client::connect(address);
        client.send("PROXY");
        straightline::sched::sleep(secs(2));
        client.send(" TCP4 203.0.113.7 10.0.0.1 4711 443\r\nGET / HT");
        straightline::sched::sleep(Duration::from_millis(2500));
        client.send("TP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.receive().ends_with("203.0.113.7:4711 /"));
    });
    assert_eq!(counters.proxy_headers_refused, 1);
}

#[test]
fn the_setting_is_listed() {
    let server = straightline::Server::builder().bind("127.0.0.1:0").proxy_protocol(local());
    let server = server.build(peer).unwrap();
    let setting = server.settings().get("proxy_protocol").cloned().expect("it is listed");
    assert_eq!(setting.value, "127.0.0.0/8");
}
