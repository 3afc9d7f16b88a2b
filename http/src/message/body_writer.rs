//! What a function that produces a body writes to: the client of the response, or any writer.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::invalid_header::checked;
use crate::proto::is_forbidden_trailer;
use crate::wire::ClientBody;
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
use crate::wire::LateOutput;

/// Writes the body of a [`Response::stream`](crate::Response::stream).
///
/// Written bytes are sent when more than 16 KiB are collected, when the handler waits for anything,
/// or at a flush; large pieces are sent at once.
///
/// # Blocking
///
/// A write or a flush is a yield point if it sends bytes: it waits for a client that reads slowly.
/// A write that fails is a yield point too.
///
/// # Errors
///
/// A write or a flush fails if the client is gone or reads nothing, or if the body is longer than
/// announced. Then all later writes and flushes fail too, so return the error. A loop that ignores
/// it is ended after a thousand errors: it unwinds as a handler does when its timeout expires.
///
/// # Cancellation
///
/// If a cancel or a deadline ends the write of a piece shorter than 16 KiB, nothing of it was
/// written, and the write may be repeated. Of a larger piece a part may have been written. The
/// response then cannot be completed: every further write is an error, and the client sees that the
/// body has ended early.
///
/// ```
/// use std::io::Write;
/// use std::time::Duration;
/// use straightline::{Request, Response, sched};
///
/// /// One event a second; each is sent when the fiber waits for the next.
/// fn clock(_: &mut Request) -> Response {
///     Response::stream(|_, body| {
///         for second in 0.. {
///             write!(body, "data: {second}\n\n")?;
///             sched::sleep(Duration::from_secs(1));
///         }
///         Ok(())
///     })
///     .content_type("text/event-stream")
/// }
/// ```
pub struct BodyWriter<'w> {
    sink: Sink<'w>,
}

enum Sink<'w> {
    Client(&'w mut ClientBody),
    Writer(OtherWriter<'w>),
}

/// A writer that is not the client, for [`ResponseBody::write_to`](crate::ResponseBody::write_to).
struct OtherWriter<'w> {
    writer: &'w mut dyn Write,
    /// How many bytes of the announced length have not been written.
    left: Option<u64>,
    trailers: HeaderMap,
}

impl<'w> BodyWriter<'w> {
    pub(crate) fn to_client(client: &'w mut ClientBody) -> Self {
        Self { sink: Sink::Client(client) }
    }

    pub(crate) fn to_writer(writer: &'w mut dyn Write, length: Option<u64>) -> Self {
        let trailers = HeaderMap::new();
        Self { sink: Sink::Writer(OtherWriter { writer, left: length, trailers }) }
    }

