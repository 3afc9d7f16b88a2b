//! Deadlines, cancels, vanished peers: each conversation ends, and leaves nothing behind.

use std::io;
use std::sync::mpsc;
use std::time::Duration;

use crate::common::simulated::{assert_between, secs, simulated, simulated_to_its_end, time_since};
use crate::common::{Running, serve};
use crate::peer::{FIN, Peer, TEXT, close, eventually, frame, text};
use straightline::net::TcpStream;
use straightline::sched::{self, sim};
use straightline::websocket::{Error, WebSocket, WebSocketCounters, upgrade};
use straightline::{Event, Request};

fn wait_until_closed(server: &Running) {
    let is_closed = || {
        let counters = server.handle.counters();
        WebSocketCounters::of(&server.handle).open == 0 && counters.accepted == counters.closed
    };
    assert!(eventually(is_closed), "{:?}", server.handle.counters());
}

/// Receives until the conversation is closed.
fn listen(socket: &mut WebSocket) -> Result<(), Error> {
    while socket.receive()?.is_some() {}
    Ok(())
}

/// The message comes in single bytes, and each wait for one of them is unwound.
#[test]
fn a_deadline_loses_no_part_of_a_message() {
    fn patient(mut socket: WebSocket) -> io::Result<()> {
        let mut unwound = 0;
        loop {
            match sched::deadline(Duration::from_millis(10), || socket.receive()) {
                Ok(received) => {
                    let message = received?.expect("a message");
                    assert_eq!(message.as_text(), Some("in pieces"));
                    return Ok(socket.send(unwound.to_string())?);
                }
                Err(sched::DeadlineExceeded) => unwound += 1,
            }
        }
    }
    simulated(
        |builder| builder,
        || |request: &mut Request| upgrade(request, patient),
        |address| {
            let mut peer = Peer::over(TcpStream::connect(address).expect("it listens"), "/");
            let halves = [frame(TEXT, "in "), frame(FIN, "pieces")].concat();
            for byte in halves {
                sched::sleep(Duration::from_millis(25));
                peer.send([byte]);
            }
            let unwound: u32 = peer.text().parse().expect("a number");
            assert!(unwound >= 40, "{unwound} deadlines");
            peer.send(close(1000, ""));
        },
    );
}

#[test]
fn a_deadline_of_the_whole_conversation_ends_it() {
    let counters = simulated(
        |builder| builder,
        || {
            |request: &mut Request| {
                upgrade(request, |mut socket| {
                    match sched::deadline(secs(10), || listen(&mut socket)) {
                        Ok(result) => Ok(result?),
                        Err(sched::DeadlineExceeded) => Ok(()),
                    }
                })
            }
        },
        |address| {
            let since = sim::elapsed();
            let mut peer = Peer::over(TcpStream::connect(address).expect("it listens"), "/");
            let (_, payload) = peer.next().expect("a Close frame");
            assert_eq!(payload, b"\x03\xe8");
            assert_between(time_since(since), secs(10), secs(11));
            peer.send(close(1000, ""));
            assert_eq!(peer.next(), None);
        },
    );
    assert_eq!((counters.cancelled, counters.aborted), (0, 0));
}

/// The handler waits for something that never happens, and not for its client.
#[test]
fn the_end_of_a_drain_cancels_with_1001() {
    let counters = simulated_to_its_end(
        |builder| builder.drain_timeout(secs(3)),
        || {
            |request: &mut Request| {
                upgrade(request, |socket| {
                    let never = sched::sync::Flag::new();
                    never.wait()?;
                    drop(socket);
                    Ok(())
                })
            }
        },
        |address, server| {
            let mut peer = Peer::over(TcpStream::connect(address).expect("it listens"), "/");
            let since = sim::elapsed();
            server.shutdown();
            let (_, payload) = peer.next().expect("a Close frame");
            assert_eq!(payload, b"\x03\xe9");
            assert_between(time_since(since), secs(3), secs(4));
        },
    );
    assert_eq!(counters.force_closed, 1);
}

