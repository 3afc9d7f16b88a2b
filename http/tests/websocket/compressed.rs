//! Compressed messages (RFC 7692): cases 12 and 13 of the Autobahn suite, and bombs.

use std::cell::Cell;
use std::io::Read;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};

use crate::common::{Running, serve, serve_with};
use crate::peer::{BINARY, FIN, PING, Peer, TEXT, close, eventually, frame, handshake, text};
use straightline::sched;
use straightline::websocket::{Endpoint, WebSocket};
use straightline::{Capacity, Request};

/// The bit of a compressed message.
const COMPRESSED: u8 = 0x40;

fn echo(mut socket: WebSocket) -> std::io::Result<()> {
    while let Some(message) = socket.receive()? {
        socket.send(message)?;
    }
    Ok(())
}

fn server() -> Running {
    let endpoint = Endpoint::new().message_bytes(1 << 20).compression(true);
    serve(move |request: &mut Request| endpoint.upgrade(request, echo))
}

/// Opens a WebSocket with that offer; whether it was taken.
fn open(server: &Running, offer: &str) -> (Peer<TcpStream>, bool) {
    let field = format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n");
    let request = handshake("/").replace("\r\n\r\n", &field);
    let (mut peer, head) = Peer::after(server.client().stream, &request);
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    // A bound that the client sets is answered (RFC 7692 section 7.1.2.1).
    let bound = if offer.contains("server_max_window_bits=15") { OWN_BOUND } else { "" };
    let agreed = format!("{agreed}{bound}");
    let is_agreed = head.contains(&format!("\r\nsec-websocket-extensions: {agreed}\r\n"))
        || head.contains(&format!("\r\nSec-WebSocket-Extensions: {agreed}\r\n"));
    assert_eq!(head.to_lowercase().contains("extensions"), is_agreed, "{head}");
    if is_agreed {
        peer.allowed_bits = COMPRESSED;
    }
    (peer, is_agreed)
}

const OWN_BOUND: &str = "; server_max_window_bits=15";

/// Without the end of a flush, as in a message; the final block is closed by an empty one.
fn compress(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    DeflateEncoder::new(payload, Compression::best()).read_to_end(&mut bytes).expect("memory");
    bytes.push(0);
    bytes
}

fn inflated(first: u8, payload: Vec<u8>) -> Vec<u8> {
    if first & COMPRESSED == 0 {
        return payload;
    }
    let whole = [&payload[..], &[0, 0, 0xff, 0xff]].concat();
    let mut bytes = Vec::new();
    // The stream has no final block, so its end is an error; all of the message comes before.
    let _ = DeflateDecoder::new(&whole[..]).read_to_end(&mut bytes);
    bytes
}

/// Cases 13: what is offered, and whether it is taken.
const OFFERS: [(&str, bool); 9] = [
    ("permessage-deflate", true),
    ("permessage-deflate; client_no_context_takeover", true),
    ("permessage-deflate; server_no_context_takeover; client_max_window_bits", true),
    ("permessage-deflate; client_max_window_bits=9", true),
    ("permessage-deflate; server_max_window_bits=9", false),
    ("permessage-deflate; server_max_window_bits=9, permessage-deflate", true),
    ("permessage-deflate; server_max_window_bits=15; client_max_window_bits", true),
    ("permessage-deflate; server_max_window_bits", false),
    ("x-unknown, permessage-deflate; client_max_window_bits=15", true),
];

#[test]
fn each_offer_is_taken_or_declined_and_messages_come_back() {
    let server = server();
    for (offer, is_taken) in OFFERS {
        let (mut peer, is_agreed) = open(&server, offer);
        assert_eq!(is_agreed, is_taken, "{offer}");
        for size in [0, 16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072] {
            let payload: Vec<u8> = b"abcdefghijklm".iter().copied().cycle().take(size).collect();
            for opcode in [TEXT, BINARY] {
                if is_agreed {
                    peer.send(frame(FIN | COMPRESSED | opcode, compress(&payload)));
                } else {
                    peer.send(frame(FIN | opcode, &payload));
                }
                let (first, received) = peer.next().expect("an echo");
                assert_eq!(first & 0x0f, opcode);
                if is_agreed && size >= 1024 {
                    assert!(first & COMPRESSED != 0 && received.len() < payload.len());
                }
                assert!(inflated(first, received) == payload, "{offer}: {size}");
            }
        }
        peer.close();
    }
}

#[test]
fn compressed_and_plain_messages_mix_and_fragments_are_one_message() {
    let server = server();
    let (mut peer, _) = open(&server, "permessage-deflate");
    let compressed = compress(b"Hello, compressed world");
    let (first, rest) = compressed.split_at(7);
    peer.send(text("plain"));
    assert_eq!(peer.text(), "plain");
    peer.send(frame(COMPRESSED | TEXT, first));
    peer.send(frame(FIN | PING, "between"));
    peer.send(frame(FIN, rest));
    assert_eq!(peer.next().expect("a Pong").1, b"between");
    assert_eq!(peer.text(), "Hello, compressed world");
    peer.close();
}

#[test]
fn the_bit_is_only_for_the_first_frame_of_a_message() {
    let server = server();
    for sent in [
        frame(FIN | COMPRESSED | PING, ""),
        [frame(COMPRESSED | TEXT, compress(b"x")), frame(FIN | COMPRESSED, "")].concat(),
        frame(FIN | 0x20 | TEXT, ""),
        frame(FIN | COMPRESSED | 8, close(1000, "")),
    ] {
        let (mut peer, _) = open(&server, "permessage-deflate");
        peer.send(sent);
        assert_eq!(peer.closed(), 1002);
    }
    // It was not agreed on.
    let (mut peer, _) = open(&server, "other");
    peer.send(frame(FIN | COMPRESSED | TEXT, compress(b"x")));
    assert_eq!(peer.closed(), 1002);
}

