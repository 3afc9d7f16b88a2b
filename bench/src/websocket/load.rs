//! The clients: each sends a message, reads it back, and sends the next. Or they rest.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use straightline::net::TcpStream;

use crate::clients::{self, Outcome};

/// Runs the clients on the calling thread, with messages of so many bytes.
pub(super) fn run(
    server: SocketAddr,
    connections: u16,
    message_bytes: usize,
    time: Duration,
) -> io::Result<Outcome> {
    clients::run(connections, time, move |deadline, messages| {
        speak(server, message_bytes, deadline, messages)
    })
}

fn speak(
    server: SocketAddr,
    message_bytes: usize,
    deadline: Instant,
    messages: &Cell<u64>,
) -> io::Result<()> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    open(&mut stream, "/")?;
    let payload = vec![b'x'; message_bytes];
    let (sent, expected) = (frame(&payload, true), frame(&payload, false));
    let mut received = vec![0; expected.len()];
    while Instant::now() < deadline {
        stream.write_all(&sent)?;
        stream.read_exact(&mut received)?;
        if received != expected {
            return Err(io::Error::new(ErrorKind::InvalidData, "another frame"));
        }
        clients::count(messages);
    }
    Ok(())
}

/// So many clients whose WebSockets are open, and which say nothing more than one message.
pub(super) fn rest(server: SocketAddr, count: usize) -> io::Result<Vec<std::net::TcpStream>> {
    let client = || {
        let mut stream = std::net::TcpStream::connect(server)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        open(&mut stream, "/")?;
        let expected = frame(b"hello", false);
        let mut received = vec![0; expected.len()];
        stream.write_all(&frame(b"hello", true))?;
        stream.read_exact(&mut received)?;
        Ok(stream)
    };
    (0..count).map(|_| client()).collect()
}

/// Begins a WebSocket at that path.
pub(crate) fn open(stream: &mut (impl Read + Write), path: &str) -> io::Result<()> {
    stream.write_all(format!("GET {path} {HANDSHAKE}").as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    if head.starts_with(b"HTTP/1.1 101 ") {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidData, String::from_utf8_lossy(&head).into_owned()))
}

/// A text, with or without a mask.
pub(crate) fn frame(payload: &[u8], is_masked: bool) -> Vec<u8> {
    let mask_bit = if is_masked { 0x80 } else { 0 };
    let mut bytes = vec![0x81];
    if let Ok(length @ 0..126) = u8::try_from(payload.len()) {
        bytes.push(mask_bit | length);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        bytes.push(mask_bit | 0x7e);
        bytes.extend(length.to_be_bytes());
    } else {
        bytes.push(mask_bit | 0x7f);
        bytes.extend((payload.len() as u64).to_be_bytes());
    }
    let mask = if is_masked { [1, 2, 3, 4] } else { [0; 4] };
    bytes.extend_from_slice(if is_masked { &mask } else { &[] });
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A handshake behind the path.
const HANDSHAKE: &str = "HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// Arbitrary: a server answers in milliseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
