//! A request's body, as a handler reads it.

use std::fmt;
use std::io::{self, Read, Write};

use super::request::Request;
use crate::body_error::BodyError;

/// A request's body, read straight from the connection.
///
/// The server reads no more of the body than the handler asks for; if the client sends more, TCP
/// makes it wait. A client that waits with `Expect: 100-continue` gets a 100 at the first read. If
/// the handler leaves at most 64 KiB unread, they are skipped; otherwise the connection closes
/// after the response.
///
/// The errors of a read carry a [`BodyError`], which says what the fault is.
///
/// # Blocking
///
/// A read is a yield point once the bytes that came with the head are used up: it first sends what
/// the client may be waiting for, and then waits for more bytes.
///
/// # Cancellation
///
/// A cancel or a deadline takes effect before anything is read. A handler that sets a
/// [deadline](straightline_sched::deadline) around its reads may answer when the deadline has
/// passed, or read on; the server handles the rest of the body.
///
/// ```
/// use std::io::Read;
/// use std::time::Duration;
/// use straightline::{IntoResponse, Request, Response, StatusCode, sched};
///
/// fn first_kilobyte(request: &mut Request) -> Result<Vec<u8>, Response> {
///     let mut bytes = Vec::new();
///     let limit = Duration::from_secs(5);
///     match sched::deadline(limit, || request.body().take(1024).read_to_end(&mut bytes)) {
///         Ok(Ok(_)) => Ok(bytes),
///         Ok(Err(_)) => Err(StatusCode::BAD_REQUEST.into_response()),
///         Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response().close()),
///     }
/// }
/// ```
pub struct Body<'r> {
    request: &'r Request,
}

/// The lines of a body, see [`Body::lines`].
pub struct Lines<'b> {
    body: Option<Body<'b>>,
    line_bytes_max: usize,
    /// Bytes that were read and not yet returned: `buffer[start..]`. No line ends before
    /// `searched`.
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
}

impl Request {
    /// The body; empty if the request has none.
    ///
    /// It may be read while other parts of the request are borrowed. All readers of one request
    /// read the same body, each byte once.
    ///
    /// ```
    /// # use straightline::{BodyError, Request};
    /// fn upload(request: &mut Request) -> Result<String, BodyError> {
    ///     let media_type = request.headers().content_type().unwrap_or("unknown");
    ///     let bytes = request.body().read_to_vec(1 << 20)?;
    ///     Ok(format!("{} bytes of {media_type}\n", bytes.len()))
    /// }
    /// ```
    pub fn body(&self) -> Body<'_> {
        Body { request: self }
    }
}

impl<'r> Body<'r> {
    /// How many bytes have not been read yet; `None` if only the client knows (a chunked body). Not
    /// a yield point.
    pub fn remaining(&self) -> Option<u64> {
        self.request.remaining()
    }

    /// Reads the whole rest of the body, which may have `bytes_max` bytes.
    ///
    /// # Blocking
    ///
    /// A yield point, unless the whole body came with the head.
    ///
    /// # Cancellation
    ///
    /// As for [the body](Self#cancellation); bytes that were read are dropped.
    ///
    /// # Errors
    ///
    /// [`TooLong`](BodyError::TooLong), before anything is read if the announced length is too
    /// long; [`NoMemory`](BodyError::NoMemory); otherwise the reason why the body could not be
    /// read.
    ///
    /// ```
    /// # use straightline::{BodyError, Request};
    /// fn echo(request: &mut Request) -> Result<Vec<u8>, BodyError> {
    ///     request.body().read_to_vec(1024 * 1024)
    /// }
    /// ```
    pub fn read_to_vec(&mut self, bytes_max: u64) -> Result<Vec<u8>, BodyError> {
        // An announced length costs the client nothing, so the vector grows only as bytes arrive.
        let announced = self.remaining();
        if announced.is_some_and(|announced| announced > bytes_max) {
            return Err(BodyError::TooLong(bytes_max));
        }
        // One byte more, to notice a body that is too long.
        let most = announced.unwrap_or(bytes_max.saturating_add(1));
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let first = if announced.is_some() { RESERVE_MAX } else { UNKNOWN_RESERVE };
        let (mut bytes, mut filled) = (Vec::new(), 0);
        while self.remaining() != Some(0) {
            if filled == bytes.len() {
                let grown = filled.saturating_mul(2).max(first).min(most);
                self.hold(grown - filled)?;
                bytes.try_reserve_exact(grown - filled).map_err(|_| BodyError::NoMemory)?;
                bytes.resize(grown, 0);
            }
            match self.read(&mut bytes[filled..]).map_err(|error| BodyError::from_body(&error))? {
                0 => break,
                count => filled += count,
            }
            if filled as u64 > bytes_max {
                return Err(BodyError::TooLong(bytes_max));
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Writes the whole rest of the body to `writer`, piece by piece as it arrives; returns how
    /// many bytes it had.
    ///
    /// # Blocking
    ///
    /// A yield point; the writer may wait too.
    ///
    /// # Cancellation
    ///
    /// As for [the body](Self#cancellation); bytes that were read have been written.
    ///
    /// # Errors
    ///
    /// The body's errors hold a [`BodyError`], all others are the writer's.
    ///
    /// ```
    /// use std::io;
    /// use straightline::{Request, fs::File};
    ///
    /// fn save(request: &mut Request) -> io::Result<u64> {
    ///     request.body().copy_to(&mut File::create("upload")?)
    /// }
    /// ```
    pub fn copy_to(&mut self, writer: &mut (impl Write + ?Sized)) -> io::Result<u64> {
        self.hold(COPY_BYTES)?;
        let (mut buffer, mut copied) = (Vec::new(), 0);
        buffer.try_reserve_exact(COPY_BYTES).map_err(|_| BodyError::NoMemory)?;
        buffer.resize(COPY_BYTES, 0);
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(copied),
                count => {
                    writer.write_all(&buffer[..count])?;
                    copied += count as u64;
                }
            }
        }
    }

    /// The lines of the rest of the body, without their line ends (LF or CR LF), each of at most
    /// `line_bytes_max` bytes. After an error there are no more lines.
    ///
    /// To ask for the next line is a yield point, as a read is.
    ///
    /// ```
    /// use straightline::{BodyError, Request};
    ///
    /// fn sum(request: &mut Request) -> Result<String, BodyError> {
    ///     let mut sum = 0;
    ///     for line in request.body().lines(100) {
    ///         sum += line?.parse::<i64>().unwrap_or(0);
    ///     }
    ///     Ok(format!("{sum}\n"))
    /// }
    /// ```
    pub fn lines(self, line_bytes_max: usize) -> Lines<'r> {
        Lines { body: Some(self), line_bytes_max, buffer: Vec::new(), start: 0, searched: 0 }
    }
}

