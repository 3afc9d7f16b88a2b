//! How a conversation ends that the server closes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::common::serve;
use crate::common::simulated::{assert_between, secs, simulated, simulated_to_its_end, time_since};
use crate::peer::{CLOSE, FIN, PING, Peer, close, close_payload, eventually, frame, text};
use straightline::net::TcpStream;
use straightline::sched::{self, sim};
use straightline::websocket::{CloseCode, Error, Incoming, WebSocket, WebSocketCounters, upgrade};
use straightline::{Request, Response};

fn open(address: SocketAddr, path: &str) -> Peer<TcpStream> {
    Peer::over(TcpStream::connect(address).expect("the server listens"), path)
}

fn handler(request: &mut Request) -> Response {
    let run: fn(WebSocket) -> io::Result<()> = match request.path() {
        "/return" => |_| Ok(()),
        "/error" => |_| Err(io::Error::other("on purpose")),
        "/panic" => |_| panic!("on purpose"),
        "/policy" => |mut socket| {
            socket.close(CloseCode::POLICY, "no");
            socket.close(CloseCode::NORMAL, "ignored");
            assert!(matches!(socket.send("late"), Err(Error::Closed)));
            assert_eq!(socket.receive()?, None);
            Ok(())
        },
        "/or" => |mut socket| {
            let never = sched::sync::Flag::new();
            match socket.receive_or(&[&never])? {
                Incoming::Closed => Ok(()),
                other => panic!("{other:?}"),
            }
        },
        _ => |mut socket| {
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok(())
        },
    };
    upgrade(request, run)
}

fn close_of(peer: &mut Peer<TcpStream>) -> (u16, String) {
    let (first, payload) = peer.next().expect("a Close frame");
    assert_eq!(first, FIN | CLOSE);
    let (code, reason) = payload.split_first_chunk().expect("a code");
    (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).expect("UTF-8"))
}

#[test]
fn the_end_of_the_function_is_a_close() {
    for (path, code, panics) in [("/return", 1000, 0), ("/error", 1011, 0), ("/panic", 1011, 1)] {
        let counters = simulated(
            |builder| builder,
            || handler,
            move |address| {
                let mut peer = open(address, path);
                assert_eq!(close_of(&mut peer).0, code);
                peer.send(close(code, ""));
                assert_eq!(peer.next(), None);
            },
        );
        assert_eq!(counters.panicked, panics, "{path}");
    }
}

#[test]
fn a_client_that_answers_ends_it_at_once() {
    simulated(
        |builder| builder,
        || handler,
        |address| {
            let since = sim::elapsed();
            let mut peer = open(address, "/policy");
            assert_eq!(close_of(&mut peer), (1008, "no".to_owned()));
            // What was on its way is dropped, and not answered.
            peer.send([text("crossing"), frame(FIN | PING, "crossing"), close(1008, "")].concat());
            assert_eq!(peer.next(), None);
            assert_between(time_since(since), Duration::ZERO, secs(1));
        },
    );
}

/// The default close timeout is 5 seconds, and the server lingers for one more.
#[test]
fn a_client_that_never_answers_is_disconnected() {
    for path in ["/policy", "/return"] {
        let counters = simulated(
            |builder| builder,
            || handler,
            move |address| {
                let since = sim::elapsed();
                let mut peer = open(address, path);
                close_of(&mut peer);
                // It goes on speaking, and is not disconnected the later for that.
                for _ in 0..4 {
                    sched::sleep(secs(1));
                    peer.send(text("I did not hear that"));
                }
                assert_eq!(peer.next(), None);
                assert_between(time_since(since), secs(5), secs(7));
            },
        );
        assert_eq!(counters.panicked, 0);
    }
}

#[test]
fn a_drain_closes_with_1001() {
    for path in ["/", "/or"] {
        let counters = simulated_to_its_end(
            |builder| builder.drain_timeout(secs(30)),
            || handler,
            move |address, server| {
                let mut peers: Vec<_> = (0..10).map(|_| open(address, path)).collect();
                sched::sleep(secs(1));
                let since = sim::elapsed();
                server.shutdown();
                for peer in &mut peers {
                    assert_eq!(close_of(peer), (1001, String::new()), "{path}");
                    peer.send(close(1001, ""));
                    assert_eq!(peer.next(), None);
                }
                assert_between(time_since(since), Duration::ZERO, secs(1));
                assert_eq!(WebSocketCounters::of(server).open, 0);
            },
        );
        assert_eq!((counters.force_closed, counters.aborted, counters.drained), (0, 0, 10));
    }
}

#[test]
fn a_drain_does_not_wait_for_a_client_that_does_not_answer() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(60)),
        || handler,
        |address, server| {
            let mut peer = open(address, "/");
            sched::sleep(secs(1));
            let since = sim::elapsed();
            server.shutdown();
            assert_eq!(close_of(&mut peer).0, 1001);
            assert_eq!(peer.next(), None);
            assert_between(time_since(since), secs(5), secs(7));
            let counters = WebSocketCounters::of(server);
            assert_eq!((counters.open, counters.unanswered_closes), (0, 1));
        },
    );
    assert_eq!(counters.force_closed, 0);
}

#[test]
fn the_program_hears_what_the_client_said() {
    let (sender, said) = std::sync::mpsc::channel();
    let server = serve(move |request: &mut Request| {
        let sender = sender.clone();
        upgrade(request, move |mut socket| {
            assert!(socket.close_frame().is_none());
            assert_eq!(socket.receive()?, None);
            sender.send(socket.close_frame()).expect("the test waits");
            Ok(())
        })
    });
    for (sent, expected) in
        [(close(4321, "bye"), (Some(4321), "bye")), (frame(FIN | CLOSE, ""), (None, ""))]
    {
        let mut peer = Peer::open(&server, "/");
        peer.send(sent);
        peer.closed();
        let frame = said.recv_timeout(secs(30)).expect("an end").expect("a Close frame");
        assert_eq!((frame.code.map(CloseCode::number), &*frame.reason), expected);
    }
    assert_eq!(close_payload(1000, "x"), b"\x03\xe8x");
}

#[test]
fn a_connection_that_ends_without_a_close_is_a_failure() {
    let server = serve(handler);
    let peer = Peer::open(&server, "/");
    drop(peer);
    assert!(eventually(|| WebSocketCounters::of(&server.handle).open == 0));
    server.handle.shutdown();
    let counters = server.join();
    assert_eq!((counters.aborted, counters.panicked), (1, 0));
}
