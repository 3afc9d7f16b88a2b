//! A response's body on its way out, written piece by piece.
//!
//! Small pieces collect in the connection's output and leave together, at the latest when the
//! handler waits for something; large ones leave from where they are. A client that reads slowly
//! holds the writer back: there is never more in memory than the bounds below.
//!
//! The head is put in front of the first byte and not before, so that a body that fails at once can
//! still become an error response, and a request's body that is read first can still be asked for.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use http::{HeaderName, HeaderValue, StatusCode};
use straightline_sched::{BeforePark, before_park};

use super::exchange::Expectation;
use super::link::Link;
use super::output::OUTPUT_BYTES_MAX;
use crate::proto::{self, ResponseHead, is_forbidden_trailer};

/// Writes the body of a [`Response::stream`](crate::Response::stream).
///
/// What is written leaves when there is more behind 16 KiB, when the handler waits for anything, or
/// when it is flushed; large pieces leave at once.
///
/// # Blocking
///
/// Writing and flushing are yield points where something leaves: they wait for a client that reads
/// slowly. So is a write that fails.
///
/// # Errors
///
/// When a write or a flush has failed, because the client is gone or takes nothing, or the body is
/// longer than announced, so do all that follow: return the error. A loop that goes on all the same
/// is ended after a thousand of them: it unwinds as a handler past its time does.
///
/// # Cancellation
///
/// A write that a cancel or a deadline ends has written nothing, and may be repeated, if the piece
/// was shorter than 16 KiB; of a larger one a part may be written. The response then cannot be
/// completed: every further write is an error, and the client sees that the body has ended early.
///
/// ```
/// use std::io::Write;
/// use std::time::Duration;
/// use straightline::{Request, Response, sched};
///
/// /// One event a second; each leaves when the next is waited for.
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
pub struct BodyWriter {
    link: Rc<Link>,
    /// Flushes the link, and has that done if the writer waits for something.
    flush: Rc<dyn Fn()>,
    waits: Option<BeforePark>,
    /// The head, as long as it waits for the first byte.
    head: Option<PendingHead>,
    /// Where the response begins, once it does; an interim one may have come before it.
    begins_at: Option<u64>,
    /// The status of a response that has begun and is not yet counted, as it may be taken back.
    uncounted: Option<StatusCode>,
    framing: BodyFraming,
    trailers: Vec<(HeaderName, HeaderValue)>,
    /// The connection goes on behind the body, for all that is known.
    keep_alive: bool,
    /// All of a body has left that ends with its connection. Until then the connection must not end
    /// in good order.
    is_whole: bool,
    health: Health,
}

/// How the client knows where the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFraming {
    /// So many bytes are to come.
    Length(u64),
    Chunked,
    /// Where the connection does.
    UntilClose,
}

/// Whether the client can still be sent a whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// A piece has left in part, and then the writer was unwound.
    Torn,
    /// The connection broke.
    Failed,
}

/// What the head will say, and for which minor version.
struct PendingHead {
    head: ResponseHead,
    minor: u8,
}

impl BodyWriter {
    pub(crate) fn new(
        link: Rc<Link>,
        flush: Rc<dyn Fn()>,
        head: ResponseHead,
        length: Option<u64>,
        minor: u8,
        keep_alive: bool,
    ) -> Self {
        let framing = match (length, minor) {
            (Some(length), _) => BodyFraming::Length(length),
            (None, 0) => BodyFraming::UntilClose,
            (None, _) => BodyFraming::Chunked,
        };
        let keep_alive = keep_alive && framing != BodyFraming::UntilClose;
        let pending = Some(PendingHead { head, minor });
        // The output holds only earlier responses so far.
        link.output.arrange_flush();
        link.pacing.forget_vain_calls();
        let waits = Some(before_park(Rc::clone(&flush)));
        Self {
            link,
            flush,
            waits,
            head: pending,
            begins_at: None,
            uncounted: None,
            framing,
            trailers: Vec::new(),
            keep_alive,
            is_whole: false,
            health: Health::Good,
        }
    }

