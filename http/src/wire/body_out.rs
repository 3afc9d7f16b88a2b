//! The body of a response, written piece by piece.
//!
//! Small pieces are collected in the connection's output and sent together, at the latest when the
//! handler waits for something; large pieces are sent without a copy. A client that reads slowly
//! makes the writer wait, so memory never holds more than the bounds below.
//!
//! The head is put in front of the first byte of the body, and not earlier. So a body that fails at
//! once can still become an error response, and a handler that reads the request's body first can
//! still ask the client for it.

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use http::{HeaderName, HeaderValue, StatusCode};
use straightline_sched::{BeforePark, before_park};

use super::exchange::Expectation;
use super::link::Link;
use super::output::OUTPUT_BYTES_MAX;
use crate::proto::{self, ResponseHead};

/// Writes a response's body to the client; [`BodyWriter`](crate::BodyWriter) has the rules.
pub(crate) struct ClientBody {
    link: Rc<Link>,
    /// Flushes the link, and `waits` calls it when the writer's fiber waits for something.
    flush: Rc<dyn Fn()>,
    waits: Option<BeforePark>,
    /// The head, until the first byte of the body.
    head: Option<PendingHead>,
    /// The output position at which the response begins, once it does. An interim response may
    /// precede it.
    begins_at: Option<u64>,
    /// The status of a response that has begun and is not counted yet, because it may be rolled
    /// back.
    uncounted: Option<StatusCode>,
    framing: BodyFraming,
    trailers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the connection stays open after the body, as far as is known.
    keep_alive: bool,
    /// All of a body that ends with its connection has been sent. Until then the connection must
    /// not close in good order.
    is_whole: bool,
    health: Health,
}

/// Adds bytes to a body that has begun and is not written to at the moment: for a hook of its
/// fiber.
#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
pub(crate) struct LateOutput {
    link: Rc<Link>,
    flush: Rc<dyn Fn()>,
    is_chunked: bool,
}

/// How the client finds the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyFraming {
    /// At the announced length: how many bytes are still to be written.
    Length(u64),
    Chunked,
    /// At the end of the connection.
    UntilClose,
}

/// Whether the client can still get a whole body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    /// A part of a piece was sent, and then the writer was unwound.
    Partial,
    /// The connection broke.
    Failed,
}

/// The response head, and the client's minor version of HTTP.
struct PendingHead {
    head: ResponseHead,
    minor: u8,
}

impl ClientBody {
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
        link.pacing.reset_failed_calls();
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

    /// The handler is about to have a buffer of that size until the request is over; false if the
    /// server has no room for it.
    pub(crate) fn try_hold(&self, bytes: usize) -> bool {
        self.link.held.try_add_to_body(bytes)
    }

    /// Adds a trailer field, which is sent behind a chunked body.
    pub(crate) fn add_trailer(&mut self, name: HeaderName, value: HeaderValue) {
        self.trailers.push((name, value));
    }

    /// Puts out the head, and returns where more may be added later; `None` if the body's length
    /// was announced.
    #[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
    pub(crate) fn late_output(&mut self) -> Option<LateOutput> {
        let is_chunked = match self.framing {
            BodyFraming::Length(_) => return None,
            BodyFraming::Chunked => true,
            BodyFraming::UntilClose => false,
        };
        self.begin();
        let (link, flush) = (Rc::clone(&self.link), Rc::clone(&self.flush));
        Some(LateOutput { link, flush, is_chunked })
    }

    pub(crate) fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// No request can follow on the connection: says so in the head, if the head has not left.
    #[cold]
    pub(crate) fn close(&mut self) {
        if mem::replace(&mut self.keep_alive, false)
            && let Some(position) = self.begins_at
        {
            self.link.output.announce_close(position);
        }
    }

