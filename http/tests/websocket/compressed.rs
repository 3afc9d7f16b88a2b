//! Compressed messages (RFC 7692): cases 12 and 13 of the Autobahn suite, and bombs.

use std::io::Read;
use std::net::TcpStream;

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};

use crate::common::{Running, serve};
use crate::peer::{BINARY, FIN, PING, Peer, TEXT, close, frame, handshake, text};
use straightline::Request;
use straightline::websocket::{Endpoint, WebSocket};

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
    let is_agreed = head.contains(&format!("\r\nsec-websocket-extensions: {agreed}\r\n"))
        || head.contains(&format!("\r\nSec-WebSocket-Extensions: {agreed}\r\n"));
    assert_eq!(head.to_lowercase().contains("extensions"), is_agreed, "{head}");
    if is_agreed {
        peer.allowed_bits = COMPRESSED;
    }
    (peer, is_agreed)
}

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
const OFFERS: [(&str, bool); 7] = [
    ("permessage-deflate", true),
    ("permessage-deflate; client_no_context_takeover", true),
    ("permessage-deflate; server_no_context_takeover; client_max_window_bits", true),
    ("permessage-deflate; client_max_window_bits=9", true),
    ("permessage-deflate; server_max_window_bits=9", false),
    ("permessage-deflate; server_max_window_bits=9, permessage-deflate", true),
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