    /// Adds a trailer field, which is sent behind the body. Only a chunked body has trailers: a
    /// body of known length, or for an HTTP/1.0 client, is sent without them. A client may ignore
    /// trailers unless it says `TE: trailers`.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the name or the value is not valid, or if the field has to be in the head:
    /// fields about message framing, routing, the connection, authentication, request modifiers, or
    /// the content (RFC 9110 section 6.5.1; for example `Content-Type` and `Set-Cookie`). The
    /// trailer is not sent then; nothing else changes.
    ///
    /// ```
    /// use std::io::Write;
    /// use straightline::{Request, Response, header};
    ///
    /// fn checked(_: &mut Request) -> Response {
    ///     Response::stream(|_, body| {
    ///         let text = b"some text\n";
    ///         body.write_all(text)?;
    ///         let sum: u32 = text.iter().map(|&byte| u32::from(byte)).sum();
    ///         body.trailer("sum", sum.to_string())
    ///     })
    ///     .header(header::TRAILER, "sum")
    /// }
    /// ```
    pub fn trailer<N, V>(&mut self, name: N, value: V) -> io::Result<()>
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        let invalid = |message: String| io::Error::new(ErrorKind::InvalidInput, message);
        let (name, value) =
            checked(name, value).map_err(|error| io::Error::new(ErrorKind::InvalidInput, error))?;
        if is_forbidden_trailer(name.as_str().as_bytes()) {
            return Err(invalid(format!("the field `{name}` belongs in the head")));
        }
        match &mut self.sink {
            Sink::Client(client) => client.add_trailer(name, value),
            Sink::Writer(other) => {
                other.trailers.append(name, value);
            }
        }
        Ok(())
    }

    /// Copies everything that `reader` returns.
    pub(crate) fn copy_from(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        // If memory is short, smaller pieces are better than no response.
        let has_room = match &self.sink {
            Sink::Client(client) => client.try_hold(COPY_BYTES),
            Sink::Writer(_) => true,
        };
        let mut buffer = vec![0; if has_room { COPY_BYTES } else { COPY_BYTES_SHORT }];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.write_all(&buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a part of a file, from the byte `part.start` up to `part.end`. Where possible, the
    /// system sends a large part without a copy through the program. The file position does not
    /// matter, and stays as it is.
    ///
    /// If the part is not in memory, the system reads it from the disk, and the shard waits
    /// meanwhile.
    ///
    /// # Blocking
    ///
    /// A yield point, as [a write](BodyWriter#blocking) is.
    ///
    /// # Errors
    ///
    /// Those of [a write](BodyWriter#errors); the file's; `UnexpectedEof` if the file ends before
    /// the part does. Except for parts shorter than 16 KiB, the response cannot be completed then,
    /// and the client sees that the body has ended early.
    ///
    /// # Cancellation
    ///
    /// As for [a write](BodyWriter#cancellation) of a piece of that length.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io::Write;
    /// use straightline::{Request, Response};
    ///
    /// /// The first KiB of two files, and a line between them.
    /// fn heads(_: &mut Request) -> std::io::Result<Response> {
    ///     let (one, other) = (File::open("one.log")?, File::open("other.log")?);
    ///     Ok(Response::stream(move |_, body| {
    ///         body.send_file(&one, 0..1024)?;
    ///         body.write_all(b"\n---\n")?;
    ///         body.send_file(&other, 0..1024)
    ///     }))
    /// }
    /// ```
    pub fn send_file(&mut self, file: &File, part: Range<u64>) -> io::Result<()> {
        match &mut self.sink {
            Sink::Client(client) => client.send_file(file, part),
            Sink::Writer(other) => other.copy_file(file, part),
        }
    }

    /// Where a hook of the fiber may add bytes to the body later; `None` if the writer is not the
    /// client, or the body's length was announced. Puts out the head.
    #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
    pub(crate) fn late_output(&mut self) -> Option<LateOutput> {
        match &mut self.sink {
            Sink::Client(client) => client.late_output(),
            Sink::Writer(_) => None,
        }
    }

    /// The body is complete: returns its trailers. For a writer that is not the client.
    pub(crate) fn finish_writer(self) -> io::Result<HeaderMap> {
        match self.sink {
            Sink::Writer(OtherWriter { left: None | Some(0), trailers, .. }) => Ok(trailers),
            Sink::Writer(OtherWriter { left: Some(left), .. }) => {
                let message = format!("{left} bytes fewer than were announced");
                Err(io::Error::new(ErrorKind::InvalidData, message))
            }
            Sink::Client(_) => Ok(HeaderMap::new()),
        }
    }
}

impl OtherWriter<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let Some(left) = &mut self.left else {
            return self.writer.write(piece);
        };
        if *left < piece.len() as u64 {
            let message = "more bytes than were announced";
            return Err(io::Error::new(ErrorKind::InvalidData, message));
        }
        self.writer.write(piece).inspect(|&count| *left = left.saturating_sub(count as u64))
    }

    fn copy_file(&mut self, file: &File, part: Range<u64>) -> io::Result<()> {
        let (mut buffer, mut offset) = (vec![0; COPY_BYTES], part.start);
        while offset < part.end {
            let left = part.end - offset;
            let most = usize::try_from(left).map_or(COPY_BYTES, |left| left.min(COPY_BYTES));
            match file.read_at(&mut buffer[..most], offset) {
                Ok(0) => {
                    let message = "the file became shorter";
                    return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
                }
                Ok(count) => {
                    self.write_all(&buffer[..count])?;
                    offset += count as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_all(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            match self.write(piece) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => piece = &piece[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Write for BodyWriter<'_> {
    /// Takes the whole `piece`, unless the writer is not the client. See
    /// [the writer](BodyWriter#blocking).
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            Sink::Client(client) => client.write(piece),
            Sink::Writer(other) => other.write(piece),
        }
    }

    /// Sends what was written so far, or only the head if nothing was.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Client(client) => client.flush(),
            Sink::Writer(other) => other.writer.flush(),
        }
    }
}

impl fmt::Debug for BodyWriter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.sink {
            Sink::Client(client) => f.debug_tuple("BodyWriter").field(client).finish(),
            Sink::Writer(other) => f.debug_struct("BodyWriter").field("left", &other.left).finish(),
        }
    }
}

/// How many bytes of a reader or a file are copied at a time. Arbitrary: system calls hardly count
/// at this size.
const COPY_BYTES: usize = 64 * 1024;

/// The same if the server is short of memory. Arbitrary: as much as a page.
const COPY_BYTES_SHORT: usize = 4 * 1024;
