//! The body of a request on its way from the client to the upstream, piece by piece.
//!
//! The upload runs on a fiber beside the one that reads the response. That fiber ends the upload by
//! a cancel when the response comes first, and may start it again, so the state is here and not on
//! the stack of the fiber: what has been read and not sent is `buffer[sent..filled]`. A cancel
//! takes effect before a read or a write, so no byte is lost or sent twice.

use std::io::{self, Read};
use std::time::Duration;

use straightline_net::Transport;
use straightline_sched::now;

use super::connection::send_all;
use super::hop_by_hop::ConnectionNames;
use crate::body_error::BodyError;
use crate::message::Request;
use crate::proto::put_chunk_size;

/// The state of an upload.
pub(super) struct Upload {
    buffer: Vec<u8>,
    sent: usize,
    filled: usize,
    is_chunked: bool,
    /// The end of the body is in the buffer, or sent.
    is_read: bool,
    /// In which the upstream must take a byte.
    timeout: Duration,
}

/// Why an upload ended early.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The client's body could not be read.
    Client(io::Error),
    /// The upstream takes no more. It may have answered all the same.
    Upstream(io::Error),
}

impl Upload {
    /// An upload of the body of `request`, which has the length that the request's head says.
    ///
    /// # Errors
    ///
    /// When there is no memory for its buffer.
    pub(super) fn new(
        request: &Request,
        is_chunked: bool,
        timeout: Duration,
    ) -> Result<Self, BodyError> {
        if !request.link().try_hold(BUFFER_BYTES) {
            return Err(BodyError::NoMemory);
        }
        let mut buffer = Vec::new();
        buffer.try_reserve_exact(BUFFER_BYTES).map_err(|_| BodyError::NoMemory)?;
        buffer.resize(BUFFER_BYTES, 0);
        Ok(Self { buffer, sent: 0, filled: 0, is_chunked, is_read: false, timeout })
    }

    /// Whether the whole body has been sent.
    pub(super) fn is_complete(&self) -> bool {
        self.is_read && self.sent == self.filled
    }

    /// Sends the rest of the body.
    ///
    /// A yield point.
    pub(super) fn run(
        &mut self,
        request: &Request,
        stream: &dyn Transport,
    ) -> Result<(), UploadError> {
        loop {
            let timeout = self.timeout;
            send_all(stream, &self.buffer[..self.filled], &mut self.sent, || now() + timeout)
                .map_err(UploadError::Upstream)?;
            if self.is_read {
                return Ok(());
            }
            self.read(request).map_err(UploadError::Client)?;
        }
    }

    /// Reads a piece, and frames it.
    fn read(&mut self, request: &Request) -> io::Result<()> {
        let (from, to) = (SIZE_LINE_BYTES, BUFFER_BYTES - LINE_END.len());
        let count = request.body().read(&mut self.buffer[from..to])?;
        // No wait from here on: the piece is in the state, or it is not read.
        (self.sent, self.filled) = (from, from + count);
        if !self.is_chunked {
            self.is_read = count == 0;
            return Ok(());
        }
        if count == 0 {
            self.is_read = true;
            self.put_last_chunk(request);
            return Ok(());
        }
        let mut line = Vec::with_capacity(SIZE_LINE_BYTES);
        put_chunk_size(&mut line, count as u64);
        self.sent = from - line.len();
        self.buffer[self.sent..from].copy_from_slice(&line);
        self.buffer[self.filled..self.filled + LINE_END.len()].copy_from_slice(LINE_END);
        self.filled += LINE_END.len();
        Ok(())
    }

    /// The last chunk, and the trailers of the client: the server has dropped those that may not be
    /// trailers.
    fn put_last_chunk(&mut self, request: &Request) {
        self.buffer.clear();
        self.buffer.extend_from_slice(b"0\r\n");
        let connection = ConnectionNames::of(request.headers());
        for (name, value) in request.trailers() {
            if connection.has(name) {
                continue;
            }
            self.buffer.extend_from_slice(&[name.as_bytes(), b": ", value, LINE_END].concat());
        }
        self.buffer.extend_from_slice(LINE_END);
        (self.sent, self.filled) = (0, self.buffer.len());
    }
}

const LINE_END: &[u8] = b"\r\n";

/// Room in front of a piece for its size line: four digits at most, and a line end.
const SIZE_LINE_BYTES: usize = 6;

/// The memory of an upload: the flat price of a body of any size. Arbitrary: system calls hardly
/// count at this size. A piece is shorter than 64 KiB, so its size has four digits at most.
const BUFFER_BYTES: usize = 32 * 1024;
