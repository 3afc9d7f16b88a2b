//! A request's body on its way in: from the connection's buffer and from the wire to whoever asks,
//! and no further than he asks.
//!
//! The buffer holds the head at its front, for as long as the request lives, and behind it whatever
//! came with it or was read since: body, framing, and perhaps the next request. Data is taken from
//! there first. When that is used up, data of a known length goes from the wire straight to where
//! it is wanted; framing is read into the buffer behind the head.

use std::io::{self, ErrorKind};
use std::mem;

use super::buffers::Input;
use super::link::Link;
use super::transport::read;
use crate::proto::{
    BodyLength, ChunkedDecoder, ChunkedNext, Head, Headers, Limits, Refusal, encode_continue,
};

/// The state of a body.
pub(crate) struct BodyIn {
    left: Left,
    /// Where the body begins in the buffer: behind the head.
    start: usize,
    /// How many bytes behind that are used up.
    used: usize,
    /// The client waits to be told that its body is wanted.
    expect_continue: bool,
    /// What is wrong with the framing: nothing further can be read, and the client is to be told.
    refusal: Option<Refusal>,
}

enum Left {
    Known(u64),
    Chunked(Box<ChunkedDecoder>),
    /// A chunked body that is complete; its trailers are in there.
    Complete(Box<ChunkedDecoder>),
}

/// What of a body has not been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    Nothing,
    /// So many bytes.
    Known(u64),
    /// The rest of a chunked body.
    Unknown,
}

impl BodyIn {
    pub(crate) fn new(head: &Head) -> Self {
        let left = match head.body {
            BodyLength::Known(bytes) => Left::Known(bytes),
            BodyLength::Chunked => Left::Chunked(Box::new(ChunkedDecoder::new())),
        };
        let expect_continue = head.expect_continue;
        Self { left, start: head.end, used: 0, expect_continue, refusal: None }
    }

    /// Bytes that are still to come, if that is known.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match &self.left {
            Left::Known(bytes) => Some(*bytes),
            Left::Chunked(_) => None,
            Left::Complete(_) => Some(0),
        }
    }

    pub(crate) fn trailers(&self) -> Headers<'_> {
        match &self.left {
            Left::Complete(decoder) => {
                let (lines, fields) = decoder.trailers();
                Headers::new(lines, fields)
            }
            Left::Known(_) | Left::Chunked(_) => Headers::new(&[], &[]),
        }
    }

    /// How much of the buffer the request takes, head included, as far as it is known.
    pub(super) fn end(&self) -> usize {
        self.start + self.used
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// The client waits for a word that it will not get.
    pub(super) fn is_expecting(&self) -> bool {
        self.expect_continue
    }

    /// Reads some bytes; 0 is the end.
    pub(crate) fn read(
        &mut self,
        input: &mut Input,
        link: &Link,
        limits: &Limits,
        buffer: &mut [u8],
    ) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let left = match self.advance(input, limits)? {
                Some(0) => return Ok(0),
                left => left,
            };
            let buffered = &input.unread()[self.end()..];
            let Some(left) = left else {
                // The framing goes on behind what is there, all of which is used up.
                input.truncate(self.start);
                self.used = 0;
                self.before_read(link)?;
                if input.fill_waiting(&link.transport, limits.head_bytes + FRAMING_BYTES)? == 0 {
                    return Err(ended_early());
                }
                continue;
            };
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let count = if buffered.is_empty() {
                self.before_read(link)?;
                match read(&link.transport, &mut buffer[..most])? {
                    0 => return Err(ended_early()),
                    count => count,
                }
            } else {
                let count = most.min(buffered.len());
                buffer[..count].copy_from_slice(&buffered[..count]);
                self.used += count;
                count
            };
            self.took(count as u64);
            return Ok(count);
        }
    }

    /// Passes over what is in the buffer; returns what is left beyond it.
    pub(super) fn pass_over_buffered(&mut self, input: &Input, limits: &Limits) -> Unread {
        loop {
            let left = match self.advance(input, limits) {
                Ok(Some(0)) => return Unread::Nothing,
                Ok(Some(left)) => left,
                // A refusal is noted; nobody can say how long such a body is.
                Ok(None) | Err(_) => return Unread::Unknown,
            };
            let buffered = input.unread().len() - self.end();
            if buffered == 0 {
                let is_known = matches!(self.left, Left::Known(_));
                return if is_known { Unread::Known(left) } else { Unread::Unknown };
            }
            let count = usize::try_from(left).map_or(buffered, |left| left.min(buffered));
            self.used += count;
            self.took(count as u64);
        }
    }

    /// How many bytes of data come next, 0 at the end; `None` if that depends on what has not come.
    fn advance(&mut self, input: &Input, limits: &Limits) -> io::Result<Option<u64>> {
        if let Some(refusal) = self.refusal {
            return Err(io::Error::new(ErrorKind::InvalidData, refusal));
        }
        let decoder = match &mut self.left {
            Left::Known(bytes) => return Ok(Some(*bytes)),
            Left::Complete(_) => return Ok(Some(0)),
            Left::Chunked(decoder) => decoder,
        };
        let at = self.start + self.used;
        let (framing, next) =
            decoder.next(&input.unread()[at..], limits).map_err(|(kind, byte)| {
                let refusal = kind.at(at + byte);
                self.refusal = Some(refusal);
                io::Error::new(ErrorKind::InvalidData, refusal)
            })?;
        self.used += framing;
        match next {
            ChunkedNext::Data(bytes) => Ok(Some(bytes)),
            ChunkedNext::More => Ok(None),
            ChunkedNext::End => {
                let decoder = mem::replace(&mut self.left, Left::Known(0));
                if let Left::Chunked(decoder) = decoder {
                    self.left = Left::Complete(decoder);
                }
                Ok(Some(0))
            }
        }
    }

    fn took(&mut self, count: u64) {
        match &mut self.left {
            Left::Known(bytes) => *bytes -= count,
            Left::Chunked(decoder) => decoder.took(count),
            Left::Complete(_) => debug_assert_eq!(count, 0, "data behind the end"),
        }
    }

    /// What was answered before leaves before anything is waited for, and the client is told that
    /// its body is wanted.
    fn before_read(&mut self, link: &Link) -> io::Result<()> {
        if mem::take(&mut self.expect_continue) {
            encode_continue(&mut link.output());
        }
        link.flush()
    }
}

fn ended_early() -> io::Error {
    io::Error::new(
        ErrorKind::UnexpectedEof,
        "the client ended the connection in the middle of its request body",
    )
}

/// Room behind the largest head for the framing of a chunked body, and for data that comes with it.
const FRAMING_BYTES: usize = 4 * 1024;