    /// Adds a trailer field, which is sent behind the body. Only a chunked body has trailers: one
    /// of known length, or for an HTTP/1.0 client, goes without. A client may throw them away
    /// unless it says `TE: trailers`.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the value cannot be a header value, or the field is one that has to be in
    /// the head: about where the message ends or goes, the connection, who asks, what is to be done
    /// with the message, or what the body is (RFC 9110 section 6.5.1; `Content-Type` for example,
    /// and `Set-Cookie`). The trailer is not sent then; nothing else changes.
    ///
    /// ```
    /// use std::io::Write;
    /// use straightline::{HeaderName, Request, Response, header};
    ///
    /// fn checked(_: &mut Request) -> Response {
    ///     Response::stream(|_, body| {
    ///         let text = b"some text\n";
    ///         body.write_all(text)?;
    ///         let sum: u32 = text.iter().map(|&byte| u32::from(byte)).sum();
    ///         body.trailer(HeaderName::from_static("sum"), sum.to_string())
    ///     })
    ///     .header(header::TRAILER, "sum")
    /// }
    /// ```
    pub fn trailer<V>(&mut self, name: HeaderName, value: V) -> io::Result<()>
    where
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        let invalid = |message: String| Err(io::Error::new(ErrorKind::InvalidInput, message));
        if is_forbidden_trailer(name.as_str().as_bytes()) {
            return invalid(format!("the field `{name}` belongs into the head"));
        }
        match value.try_into() {
            Ok(value) => self.trailers.push((name, value)),
            Err(error) => {
                return invalid(format!("not a value for the trailer field `{name}`: {error}"));
            }
        }
        Ok(())
    }

    pub(crate) fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// A body that ends early looks complete, unless the connection is reset, which dropping this
    /// sees to.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.framing == BodyFraming::UntilClose
    }

    /// Takes the response back, if nothing of it has left.
    pub(crate) fn rollback(&mut self) -> bool {
        let is_untouched =
            self.begins_at.is_none_or(|position| self.link.output.rollback(position));
        if is_untouched {
            (self.begins_at, self.uncounted) = (None, None);
        }
        is_untouched
    }

    /// The response is on its way, be it whole or not: counts it.
    fn count(&mut self) {
        if let Some(status) = self.uncounted.take() {
            self.link.host.counters().respond(status);
        }
    }

    /// The connection broke while it was written to.
    pub(crate) fn has_failed(&self) -> bool {
        self.health == Health::Failed
    }

    /// Copies all that `reader` has.
    pub(crate) fn copy_from(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => self.write_all(&buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends the file that the body is.
    pub(crate) fn send_file(&mut self, file: &File) -> io::Result<()> {
        let BodyFraming::Length(length) = self.framing else {
            unreachable!("a file has a length");
        };
        if length <= PIECE_BYTES as u64 {
            let mut content = vec![0; usize::try_from(length).unwrap_or(PIECE_BYTES)];
            file.read_exact_at(&mut content, 0)?;
            return self.write_all(&content);
        }
        self.begin();
        self.leaving(Link::flush)?;
        let mut offset = 0;
        while offset < length {
            let most = usize::try_from(length - offset).map_or(FILE_BYTES, |n| n.min(FILE_BYTES));
            let count = self.leaving(|link| link.send_file(file, offset, most))?;
            if count == 0 {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "the file became shorter"));
            }
            offset += count as u64;
            self.link.pacing.record_progress(); // also from a disk that is slower than the client
        }
        self.framing = BodyFraming::Length(0);
        Ok(())
    }

    /// Puts the head into the output; without a body if it has none to be sent.
    pub(crate) fn begin(&mut self) {
        let Some(PendingHead { head, minor }) = self.head.take() else {
            return;
        };
        // A client that was not asked for its body may or may not send it.
        if self.link.exchange.expectation() == Expectation::Waiting {
            self.link.exchange.set_expectation(Expectation::Declined);
            self.keep_alive = false;
        }
        let framing = match self.framing {
            BodyFraming::Length(length) => proto::BodyFraming::Length(length),
            BodyFraming::Chunked => proto::BodyFraming::Chunked,
            BodyFraming::UntilClose => proto::BodyFraming::None,
        };
        self.begins_at = Some(self.link.output.position());
        self.uncounted = Some(head.status);
        self.link.exchange.begin_response(head.status);
        let mut output = self.link.output.buffer();
        self.link.host.encoder().encode(
            output.bytes(),
            &head,
            framing,
            proto::ConnectionHeader::for_version(minor, self.keep_alive),
        );
        self.link.exchange.begin_response_body(output.begin_body());
    }

    /// The body is complete: puts what ends it into the output.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.check()?;
        self.begin();
        match self.framing {
            BodyFraming::Length(0) => {}
            BodyFraming::UntilClose => {
                self.leaving(Link::flush)?;
                self.is_whole = true;
            }
            BodyFraming::Length(left) => {
                let message = format!("{left} bytes fewer than were announced");
                return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
            }
            BodyFraming::Chunked => {
                self.link.output.buffer().end_chunks(&self.trailers);
            }
        }
        self.count();
        // The responses to a client that pipelines collect, up to a bound.
        if self.link.output.len() > OUTPUT_BYTES_MAX {
            self.leaving(Link::flush)?;
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match self.health {
            Health::Good => Ok(()),
            Health::Torn => Err(io::Error::other("an earlier write was cut short")),
            Health::Failed => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// Takes a piece of the body off what was announced.
    fn announce(&mut self, bytes: usize) -> io::Result<()> {
        if let BodyFraming::Length(left) = &mut self.framing {
            let message = "more bytes than were announced";
            *left = left
                .checked_sub(bytes as u64)
                .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, message))?;
        }
        Ok(())
    }

    /// Has the output written out when the fiber waits.
    fn arrange_flush(&mut self) {
        if self.link.output.arrange_flush() {
            self.waits = None;
            self.waits = Some(before_park(Rc::clone(&self.flush)));
        }
    }

    /// Writes the collected pieces out if they are enough, before the next small piece is taken: a
    /// caller that is unwound in this wait has written nothing of its piece, and may repeat it.
    fn make_room(&mut self) -> io::Result<()> {
        if self.link.output.len() < PIECE_BYTES {
            return Ok(());
        }
        self.leaving(Link::flush)
    }

    /// Adds a small piece to the collected ones. Not a yield point.
    fn collect(&mut self, piece: &[u8]) {
        self.arrange_flush();
        if self.framing == BodyFraming::Chunked {
            self.link.output.buffer().fill_chunk(piece);
        } else {
            self.link.output.buffer().bytes().extend_from_slice(piece);
        }
    }

    /// Writes a large piece from where it is, behind the collected ones.
    fn send(&mut self, piece: &[u8]) -> io::Result<()> {
        let is_chunk = self.framing == BodyFraming::Chunked;
        if is_chunk {
            self.link.output.buffer().begin_large_chunk(piece.len());
        }
        self.health = Health::Torn;
        self.leaving(|link| link.flush_with(piece))?;
        self.health = Health::Good;
        if is_chunk {
            self.link.output.buffer().end_large_chunk();
            self.arrange_flush();
        }
        Ok(())
    }

    /// Runs a write to the connection, and notes its failure.
    fn leaving<T>(&mut self, write: impl FnOnce(&Link) -> io::Result<T>) -> io::Result<T> {
        let result = write(&self.link);
        if result.is_err() {
            self.health = Health::Failed;
        }
        result
    }
}

