//! A client on a blocking socket, which asks for one file again and again.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    request: String,
    /// The length of the file.
    bytes: usize,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(server: SocketAddr, name: &str, bytes: usize) -> io::Result<Self> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        let request = format!("GET /{name} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        Ok(Self { stream, request, bytes, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Sends a request.
    pub(crate) fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(self.request.as_bytes())
    }

    /// Reads the response: a 200 with all of the file.
    pub(crate) fn answer(&mut self) -> io::Result<()> {
        let mut filled = 0;
        let head_bytes = loop {
            match self.stream.read(&mut self.buffer[filled..])? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
            let received = &self.buffer[..filled];
            if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !self.buffer.starts_with(b"HTTP/1.1 200 OK\r\n") {
            let head = String::from_utf8_lossy(&self.buffer[..head_bytes]);
            return Err(io::Error::new(ErrorKind::InvalidData, head.into_owned()));
        }
        let mut body = filled - head_bytes;
        while body < self.bytes {
            match self.stream.read(&mut self.buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => body += count,
            }
        }
        if body != self.bytes {
            return Err(io::Error::new(ErrorKind::InvalidData, "another length"));
        }
        Ok(())
    }
}

const BUFFER_BYTES: usize = 256 * 1024;

/// Arbitrary: on loopback it takes microseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