#[test]
fn a_sender_that_outlives_the_function_sends_nothing_more() {
    let (told, result) = mpsc::channel();
    let server = serve(move |request: &mut Request| {
        let told = told.clone();
        upgrade(request, move |socket| {
            let sender = socket.sender();
            sched::spawn(move || {
                while sender.send("tick").is_ok() {
                    sched::sleep(Duration::from_millis(1));
                }
                told.send(sender.send("late")).expect("the test waits");
            });
            sched::sleep(Duration::from_millis(5));
            Ok(())
        })
    });
    let mut peer = Peer::open(&server, "/");
    while peer.next().expect("ticks, and a Close frame").0 == FIN | TEXT {}
    peer.send(close(1000, ""));
    assert_eq!(peer.next(), None);
    let late = result.recv_timeout(secs(30)).expect("the fiber ends");
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
}

/// Echoes, while another fiber of the conversation sends something long and goes on.
fn busy_echo(mut socket: WebSocket) -> io::Result<()> {
    let sender = socket.sender();
    sched::scope(|scope| {
        let helper = scope.spawn(move || {
            let sent = sender.send(vec![0; 1 << 20]);
            sched::sleep(Duration::MAX);
            sent
        });
        let mut echo = || -> io::Result<()> {
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok(())
        };
        let result = echo();
        helper.cancel();
        result
    })
}

/// Every end that a client can cause, many times: nothing is left of any.
#[test]
fn nothing_is_left_of_a_conversation() {
    let server = serve(|request: &mut Request| upgrade(request, busy_echo));
    let fibers = || {
        let shards = server.handle.inspect(0, secs(10));
        let fibers = shards.into_iter().flat_map(|(_, shard)| shard.expect("it answers"));
        fibers.map(|fiber| fiber.to_string()).collect::<Vec<_>>()
    };
    // A connection that has been served leaves what the shard starts at its first one.
    assert_eq!(server.client().get("/").status, 426);
    let before = fibers().len();
    for nth in 0..60 {
        let mut peer = Peer::open(&server, "/");
        match nth % 6 {
            0 => drop(peer.send(text("hello"))),
            1 => drop(peer.send(&text("half")[..5])),
            2 => drop(peer.send([0xff; 20])),
            3 => drop(peer.send(close(1000, ""))),
            4 => while peer.next().expect("a frame").0 != FIN | 2 {},
            _ => peer.stream.shutdown(std::net::Shutdown::Both).expect("open"),
        }
    }
    wait_until_closed(&server);
    assert_eq!(WebSocketCounters::of(&server.handle).opened, 60);
    // The last fiber ends a moment after its connection.
    let is_alone = || fibers().len() <= before;
    assert!(eventually(is_alone), "{:#?}", fibers());
    assert_eq!(server.handle.metrics().memory_held, 0);
    assert_eq!(server.handle.counters().panicked, 0);
}

#[test]
fn an_end_is_an_event() {
    let (sender, events) = mpsc::channel();
    let server = crate::common::serve_with(
        |builder| {
            builder.observer(move |event: &Event<'_>| {
                if let Event::ProtocolReported { protocol, message, .. } = event {
                    let _ = sender.send(format!("{protocol}: {message}"));
                }
            })
        },
        |request: &mut Request| upgrade(request, |mut socket| Ok(listen(&mut socket)?)),
    );
    let mut peer = Peer::open(&server, "/");
    peer.send(close(4000, ""));
    assert_eq!(peer.closed(), 4000);
    let event = events.recv_timeout(secs(30)).expect("an event");
    assert_eq!(event, "websocket: closed, the client said 4000");
    assert_eq!(server.client().get("/").status, 426);
    let event = events.recv_timeout(secs(30)).expect("an event");
    assert_eq!(event, "websocket: refused with 426 Upgrade Required");
}