impl BodyWriter {
    fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        self.check()?;
        self.begin();
        self.link.pacing.record_progress();
        if piece.len() < PIECE_BYTES {
            self.make_room()?;
            self.announce(piece.len())?;
            self.collect(piece);
            return Ok(());
        }
        self.announce(piece.len())?;
        self.send(piece)
    }

    /// A write has failed; all further ones will.
    #[cold]
    fn record_failed_write(&self) {
        self.link.pacing.record_vain_call(self.has_failed());
    }
}

impl Write for BodyWriter {
    /// Takes all of `piece`. See [the writer](BodyWriter#blocking).
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if !piece.is_empty() {
            self.put(piece).inspect_err(|_| self.record_failed_write())?;
        }
        Ok(piece.len())
    }

    /// Sends what was written so far, and the head if nothing was.
    fn flush(&mut self) -> io::Result<()> {
        self.check().inspect_err(|_| self.record_failed_write())?;
        self.begin();
        self.leaving(Link::flush).inspect_err(|_| self.record_failed_write())
    }
}

impl Drop for BodyWriter {
    /// However it ends: an error, the client's end of its side, the end of a drain.
    fn drop(&mut self) {
        self.count();
        if self.ends_with_connection() && self.begins_at.is_some() && !self.is_whole {
            self.link.transport.reset_on_close();
        }
    }
}

impl fmt::Debug for BodyWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyWriter")
            .field("framing", &self.framing)
            .field("begun", &self.head.is_none())
            .finish_non_exhaustive()
    }
}

/// What of a body is collected before it leaves, with one small piece more at most, and how large a
/// piece leaves by itself. Arbitrary: copying it costs about a system call.
const PIECE_BYTES: usize = 16 * 1024;

/// A piece of what is read from a reader. Arbitrary: system calls hardly count at this size.
const COPY_BYTES: usize = 64 * 1024;

/// A piece of a file, between two of which others run. Arbitrary: a fraction of a millisecond.
const FILE_BYTES: usize = 512 * 1024;
