//! WebSockets and event streams over TLS.

use std::io::Read;
use std::time::Duration;

use flate2::Compression;
use flate2::read::DeflateEncoder;
use straightline::sse::{Event, Feed};
use straightline::tls::TlsProvider;
use straightline::websocket::{Endpoint, WebSocket, WebSocketCounters};
use straightline::{IntoResponse, Request, Response};

use super::client::{Client, config, with_each_provider};
use crate::common::{Running, serve_with};
use crate::peer::{
    BINARY, CLOSE, FIN, PING, PONG, Peer, TEXT, close, eventually, frame, handshake, text,
};

fn echo(mut socket: WebSocket) -> std::io::Result<()> {
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

/// Sends until the client's queue is full, and waits.
fn flood(socket: &WebSocket) -> std::io::Result<()> {
    loop {
        socket.send(vec![7; 64 * 1024])?;
    }
}

fn serve(provider: TlsProvider, feed: &Feed) -> Running {
    let (config, feed) = (config(provider).build().unwrap(), feed.clone());
    let endpoint = Endpoint::new().compression(true).close_timeout(Duration::from_millis(500));
    let handler = move |request: &mut Request| -> Response {
        match request.path() {
            "/events" => feed.subscribe(request).into_response(),
            "/flood" => endpoint.upgrade(request, |socket| flood(&socket)),
            _ => endpoint.upgrade(request, echo),
        }
    };
    serve_with(|builder| builder.tls(config).drain_timeout(Duration::from_secs(60)), handler)
}

#[test]
fn messages_of_all_sizes_come_back() {
    with_each_provider(|provider| {
        let server = serve(provider, &Feed::new());
        let mut peer = Peer::over(Client::connect(server.address).stream, "/");
        for length in [0, 1, 125, 126, 16_384, 65_535, 65_536, 1 << 20] {
            let payload: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            peer.send([frame(FIN | BINARY, &payload), frame(FIN | PING, "there")].concat());
            let mut received = [peer.next().unwrap(), peer.next().unwrap()];
            received.sort_unstable(); // a Pong may come between
            assert!(received[0] == (FIN | BINARY, payload), "{length}");
            assert_eq!(received[1], (FIN | PONG, b"there".to_vec()));
        }
        peer.close();
    });
}

#[test]
fn compressed_messages_come_back() {
    with_each_provider(|provider| {
        let server = serve(provider, &Feed::new());
        let offer = "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
        let request = handshake("/").replace("\r\n\r\n", offer);
        let stream = Client::connect(server.address).stream;
        let (mut peer, head) = Peer::after(stream, &request);
        assert!(head.contains("permessage-deflate"), "{head}");
        peer.allowed_bits = 0x40;
        for length in [1000, 1_000_000] {
            let payload = b"compressed over TLS ".repeat(length / 20);
            let mut compressed = Vec::new();
            let mut encoder = DeflateEncoder::new(&payload[..], Compression::fast());
            encoder.read_to_end(&mut compressed).unwrap();
            compressed.push(0);
            peer.send(frame(FIN | 0x40 | TEXT, compressed));
            let (first, received) = peer.next().unwrap();
            assert_eq!(first, FIN | 0x40 | TEXT);
            let whole = [&received[..], &[0, 0, 0xff, 0xff]].concat();
            let mut inflated = vec![0; payload.len()];
            flate2::read::DeflateDecoder::new(&whole[..]).read_exact(&mut inflated).unwrap();
            assert!(inflated == payload, "{length}");
        }
        peer.close();
    });
}

#[test]
fn a_drain_closes_conversations_and_streams() {
    with_each_provider(|provider| {
        let feed = Feed::new();
        let server = serve(provider, &feed);
        let mut peer = Peer::over(Client::connect(server.address).stream, "/");
        peer.send(text("hello"));
        assert_eq!(peer.text(), "hello");
        let mut events = Client::connect(server.address);
        events.send("GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(eventually(|| feed.subscribers() == 1));
        feed.publish(&Event::new("the last"));
        server.handle.shutdown();
        let (first, payload) = peer.next().unwrap();
        assert_eq!((first, &payload[..]), (FIN | CLOSE, &b"\x03\xe9"[..]));
        peer.send(close(1001, ""));
        assert_eq!(peer.next(), None);
        let rest = String::from_utf8(events.rest().expect("an end in good order")).unwrap();
        assert!(rest.ends_with("data: the last\n\n\r\n0\r\n\r\n"), "{rest}");
        let counters = server.join();
        assert_eq!((counters.drained, counters.force_closed, counters.aborted), (2, 0, 0));
    });
}

/// The drain timeout is a minute, for which no client of this test waits.
#[test]
fn a_client_that_reads_nothing_does_not_hold_a_drain() {
    with_each_provider(|provider| {
        let server = serve(provider, &Feed::new());
        let peer = Peer::over(Client::connect(server.address).stream, "/flood");
        assert!(eventually(|| WebSocketCounters::of(&server.handle).sent >= 2));
        server.handle.shutdown();
        assert!(eventually(|| WebSocketCounters::of(&server.handle).open == 0));
        assert_eq!(WebSocketCounters::of(&server.handle).too_slow, 1);
        assert_eq!(server.join().force_closed, 0);
        drop(peer);
    });
}