impl Body<'_> {
    /// A handler is about to hold `bytes` in memory: asks the server for room.
    fn hold(&self, bytes: usize) -> Result<(), BodyError> {
        if self.request.link().try_hold(bytes) { Ok(()) } else { Err(BodyError::NoMemory) }
    }
}

impl Read for Body<'_> {
    /// A yield point, see [the body](Body#blocking).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.request.read_body(buffer)
    }
}

impl Lines<'_> {
    /// The next line; `None` after the last.
    fn next_line(&mut self) -> Result<Option<String>, BodyError> {
        let Some(body) = &mut self.body else {
            return Ok(None);
        };
        loop {
            let found = memchr::memchr(b'\n', &self.buffer[self.searched..]);
            let length = found.unwrap_or(self.buffer.len() - self.searched) + self.searched;
            let line = &self.buffer[self.start..length];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > self.line_bytes_max {
                return Err(BodyError::TooLong(self.line_bytes_max as u64));
            }
            if found.is_some() {
                let text = text(line)?;
                (self.start, self.searched) = (length + 1, length + 1);
                return Ok(Some(text));
            }
            self.buffer.drain(..self.start);
            (self.start, self.searched) = (0, self.buffer.len());
            // Not into the buffer: a deadline may end the read, and then the next call must find
            // the buffer unchanged.
            let mut piece = [0; LINE_READ_BYTES];
            let read = body.read(&mut piece).map_err(|error| BodyError::from_body(&error))?;
            if self.buffer.capacity() - self.buffer.len() < read {
                body.hold(self.buffer.len() + read)?; // it becomes twice as large
            }
            self.buffer.try_reserve(read).map_err(|_| BodyError::NoMemory)?;
            self.buffer.extend_from_slice(&piece[..read]);
            if read == 0 {
                self.body = None;
                // The last line counts even if it has no line end.
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    text(&self.buffer).map(Some)
                };
            }
        }
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<String, BodyError>;

    /// A yield point, as a read is.
    fn next(&mut self) -> Option<Self::Item> {
        let line = self.next_line();
        if line.is_err() {
            self.body = None;
        }
        line.transpose()
    }
}

fn text(line: &[u8]) -> Result<String, BodyError> {
    let mut text = String::new();
    text.try_reserve_exact(line.len()).map_err(|_| BodyError::NoMemory)?;
    text.push_str(str::from_utf8(line).map_err(|_| BodyError::NotText)?);
    Ok(text)
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("body", &self.body).finish_non_exhaustive()
    }
}

/// How much [`Body::read_to_vec`] reserves if the client has announced a length. Arbitrary.
const RESERVE_MAX: usize = 64 * 1024;

/// How much it reserves without an announced length. Arbitrary: most bodies are smaller.
const UNKNOWN_RESERVE: usize = 4 * 1024;

/// How many bytes [`Body::copy_to`] copies at a time. Arbitrary: system calls hardly count at this
/// size.
const COPY_BYTES: usize = 64 * 1024;

/// How many bytes [`Body::lines`] reads at a time. Arbitrary: many lines.
const LINE_READ_BYTES: usize = 4 * 1024;