    /// Whether the body ends with its connection. Such a body looks complete even if it ends early,
    /// unless the connection is reset; dropping this resets it.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.framing == BodyFraming::UntilClose
    }

    /// Rolls the response back, if nothing of it has been sent.
    pub(crate) fn rollback(&mut self) -> bool {
        let is_untouched =
            self.begins_at.is_none_or(|position| self.link.output.rollback(position));
        if is_untouched {
            (self.begins_at, self.uncounted) = (None, None);
        }
        is_untouched
    }

    /// Counts the response, whether it is whole or not: it cannot be rolled back any more.
    fn count(&mut self) {
        if let Some(status) = self.uncounted.take() {
            self.link.host.counters().respond(status);
        }
    }

    /// Whether a write to the connection failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.health == Health::Failed
    }

    /// Sends a part of a file, from the kernel if it is large.
    pub(crate) fn send_file(&mut self, file: &File, part: Range<u64>) -> io::Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        self.put_file(file, part).inspect_err(|_| self.record_failed_write())
    }

    /// Puts the head into the output, if it is not there yet.
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
            head.content_type,
            framing,
            proto::ConnectionHeader::for_version(minor, self.keep_alive),
        );
        self.link.exchange.begin_response_body(output.begin_body());
    }

    /// The body is complete: puts its end into the output.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.check()?;
        self.begin();
        match self.framing {
            BodyFraming::Length(0) => {}
            BodyFraming::UntilClose => {
                self.run_write(Link::flush)?;
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
        // Responses to a client that pipelines are collected, up to a bound.
        if self.link.output.len() > OUTPUT_BYTES_MAX {
            self.run_write(Link::flush)?;
        }
        Ok(())
    }

    fn check(&self) -> io::Result<()> {
        match self.health {
            Health::Good => Ok(()),
            Health::Partial => Err(io::Error::other("an earlier write was interrupted")),
            Health::Failed => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// Subtracts a piece from the announced length.
    fn announce(&mut self, bytes: u64) -> io::Result<()> {
        if let BodyFraming::Length(left) = &mut self.framing {
            let message = "more bytes than were announced";
            *left = left
                .checked_sub(bytes)
                .ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, message))?;
        }
        Ok(())
    }

    /// Arranges that the output is flushed when the fiber waits.
    fn arrange_flush(&mut self) {
        if self.link.output.arrange_flush() {
            self.waits = None;
            self.waits = Some(before_park(Rc::clone(&self.flush)));
        }
    }

    /// Sends the collected pieces if they are enough, before the next small piece is taken. If the
    /// caller is unwound in this wait, nothing of its piece was written, and it may repeat the
    /// write.
    fn make_room(&mut self) -> io::Result<()> {
        if self.link.output.len() < PIECE_BYTES {
            return Ok(());
        }
        self.run_write(Link::flush)
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

    /// Sends a large piece without a copy, behind the collected ones.
    fn send(&mut self, piece: &[u8]) -> io::Result<()> {
        let is_chunk = self.framing == BodyFraming::Chunked;
        if is_chunk {
            self.link.output.buffer().begin_large_chunk(piece.len() as u64);
        }
        self.health = Health::Partial;
        self.run_write(|link| link.flush_with(piece))?;
        self.health = Health::Good;
        if is_chunk {
            self.link.output.buffer().end_large_chunk();
            self.arrange_flush();
        }
        Ok(())
    }

    /// Runs a write to the connection, and records its failure.
    fn run_write<T>(&mut self, write: impl FnOnce(&Link) -> io::Result<T>) -> io::Result<T> {
        let result = write(&self.link);
        if result.is_err() {
            self.health = Health::Failed;
        }
        result
    }
}

impl ClientBody {
    fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        self.check()?;
        self.begin();
        self.link.pacing.record_progress();
        if piece.len() < PIECE_BYTES {
            self.make_room()?;
            self.announce(piece.len() as u64)?;
            self.collect(piece);
            return Ok(());
        }
        self.announce(piece.len() as u64)?;
        self.send(piece)
    }

    fn put_file(&mut self, file: &File, part: Range<u64>) -> io::Result<()> {
        self.check()?;
        let length = part.end - part.start;
        if length <= PIECE_BYTES as u64 {
            let mut content = vec![0; usize::try_from(length).unwrap_or(PIECE_BYTES)];
            file.read_exact_at(&mut content, part.start).map_err(named_if_shorter)?;
            return self.put(&content);
        }
        self.begin();
        self.link.pacing.record_progress();
        self.announce(length)?;
        let is_chunk = self.framing == BodyFraming::Chunked;
        if is_chunk {
            self.link.output.buffer().begin_large_chunk(length);
        }
        self.health = Health::Partial;
        self.run_write(Link::flush)?;
        let mut offset = part.start;
        while offset < part.end {
            let left = part.end - offset;
            let most = usize::try_from(left).map_or(FILE_BYTES, |left| left.min(FILE_BYTES));
            let count = self.run_write(|link| link.send_file(file, offset, most))?;
            if count == 0 {
                return Err(named_if_shorter(ErrorKind::UnexpectedEof.into()));
            }
            offset += count as u64;
            self.link.pacing.record_progress(); // even if the disk is slower than the client
        }
        self.health = Health::Good;
        if is_chunk {
            self.link.output.buffer().end_large_chunk();
            self.arrange_flush();
        }
        Ok(())
    }

    /// A write has failed; all further writes will fail too.
    #[cold]
    fn record_failed_write(&self) {
        self.link.pacing.record_failed_call(self.has_failed());
    }
}

impl Write for ClientBody {
    /// Takes the whole `piece`. See [the writer](crate::BodyWriter#blocking).
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if !piece.is_empty() {
            self.put(piece).inspect_err(|_| self.record_failed_write())?;
        }
        Ok(piece.len())
    }

    /// Sends what was written so far, or only the head if nothing was.
    fn flush(&mut self) -> io::Result<()> {
        self.check().inspect_err(|_| self.record_failed_write())?;
        self.begin();
        self.run_write(Link::flush).inspect_err(|_| self.record_failed_write())
    }
}

#[cfg(any(feature = "gzip", feature = "brotli", feature = "zstd"))]
impl LateOutput {
    /// Sends the piece, behind what was written. The next write finds an error. A yield point.
    pub(crate) fn send(&self, piece: &[u8]) {
        if !piece.is_empty() {
            let mut output = self.link.output.buffer();
            if self.is_chunked {
                output.fill_chunk(piece);
            } else {
                output.bytes().extend_from_slice(piece);
            }
        }
        (self.flush)();
    }
}

impl Drop for ClientBody {
    /// However the body ends: by an error, a client's close, or the end of a drain.
    fn drop(&mut self) {
        self.count();
        if self.ends_with_connection() && self.begins_at.is_some() && !self.is_whole {
            self.link.transport.reset_on_close();
        }
    }
}

impl fmt::Debug for ClientBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBody")
            .field("framing", &self.framing)
            .field("begun", &self.head.is_none())
            .finish_non_exhaustive()
    }
}

/// The error of a file that has fewer bytes than it had when its length was announced.
fn named_if_shorter(error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::UnexpectedEof {
        return error;
    }
    io::Error::new(ErrorKind::UnexpectedEof, "the file became shorter")
}

/// From how many bytes on the collected pieces are sent (one small piece more may be collected),
/// and from how many bytes on a piece is sent by itself. Arbitrary: to copy so many bytes costs
/// about as much as a system call.
const PIECE_BYTES: usize = 16 * 1024;

/// How many bytes of a file are sent before other fibers run. Arbitrary: some tenths of a
/// millisecond. More calls of the system cost more: a client that reads fast gets as much in one.
const FILE_BYTES: usize = 1024 * 1024;
