//! A request's body on its way from the connection's buffer and the socket to the handler, which
//! gets no more than it asks for.
//!
//! The buffer holds the head at its front, for as long as the request lives. Behind the head are
//! the bytes that came with it or were read later: body data, framing, and perhaps the next
//! request. Data is taken from the buffer first. When the buffer is used up, data of a known length
//! goes straight from the socket to the handler's memory, and the buffer does not change. The
//! framing of a chunked body is read into the buffer behind the head, which may move; so the head
//! of such a request is [split off](super::Buffers::split_head) first.
//!
//! A request that a program made may have another reader for its body instead.

use std::io::{self, ErrorKind, Read};

use super::buffers::Input;
use super::exchange::Expectation;
use super::link::Link;
use crate::body_error::BodyError;
use crate::config::Timeout;
use crate::proto::{
    BodyLength, ChunkedDecoder, ChunkedNext, Head, Limits, Refusal, RefusalKind, Trailers,
    encode_continue,
};

/// The state of a body.
pub(crate) struct BodyIn {
    /// For a body of known length: how many bytes have not been read yet.
    left: u64,
    /// For a chunked body: its decoder.
    chunked: Option<Box<ChunkedDecoder>>,
    /// For a body that comes from elsewhere: its reader, until the end.
    #[allow(clippy::redundant_allocation)] // one word, in each request
    reader: Option<Box<Box<dyn Read>>>,
    /// Where the body begins in the buffer: behind the head.
    start: usize,
    /// How many bytes behind `start` are used up.
    used: usize,
    /// How many bytes of the body were used up before those. They are no longer in the buffer, or
    /// never were.
    passed: u64,
    /// The fault of the framing: nothing further can be read, and the client gets an error
    /// response.
    refusal: Option<Refusal>,
    /// How the connection ended in the middle of the body.
    truncated: Option<ErrorKind>,
    /// The body came too slowly; nothing further is read.
    timeout: Option<Timeout>,
}

/// The part of a body that the handler has not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    Nothing,
    /// This many bytes.
    Known(u64),
    /// The rest of a chunked body, whose length is not known.
    Unknown,
    /// The framing is malformed.
    Refused(Refusal),
    /// The connection ended or broke while the body was read.
    Truncated(ErrorKind),
    /// The body came too slowly.
    TimedOut(Timeout),
}

/// The buffer with the received bytes.
pub(crate) enum Received<'i> {
    /// For a body of known length, behind the head that other code may be looking at.
    Fixed(&'i Input),
    /// Apart from the head.
    Growing(&'i mut Input),
}

impl Received<'_> {
    fn input(&self) -> &Input {
        match self {
            Self::Fixed(input) => input,
            Self::Growing(input) => input,
        }
    }
}

