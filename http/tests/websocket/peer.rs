//! A peer that writes any bytes, and reads the frames of a server.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::Running;

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The bit of a message's last frame.
pub(crate) const FIN: u8 = 0x80;

pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

pub(crate) fn handshake(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    )
}

/// A frame of a client: its first byte (the bits and the opcode), and its payload, masked.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let (mask, payload) = ([0x37, 0xfa, 0x21, 0x3d], payload.as_ref());
    let mut bytes = head(first, 0x80, payload.len());
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A frame without a mask, which a client must not send.
pub(crate) fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [head(first, 0, payload.len()), payload.to_vec()].concat()
}

fn head(first: u8, mask_bit: u8, length: usize) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..126 => bytes.push(mask_bit | u8::try_from(length).expect("a byte")),
        126..65_536 => {
            bytes.push(mask_bit | 0x7e);
            bytes.extend_from_slice(&u16::try_from(length).expect("two bytes").to_be_bytes());
        }
        _ => {
            bytes.push(mask_bit | 0x7f);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes
}

pub(crate) fn text(payload: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | TEXT, payload)
}

pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    frame(FIN | CLOSE, close_payload(code, reason))
}

pub(crate) fn close_payload(code: u16, reason: impl AsRef<[u8]>) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_ref()].concat()
}

/// Whether that comes true, for a state that nothing announces.
pub(crate) fn eventually(condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// What the server has sent: the first byte of the frame, and its payload.
pub(crate) type Received = (u8, Vec<u8>);

/// A client whose WebSocket is open. It works over std's streams and over those of a simulation.
pub(crate) struct Peer<S> {
    pub(crate) stream: S,
    buffer: Vec<u8>,
    /// Bits of extensions that the server may set.
    pub(crate) allowed_bits: u8,
}

impl Peer<TcpStream> {
    /// Opens a WebSocket.
    pub(crate) fn open(server: &Running, path: &str) -> Self {
        let client = server.client();
        Self::over(client.stream, path)
    }
}

impl<S: Read + Write> Peer<S> {
    pub(crate) fn over(stream: S, path: &str) -> Self {
        Self::after(stream, &handshake(path)).0
    }

    /// Sends that request, and reads the head of its response.
    pub(crate) fn after(mut stream: S, request: &str) -> (Self, String) {
        stream.write_all(request.as_bytes()).expect("the server reads");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", head.escape_ascii());
        let head = String::from_utf8(head).expect("text");
        (Self { stream, buffer: Vec::new(), allowed_bits: 0 }, head)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
        self
    }

    /// The next frame; `None` at the end of the stream. A server has no reason to use fragments,
    /// reserved bits or masks.
    pub(crate) fn next(&mut self) -> Option<Received> {
        loop {
            if let Some((frame, count)) = parse(&self.buffer) {
                self.buffer.drain(..count);
                assert_eq!(
                    frame.0 & !0x0f & !self.allowed_bits,
                    FIN,
                    "a whole frame without extensions"
                );
                return Some(frame);
            }
            let mut chunk = vec![0; 64 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    assert_eq!(self.buffer, b"", "half a frame");
                    return None;
                }
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("the server is silent: {error}"),
            }
        }
    }

    /// The next frame, which has to be a text.
    pub(crate) fn text(&mut self) -> String {
        let (first, payload) = self.next().expect("a frame");
        assert_eq!(first, FIN | TEXT);
        String::from_utf8(payload).expect("UTF-8")
    }

    /// The code of the next frame, which has to be a Close, and of the stream's end behind it.
    pub(crate) fn closed(&mut self) -> u16 {
        let (first, payload) = self.next().expect("a Close frame");
        assert_eq!(first, FIN | CLOSE, "{}", payload.escape_ascii());
        assert_eq!(self.next(), None, "nothing comes behind a Close frame");
        match payload.first_chunk() {
            Some(code) => u16::from_be_bytes(*code),
            None => 1005,
        }
    }

    /// As [`closed`](Self::closed), and answers the Close frame.
    pub(crate) fn closed_after_ours(&mut self) -> u16 {
        let (first, payload) = self.next().expect("a Close frame");
        assert_eq!(first, FIN | CLOSE);
        self.send(frame(FIN | CLOSE, &payload));
        assert_eq!(self.next(), None);
        u16::from_be_bytes(*payload.first_chunk().expect("a code"))
    }

    /// Closes, and gets the same code back.
    pub(crate) fn close(&mut self) {
        assert_eq!(self.send(close(1000, "")).closed(), 1000);
    }
}

/// The frame at the beginning, if it is complete, and its length.
fn parse(bytes: &[u8]) -> Option<(Received, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "a server sends no mask");
    let (length, head) = match second {
        126 => (usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
            (usize::try_from(length).expect("it fits into memory"), 10)
        }
        length => (usize::from(length), 2),
    };
    let payload = bytes.get(head..head + length)?;
    Some(((first, payload.to_vec()), head + length))
}
