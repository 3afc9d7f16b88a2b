//! Pings, and clients that are silent, in simulated time.

use std::io::{Read, Write};
use std::net::SocketAddr;

use crate::common::simulated::{assert_between, secs, simulated, time_since};
use crate::peer::{CLOSE, FIN, PING, PONG, Peer, close_payload, frame, text};
use straightline::net::TcpStream;
use straightline::sched::{self, sim};
use straightline::websocket::{Endpoint, Incoming, WebSocket, WebSocketCounters};
use straightline::{Request, Response};

fn echo(mut socket: WebSocket) -> std::io::Result<()> {
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

/// As `echo`, and waits for something else as well.
fn echo_or(mut socket: WebSocket) -> std::io::Result<()> {
    let never = sched::sync::Flag::new();
    loop {
        match socket.receive_or(&[&never])? {
            Incoming::Message(message) => socket.send(message)?,
            Incoming::Other(_) => panic!("the flag is clear"),
            Incoming::Closed => return Ok(()),
        }
    }
}

fn handler(request: &mut Request) -> Response {
    let endpoint = match request.path() {
        "/quick" => Endpoint::new().ping_interval(Some(secs(2))).idle_timeout(Some(secs(5))),
        "/silent" => Endpoint::new().ping_interval(None).idle_timeout(None),
        _ => Endpoint::new(),
    };
    let run = if request.path() == "/or" { echo_or } else { echo };
    endpoint.upgrade(request, run)
}

fn open(address: SocketAddr, path: &str) -> Peer<TcpStream> {
    Peer::over(TcpStream::connect(address).expect("the server listens"), path)
}

const IDLE: (u8, &[u8]) = (FIN | CLOSE, b"\x03\xf0idle");

#[test]
fn a_silent_client_gets_pings_and_then_the_end() {
    for path in ["/", "/or"] {
        let counters = simulated(
            |builder| builder,
            || handler,
            move |address| {
                let since = sim::elapsed();
                let mut peer = open(address, path);
                for nth in 1..=2 {
                    assert_eq!(peer.next(), Some((FIN | PING, Vec::new())));
                    assert_between(time_since(since), secs(25 * nth), secs(25 * nth + 1));
                }
                let (first, payload) = peer.next().expect("a Close frame");
                assert_eq!((first, &payload[..]), IDLE);
                assert_between(time_since(since), secs(60), secs(61));
                assert_eq!(peer.next(), None);
                assert_between(time_since(since), secs(60), secs(63));
            },
        );
        assert_eq!((counters.aborted, counters.panicked), (1, 0), "{path}");
    }
}

#[test]
fn a_client_that_answers_pings_stays() {
    for path in ["/", "/or"] {
        simulated(
            |builder| builder,
            || handler,
            move |address| {
                let mut peer = open(address, path);
                for _ in 0..100 {
                    let (first, payload) = peer.next().expect("a Ping");
                    assert_eq!(first, FIN | PING);
                    peer.send(frame(FIN | PONG, payload));
                }
                peer.send(text("still here"));
                assert_eq!(peer.text(), "still here");
                peer.close();
            },
        );
    }
}

#[test]
fn a_client_that_speaks_gets_no_ping() {
    simulated(
        |builder| builder,
        || handler,
        |address| {
            let mut peer = open(address, "/");
            for _ in 0..20 {
                sched::sleep(secs(20));
                peer.send(text("x"));
                assert_eq!(peer.text(), "x");
            }
            peer.close();
        },
    );
}

#[test]
fn the_times_are_settings() {
    simulated(
        |builder| builder,
        || handler,
        |address| {
            let since = sim::elapsed();
            let mut peer = open(address, "/quick");
            assert_eq!(peer.next().expect("a Ping").0, FIN | PING);
            assert_between(time_since(since), secs(2), secs(3));
            assert_eq!(peer.next().expect("a Ping").0, FIN | PING);
            assert_eq!(peer.next().expect("a Close frame").1, IDLE.1);
            assert_between(time_since(since), secs(5), secs(6));
            let mut peer = open(address, "/silent");
            sched::sleep(secs(100_000));
            peer.send(text("still here"));
            assert_eq!(peer.text(), "still here");
            peer.close();
        },
    );
}

/// The message comes one byte every ten seconds: the client is not silent.
#[test]
fn a_slow_message_is_no_silence() {
    simulated(
        |builder| builder,
        || handler,
        |address| {
            let mut peer = open(address, "/");
            for byte in text("slow as can be") {
                sched::sleep(secs(10));
                peer.send([byte]);
            }
            assert_eq!(peer.text(), "slow as can be");
            peer.close();
        },
    );
}

/// The client has gone without a word, as one whose battery is empty.
#[test]
fn a_client_that_vanished_is_noticed() {
    let counters = simulated(
        |builder| builder,
        || {
            |request: &mut Request| {
                let server = request.server();
                if request.path() == "/count" {
                    let open = WebSocketCounters::of(&server).open;
                    return straightline::IntoResponse::into_response(open.to_string());
                }
                handler(request)
            }
        },
        |address| {
            let peer = open(address, "/");
            sched::sleep(secs(70));
            let mut other = TcpStream::connect(address).expect("the server listens");
            other.write_all(b"GET /count HTTP/1.0\r\n\r\n").expect("it reads");
            let mut answer = String::new();
            other.read_to_string(&mut answer).expect("an answer");
            assert!(answer.ends_with("\r\n\r\n0"), "{answer}");
            drop(peer);
        },
    );
    assert_eq!(counters.aborted, 1);
}

#[test]
fn the_payload_of_the_close_is_the_code_and_a_reason() {
    assert_eq!(IDLE.1, close_payload(1008, "idle"));
}
