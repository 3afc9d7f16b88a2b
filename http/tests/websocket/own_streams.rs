//! A WebSocket over a stream of the program's own, which tells only what each stream must.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use crate::common::simulated::secs;
use crate::peer::{FIN, PING, Peer, text};
use straightline::net::MemoryStream;
use straightline::sched::sync::{Flag, Ready};
use straightline::sched::{self, Interest, sim};
use straightline::websocket::{Endpoint, Incoming, upgrade};
use straightline::{ConnectionEnd, Request, Response, Server, Transport};

/// Counts the tries.
struct Counted(MemoryStream, Rc<Cell<u32>>);

impl Transport for Counted {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.update(|count| count + 1);
        self.0.try_read(buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.1.update(|count| count + 1);
        self.0.try_write(bytes)
    }

    fn arm(&self, interest: Interest) -> io::Result<bool> {
        self.0.arm(interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        match interest {
            Interest::Read => self.0.readable(),
            Interest::Write => self.0.writable(),
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.0.shutdown(std::net::Shutdown::Write)
    }
}

fn handler(request: &mut Request) -> Response {
    match request.path() {
        "/or" => upgrade(request, |mut socket| {
            let never = Flag::new();
            loop {
                match socket.receive_or(&[&never])? {
                    Incoming::Message(message) => socket.send(message)?,
                    Incoming::Other(_) => panic!("the flag is clear"),
                    Incoming::Closed => return Ok(()),
                }
            }
        }),
        _ => Endpoint::new().upgrade(request, |mut socket| {
            while let Some(message) = socket.receive()? {
                socket.send(message)?;
            }
            Ok(())
        }),
    }
}

#[test]
fn it_waits_and_does_not_try_again_and_again() {
    for path in ["/", "/or"] {
        sim::run(5, move || {
            let server = Server::builder().build_local(handler).expect("a stack");
            let (client, stream) = MemoryStream::pair(4096);
            let (handle, tries) = (server.handle(), Rc::new(Cell::new(0)));
            let counted = Counted(stream, Rc::clone(&tries));
            let serving =
                sched::spawn(move || handle.serve(counted, straightline::Peer::named("a test")));
            let mut peer = Peer::over(client, path);
            let long = "long ".repeat(4000);
            for message in ["hello", &long] {
                peer.send(text(message));
                assert_eq!(peer.text(), message);
            }
            let before = tries.get();
            sched::sleep(secs(40));
            assert_eq!(peer.next(), Some((FIN | PING, Vec::new())));
            assert!(tries.get() < before + 10, "{path}: {} tries", tries.get() - before);
            peer.close();
            let end = serving.join().expect("no panic");
            assert!(matches!(end, ConnectionEnd::Closed), "{end:?}");
        });
    }
}