/// A kilobyte for each mebibyte: the limit counts what the program would get.
#[test]
fn a_bomb_is_too_long() {
    let server = server();
    for (length, fits) in [((1 << 20) - 1, true), (1 << 20, true), ((1 << 20) + 1, false)] {
        let (mut peer, _) = open(&server, "permessage-deflate");
        peer.send(frame(FIN | COMPRESSED | BINARY, compress(&vec![0; length])));
        if fits {
            let (first, payload) = peer.next().expect("an echo");
            assert_eq!(inflated(first, payload).len(), length);
            peer.close();
        } else {
            assert_eq!(peer.closed(), 1009);
        }
    }
    let (mut peer, _) = open(&server, "permessage-deflate");
    peer.send(frame(FIN | COMPRESSED | BINARY, compress(&vec![0; 200 << 20])));
    assert_eq!(peer.closed(), 1009);
}

#[test]
fn what_is_not_compressed_as_agreed_ends_the_conversation() {
    let server = server();
    for payload in [&b"\xff\xff\xff\xff"[..], b"\x06", b"\xf2\x48\xcd\xc9\xc9\x07\x00\xff\xff"] {
        let (mut peer, _) = open(&server, "permessage-deflate");
        peer.send(frame(FIN | COMPRESSED | TEXT, payload));
        assert_eq!(peer.closed(), 1007, "{payload:?}");
    }
    // What comes out is not UTF-8.
    let (mut peer, _) = open(&server, "permessage-deflate");
    peer.send(frame(FIN | COMPRESSED | TEXT, compress(b"\xff")));
    assert_eq!(peer.closed(), 1007);
}

/// A message that stands for a thousand times its bytes: other fibers have their turn meanwhile.
#[test]
fn other_fibers_run_while_a_message_is_inflated() {
    let endpoint = Endpoint::new().message_bytes(16 << 20).compression(true);
    let server = serve(move |request: &mut Request| {
        endpoint.upgrade(request, |mut socket| {
            assert_eq!(socket.receive()?.expect("a message").as_text(), Some("go"));
            // The bomb has come together with that message, so nothing has to be awaited.
            let turns = Rc::new(Cell::new(0));
            let counter = Rc::clone(&turns);
            let counting = sched::spawn(move || {
                loop {
                    counter.update(|turns: u32| turns + 1);
                    sched::yield_now();
                }
            });
            let length = socket.receive()?.expect("a message").len();
            counting.cancel();
            Ok(socket.send(format!("{length} {}", turns.get() > 2))?)
        })
    });
    let (mut peer, _) = open(&server, "permessage-deflate");
    let bomb = frame(FIN | COMPRESSED | BINARY, compress(&vec![0; 16 << 20]));
    peer.send([text("go"), bomb].concat());
    assert_eq!(peer.text(), format!("{} true", 16 << 20));
}

/// Each deadline unwinds the fiber at some step.
#[test]
fn a_deadline_loses_no_message_that_is_being_inflated() {
    let endpoint = Endpoint::new().message_bytes(16 << 20).compression(true);
    let server = serve(move |request: &mut Request| {
        endpoint.upgrade(request, |mut socket| {
            loop {
                // In a simulation no time would pass.
                match sched::deadline(Duration::from_micros(50), || socket.receive()) {
                    Ok(Ok(Some(message))) => socket.send(message.len().to_string())?,
                    Ok(received) => return Ok(received.map(drop)?),
                    Err(sched::DeadlineExceeded) => {}
                }
            }
        })
    });
    let (mut peer, _) = open(&server, "permessage-deflate");
    for length in [16 << 20, 1000] {
        peer.send(frame(FIN | COMPRESSED | BINARY, compress(&vec![0; length])));
        assert_eq!(peer.text(), length.to_string());
    }
    peer.close();
}

/// A message that fits, and memory that does not suffice for it.
#[test]
fn a_message_that_is_inflated_counts_as_memory_of_the_server() {
    let endpoint = Endpoint::new().message_bytes(64 << 20).compression(true);
    let server = serve_with(
        |builder| builder.capacity(Capacity::default().with_memory_bytes(8 << 20)),
        move |request: &mut Request| endpoint.upgrade(request, echo),
    );
    let (mut peer, _) = open(&server, "permessage-deflate");
    peer.send(frame(FIN | COMPRESSED | BINARY, compress(&vec![0; 32 << 20])));
    assert_eq!(peer.closed(), 1013);
    assert_eq!(server.handle.counters().short_of_memory, 1);
    assert!(eventually(|| server.handle.metrics().memory_held == 0));
}

#[test]
fn a_message_of_hundreds_of_final_blocks_ends_the_conversation() {
    let server = server();
    let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let (mut peer, _) = open(&server, "permessage-deflate");
    peer.send(frame(FIN | COMPRESSED | TEXT, [&hello.repeat(2)[..], &[0]].concat()));
    assert_eq!(peer.text(), "HelloHello");
    peer.send(frame(FIN | COMPRESSED | TEXT, [&hello.repeat(300)[..], &[0]].concat()));
    assert_eq!(peer.closed(), 1007);
}
