//! The cases of the Autobahn test suite for servers, by their numbers.
//!
//! The suite itself needs an old Python. Its cases are data: what a client sends, in which pieces,
//! and what an echoing server has to do. Where the suite calls an answer "not strict", the answer
//! here is the strict one: a text that is not UTF-8 is refused as soon as that is certain.
//!
//! | cases | what | where |
//! |---|---|---|
//! | 1.1.1 to 1.2.8 | texts and bytes of each form of length | `frames` |
//! | 2.1 to 2.11 | Pings and Pongs | `frames` |
//! | 3.1 to 3.7 | reserved bits | `frames` |
//! | 4.1.1 to 4.2.5 | reserved opcodes | `frames` |
//! | 5.1 to 5.20 | fragments | `fragments` |
//! | 6.1.1 to 6.23.7 | UTF-8 | `utf8` |
//! | 7.1.1 to 7.13.2 | Close frames | `closes` |
//! | 9.1.1 to 9.8.6 | long messages, and many messages | `sizes` |
//! | 10.1.1 | fragments of a fixed size | `sizes` |
//! | 12.1 to 12.5, 13.1 to 13.7 | compression: lengths, and offers | `compressed`, beside this |
//!
//! Of the cases of compression, each length and each offer is tried, with fewer messages.

mod closes;
mod fragments;
mod frames;
mod sizes;
mod utf8;

use std::net::TcpStream;

use crate::common::{Running, serve};
use crate::peer::{BINARY, FIN, Peer, TEXT, close};
use straightline::Request;
use straightline::websocket::{Endpoint, WebSocket};

/// How a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client closes with 1000, and gets that back.
    Clean,
    /// The server closes with this code, 1005 for none, without another Close frame of the client.
    Closed(u16),
}

/// A case of the suite.
struct Case {
    number: String,
    /// What the client sends, frame by frame.
    sent: Vec<Vec<u8>>,
    /// So many bytes are sent at a time; 0 for all of them together.
    chop: usize,
    /// The frames that come back before the end.
    received: Vec<(u8, Vec<u8>)>,
    end: End,
}

impl Case {
    fn new(number: impl Into<String>, sent: Vec<Vec<u8>>) -> Self {
        let number = number.into();
        Self { number, sent, chop: 0, received: Vec::new(), end: End::Clean }
    }

    fn chopped(mut self, chop: usize) -> Self {
        self.chop = chop;
        self
    }

    fn receives(mut self, opcode: u8, payload: impl AsRef<[u8]>) -> Self {
        self.received.push((FIN | opcode, payload.as_ref().to_vec()));
        self
    }

    fn ends(mut self, code: u16) -> Self {
        self.end = End::Closed(code);
        self
    }

    fn run(&self, server: &Running) {
        let mut peer = Peer::open(server, "/");
        peer.stream.set_nodelay(true).expect("an option");
        let bytes = self.sent.concat();
        match self.chop {
            0 => drop(peer.send(&bytes)),
            chop => bytes.chunks(chop).for_each(|chunk| send_if_open(&mut peer, chunk)),
        }
        for expected in &self.received {
            let received = peer.next().unwrap_or_else(|| panic!("case {}: the end", self.number));
            assert!(received == *expected, "case {}: another frame", self.number);
        }
        if self.end == End::Clean {
            peer.send(close(1000, ""));
        }
        let expected = if let End::Closed(code) = self.end { code } else { 1000 };
        assert_eq!(peer.closed(), expected, "case {}", self.number);
    }
}

/// The server may have closed before the last pieces.
fn send_if_open(peer: &mut Peer<TcpStream>, chunk: &[u8]) {
    use std::io::Write;
    let _ = peer.stream.write_all(chunk);
}

fn echo(mut socket: WebSocket) -> std::io::Result<()> {
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

fn run(cases: impl IntoIterator<Item = Case>) {
    let endpoint = Endpoint::new().message_bytes(16 * 1024 * 1024);
    let server = serve(move |request: &mut Request| endpoint.upgrade(request, echo));
    let mut count = 0;
    for case in cases {
        case.run(&server);
        count += 1;
    }
    assert!(count > 0, "no case");
    assert_eq!(server.handle.counters().panicked, 0);
}

/// The two kinds of messages, with the numbers of their groups.
const KINDS: [(u8, u8); 2] = [(1, TEXT), (2, BINARY)];