impl BodyIn {
    /// Without bytes, before the first request.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            left: 0,
            chunked: None,
            reader: None,
            start: 0,
            used: 0,
            passed: 0,
            refusal: None,
            truncated: None,
            timeout: None,
        }
    }

    /// The body of the next request begins, behind this head. The former one has no
    /// [source](Self::has_source) of its own any more.
    #[inline]
    pub(crate) fn begin(&mut self, head: &Head) {
        // Each field is named, so that none is forgotten.
        let Self { left, chunked, reader, start, used, passed, refusal, truncated, timeout } = self;
        debug_assert!(chunked.is_none() && reader.is_none(), "the former body has not ended");
        *left = match head.body {
            BodyLength::Known(bytes) => bytes,
            BodyLength::Chunked => {
                *chunked = Some(Box::new(ChunkedDecoder::new()));
                0
            }
        };
        *start = head.end;
        (*used, *passed) = (0, 0);
        (*refusal, *truncated, *timeout) = (None, None, None);
    }

    /// Whether the data comes through a decoder, or from elsewhere.
    #[inline]
    pub(crate) fn has_source(&self) -> bool {
        self.chunked.is_some() || self.reader.is_some()
    }

    /// The request is over.
    pub(crate) fn drop_source(&mut self) {
        self.chunked = None;
        self.reader = None;
    }

    /// A body that comes from `reader`.
    pub(crate) fn from_reader(head: &Head, reader: Box<dyn Read>) -> Self {
        Self { reader: Some(Box::new(reader)), start: head.end, ..Self::new() }
    }

    /// Whether nothing is left of a body of known length.
    #[inline]
    pub(crate) fn is_all_read(&self) -> bool {
        self.left == 0 && self.chunked.is_none()
    }

    /// How many bytes have not been read yet, if that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match &self.chunked {
            None if self.reader.is_some() => None,
            None => Some(self.left),
            Some(decoder) if decoder.is_complete() => Some(0),
            Some(_) => None,
        }
    }

    /// The trailers of a chunked body that has been read to its end, if it has any.
    pub(crate) fn take_trailers(&mut self) -> Option<Trailers> {
        self.chunked.as_mut().filter(|decoder| decoder.is_complete())?.take_trailers()
    }

    /// How many bytes of the buffer belong to the request, including its head, as far as is known.
    pub(crate) fn end(&self) -> usize {
        self.start + self.used
    }

    /// How many bytes of the request were received and used, its head included.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.end() as u64 + self.passed
    }

    /// Reads some bytes; 0 is the end of the body.
    pub(crate) fn read(
        &mut self,
        received: Received<'_>,
        link: &Link,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if let Some(reader) = &mut self.reader {
            let count = reader.read(buffer)?;
            if count == 0 {
                self.reader = None;
            }
            return Ok(count);
        }
        self.try_read(received, link, buffer).inspect_err(|error| {
            match BodyError::of(error) {
                Some(BodyError::Disconnected(kind)) => self.truncated = Some(kind),
                Some(BodyError::TimedOut(timeout)) => self.timeout = Some(timeout),
                _ => {}
            }
            link.pacing.record_failed_call(self.truncated.is_some());
        })
    }

    fn try_read(
        &mut self,
        mut received: Received<'_>,
        link: &Link,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if let Some(timeout) = self.timeout {
            return Err(BodyError::TimedOut(timeout).into());
        }
        let limits = &link.host.limits;
        // Data of all buffered chunks in one call: a call for each chunk would cost more than its
        // bytes.
        let mut taken = 0;
        loop {
            let left = match self.advance(received.input(), limits) {
                Ok(Some(0)) => return Ok(taken),
                // The bytes before the fault are good, and the next call finds the same fault.
                Ok(None) | Err(_) if taken > 0 => return Ok(taken),
                left => left.map_err(BodyError::Refused)?,
            };
            let buffered = &received.input().unread()[self.end()..];
            let Some(left) = left else {
                // All buffered bytes are used up, and the next bytes are framing.
                let Received::Growing(input) = &mut received else {
                    unreachable!("the head of a request with a chunked body is split off");
                };
                input.truncate(self.start);
                self.passed += self.used as u64;
                self.used = 0;
                before_read(link)?;
                match input.fill_with(|free| link.read(free)) {
                    Ok(0) => return Err(ended_early()),
                    Ok(_) => continue,
                    Err(error) if error.kind() == ErrorKind::OutOfMemory => {
                        let refusal = self.refuse(RefusalKind::Memory, self.start);
                        return Err(BodyError::Refused(refusal).into());
                    }
                    Err(error) => return Err(broken(error)),
                }
            };
            let free = &mut buffer[taken..];
            let most = usize::try_from(left).map_or(free.len(), |left| left.min(free.len()));
            if !buffered.is_empty() {
                // A client that sends some of the body does not wait for a 100 (RFC 9110 section
                // 10.1.1).
                link.exchange.set_expectation(Expectation::None);
                let count = most.min(buffered.len());
                free[..count].copy_from_slice(&buffered[..count]);
                self.used += count;
                self.took(count as u64);
                taken += count;
                if taken == buffer.len() {
                    return Ok(taken);
                }
            } else if taken > 0 {
                return Ok(taken);
            } else {
                before_read(link)?;
                let count = match link.read(&mut free[..most]).map_err(broken)? {
                    0 => return Err(ended_early()),
                    count => count,
                };
                self.passed += count as u64;
                self.took(count as u64);
                return Ok(count);
            }
        }
    }

    /// Nothing further of the body can be read.
    #[cold]
    fn refuse(&mut self, kind: RefusalKind, at: usize) -> Refusal {
        let mut refusal = kind.at(at);
        refusal.offset += self.passed;
        self.refusal = Some(refusal);
        refusal
    }

    /// Skips the part of the body that is in the buffer; returns the part that is not.
    #[cold]
    pub(crate) fn pass_over_buffered(&mut self, input: &Input, limits: &Limits) -> Unread {
        if let Some(kind) = self.truncated {
            return Unread::Truncated(kind);
        }
        if let Some(timeout) = self.timeout {
            return Unread::TimedOut(timeout);
        }
        loop {
            let left = match self.advance(input, limits) {
                Ok(Some(0)) => return Unread::Nothing,
                Ok(Some(left)) => left,
                Ok(None) => return Unread::Unknown,
                Err(refusal) => return Unread::Refused(refusal),
            };
            let buffered = input.unread().len() - self.end();
            if buffered == 0 {
                let is_known = self.chunked.is_none();
                return if is_known { Unread::Known(left) } else { Unread::Unknown };
            }
            let count = usize::try_from(left).map_or(buffered, |left| left.min(buffered));
            self.used += count;
            self.took(count as u64);
        }
    }

    /// How many bytes of data come next, 0 at the end; `None` if that depends on bytes that have
    /// not arrived yet.
    fn advance(&mut self, input: &Input, limits: &Limits) -> Result<Option<u64>, Refusal> {
        let Some(decoder) = &mut self.chunked else {
            return Ok(Some(self.left));
        };
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        let at = self.start + self.used;
        let (framing, next) = match decoder.next(&input.unread()[at..], limits) {
            Ok(next) => next,
            Err((kind, byte)) => return Err(self.refuse(kind, at + byte)),
        };
        self.used += framing;
        Ok(match next {
            ChunkedNext::Data(bytes) => Some(bytes),
            ChunkedNext::More => None,
            ChunkedNext::End => Some(0),
        })
    }

    fn took(&mut self, count: u64) {
        match &mut self.chunked {
            None => self.left -= count,
            Some(decoder) => decoder.took(count),
        }
    }
}

/// Before a wait for the body: sends earlier responses, and a 100 to a client that waits for one.
fn before_read(link: &Link) -> io::Result<()> {
    match link.exchange.expectation() {
        Expectation::None => {}
        Expectation::Waiting => {
            link.exchange.set_expectation(Expectation::None);
            encode_continue(link.output.buffer().bytes());
        }
        Expectation::Declined => return Err(BodyError::Declined.into()),
    }
    // Another fiber may be writing the response, and wait until the client reads. This fiber reads
    // the body, and must not wait for that.
    link.try_flush().map_err(broken)
}

#[allow(clippy::needless_pass_by_value)] // `map_err` passes the error by value
fn broken(error: io::Error) -> io::Error {
    if let Some(timeout @ (Timeout::Body | Timeout::BodyRate)) = Timeout::of(&error) {
        return BodyError::TimedOut(timeout).into();
    }
    BodyError::Disconnected(error.kind()).into()
}

fn ended_early() -> io::Error {
    BodyError::Disconnected(ErrorKind::UnexpectedEof).into()
}
