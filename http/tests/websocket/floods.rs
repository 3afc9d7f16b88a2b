//! Clients that send as many frames as they can: the others of their thread have their turns.

use std::cell::Cell;
use std::rc::Rc;

use crate::peer::{FIN, PING, PONG, Peer, TEXT, frame, text};
use straightline::net::MemoryStream;
use straightline::sched::{self, sim};
use straightline::websocket::upgrade;
use straightline::{Request, Server};

/// Runs a client of an echo in a simulation, in which a flood has no chance of a pause.
fn with_peer(body: impl FnOnce(&mut Peer<MemoryStream>) + 'static) {
    sim::run(3, move || {
        let handler = |request: &mut Request| {
            upgrade(request, |mut socket| {
                while let Some(message) = socket.receive()? {
                    socket.send(message)?;
                }
                Ok(())
            })
        };
        let server = Server::builder().build_local(handler).expect("a stack");
        let (client, stream) = MemoryStream::pair(1 << 20);
        let handle = server.handle();
        let serving =
            sched::spawn(move || handle.serve(stream, straightline::Peer::named("a test")));
        let mut peer = Peer::over(client, "/");
        body(&mut peer);
        peer.close();
        serving.join().expect("no panic");
    });
}

#[test]
fn empty_fragments_leave_turns_to_the_other_fibers() {
    with_peer(|peer| {
        let fragments = 100_000;
        let mut bytes = frame(TEXT, "begin");
        bytes.extend(frame(0, "").repeat(fragments));
        bytes.extend(frame(FIN, " and end"));
        peer.send(bytes);
        let turns = Rc::new(Cell::new(0));
        let counted = Rc::clone(&turns);
        let other = sched::spawn(move || {
            loop {
                counted.update(|count| count + 1);
                sched::yield_now();
            }
        });
        assert_eq!(peer.text(), "begin and end");
        // A fiber has 128 operations, each of them of 32 frames.
        let least = fragments / (128 * 32);
        assert!(turns.get() >= least, "{} turns", turns.get());
        other.cancel();
    });
}

#[test]
fn of_many_pings_at_once_some_are_answered_and_the_last() {
    with_peer(|peer| {
        let sent: Vec<u8> =
            (0..1000_u16).flat_map(|nth| frame(FIN | PING, nth.to_be_bytes())).collect();
        peer.send(sent).send(text("end"));
        let mut answered = Vec::new();
        loop {
            match peer.next().expect("a frame") {
                (first, payload) if first == FIN | PONG => answered.push(payload),
                (first, payload) => {
                    assert_eq!((first, &payload[..]), (FIN | TEXT, &b"end"[..]));
                    break;
                }
            }
        }
        assert_eq!(answered.last(), Some(&999_u16.to_be_bytes().to_vec()));
        assert!((17..=40).contains(&answered.len()), "{} Pongs", answered.len());
    });
}
