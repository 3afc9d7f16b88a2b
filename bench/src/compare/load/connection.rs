//! A connection of a client, and one exchange on it.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use straightline::net::TcpStream;
use straightline_harness::{End, FromReply, Head, Reply, ReplyReader};

use super::Load;
use crate::compare::mode::{FILE_BYTES, Mode, PIECE_BYTES, PIECES};
use crate::serve::BODY;
use crate::{tls, websocket};

/// A connection that stays open.
pub(super) struct Connection {
    stream: Stream,
    replies: ReplyReader,
    /// Where a message of a WebSocket is read into.
    message: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// Connects, and makes the first exchange, which is not measured.
    pub(super) fn open(load: &Load) -> io::Result<Self> {
        let tcp = TcpStream::connect(load.server)?;
        tcp.set_nodelay(true)?;
        let mut stream = match load.mode {
            Mode::Tls => {
                let name = ServerName::try_from(tls::NAME).map_err(io::Error::other)?;
                let tls = ClientConnection::new(Arc::clone(&load.tls), name);
                Stream::Tls(Box::new(StreamOwned::new(tls.map_err(io::Error::other)?, tcp)))
            }
            _ => Stream::Plain(tcp),
        };
        let message = match load.mode {
            Mode::Websocket => {
                websocket::open(&mut stream, load.mode.path())?;
                websocket::frame(&MESSAGE, false)
            }
            _ => Vec::new(),
        };
        let mut connection = Self { stream, replies: ReplyReader::default(), message };
        connection.exchange(load, &bytes_to_send(load), |_, _| {})?;
        Ok(connection)
    }

    /// Sends `bytes`, and reads the responses to them. Gives `count` the number of responses that
    /// came at a time, and how long after the write.
    pub(super) fn exchange(
        &mut self,
        load: &Load,
        bytes: &[u8],
        mut count: impl FnMut(u64, Duration),
    ) -> io::Result<()> {
        let sent = Instant::now();
        self.stream.write_all(bytes)?;
        if load.mode == Mode::Websocket {
            self.stream.read_exact(&mut self.message)?;
            if !self.message.ends_with(&MESSAGE) {
                return Err(io::Error::new(ErrorKind::InvalidData, "another message"));
            }
            count(1, sent.elapsed());
            return Ok(());
        }
        let mut came = 0;
        for missing in (0..load.mode.depth()).rev() {
            self.read_expected(load.mode)?;
            came += 1;
            // The clock is read once for all responses that one read has brought.
            if missing == 0 || self.replies.is_empty() {
                count(came, sent.elapsed());
                came = 0;
            }
        }
        if self.replies.is_empty() { Ok(()) } else { Err(wrong("more than was asked for")) }
    }

    fn read_expected(&mut self, mode: Mode) -> io::Result<()> {
        match self.replies.reply::<Body>(&mut self.stream)? {
            Reply::Whole(body) => body.check(mode),
            Reply::Nothing(_) | Reply::Half(_) => Err(ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// A connection for one request; the server closes it.
pub(super) fn ask_once(load: &Load, bytes: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(load.server)?;
    let mut replies = ReplyReader::default();
    stream.write_all(bytes)?;
    match replies.reply::<Body>(&mut stream)? {
        Reply::Whole(body) => body.check(load.mode)?,
        Reply::Nothing(_) | Reply::Half(_) => return Err(ErrorKind::UnexpectedEof.into()),
    }
    match replies.reply::<Body>(&mut stream)? {
        Reply::Nothing(End::Closed) => {}
        _ => return Err(wrong("no close after the response")),
    }
    // With a reset no TIME-WAIT is left behind, see `bench/src/load.rs`.
    Ok(set_socket_linger(&stream, Some(Duration::ZERO))?)
}

/// What a client sends at a time.
pub(super) fn bytes_to_send(load: &Load) -> Vec<u8> {
    if load.mode == Mode::Websocket {
        return websocket::frame(&MESSAGE, true);
    }
    let close = if load.mode == Mode::Short { "Connection: close\r\n" } else { "" };
    let (path, host) = (load.mode.path(), load.server);
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{close}\r\n");
    request.repeat(load.mode.depth()).into_bytes()
}

impl Read for Stream {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(to),
            Self::Tls(stream) => stream.read(to),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// The body of a response with the status 200: its beginning and its length. The servers are not
/// on trial here, so this is enough to know that they did their work.
struct Body {
    beginning: [u8; 32],
    length: usize,
}

impl FromReply for Body {
    fn from_head(head: &Head<'_>) -> io::Result<Self> {
        match head.status() {
            200 => Ok(Self { beginning: [0; 32], length: 0 }),
            status => Err(wrong(&format!("status {status}"))),
        }
    }

    fn add_body(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(room) = self.beginning.get_mut(self.length..) {
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
        }
        self.length += bytes.len();
        Ok(())
    }
}

impl Body {
    fn check(&self, mode: Mode) -> io::Result<()> {
        let beginning = &self.beginning[..self.length.min(self.beginning.len())];
        let is_expected = match mode {
            Mode::Json => beginning == br#"{"message":"Hello, World!"}"#,
            Mode::Routed => beginning == b"42",
            Mode::Streaming => self.length == PIECES * PIECE_BYTES && beginning == [b'x'; 32],
            Mode::File => self.length == FILE_BYTES && beginning == [b'x'; 32],
            Mode::Offload => beginning == WORK_DONE.as_bytes(),
            _ => beginning == BODY.as_bytes(),
        };
        if is_expected {
            return Ok(());
        }
        Err(wrong(&format!("{} bytes: {}", self.length, String::from_utf8_lossy(beginning))))
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

/// The message of the WebSockets.
const MESSAGE: [u8; 32] = [b'x'; 32];

/// What `work` of the servers returns.
const WORK_DONE: &str = "6683446448933373289";
