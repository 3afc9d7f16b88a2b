//! Where the body of a response ends, and what of its bytes is data: without a stream and without a
//! clock.

use std::io::{self, ErrorKind};

use crate::proto::{ChunkedDecoder, ChunkedNext, Limits, ReceivedBody, Trailers};

/// Finds the data in the bytes of a response's body.
pub(crate) struct BodyDecoder {
    framing: Framing,
    limits: Limits,
}

enum Framing {
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
}

/// What follows in the bytes that have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyNext {
    /// This many bytes of data, at least one.
    Data(usize),
    End,
    More,
}

impl BodyDecoder {
    /// A body that has that framing, and at most `fields_max` trailers.
    pub(crate) fn new(body: ReceivedBody, fields_max: usize) -> Self {
        let framing = match body {
            ReceivedBody::Known(length) => Framing::Length(length),
            ReceivedBody::Chunked => Framing::Chunked(Box::new(ChunkedDecoder::new())),
            ReceivedBody::UntilClose => Framing::UntilClose,
        };
        let limits = Limits::default()
            .with_body_bytes(u64::MAX)
            .with_fields(fields_max)
            .with_chunk_extension_bytes(EXTENSION_BYTES_MAX)
            .with_trailer_bytes(TRAILER_BYTES_MAX);
        Self { framing, limits }
    }

    /// How many of the bytes are framing, and what follows them. `bytes` follow those that earlier
    /// calls have used.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the chunks are malformed, or beyond a limit.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> io::Result<(usize, BodyNext)> {
        let (framing, data) = match &mut self.framing {
            Framing::Length(0) => return Ok((0, BodyNext::End)),
            Framing::Length(left) => (0, *left),
            Framing::UntilClose => (0, u64::MAX),
            Framing::Chunked(decoder) => match decoder.next(bytes, &self.limits) {
                Ok((framing, ChunkedNext::Data(left))) => (framing, left),
                Ok((framing, ChunkedNext::End)) => return Ok((framing, BodyNext::End)),
                Ok((framing, ChunkedNext::More)) => return Ok((framing, BodyNext::More)),
                Err((kind, _)) => {
                    let message = format!("the chunks of the response are malformed: {kind:?}");
                    return Err(io::Error::new(ErrorKind::InvalidData, message));
                }
            },
        };
        let arrived = bytes.len() - framing;
        let count = usize::try_from(data).map_or(arrived, |data| data.min(arrived));
        Ok((framing, if count == 0 { BodyNext::More } else { BodyNext::Data(count) }))
    }

    /// The caller took `count` bytes of data.
    pub(crate) fn took(&mut self, count: usize) {
        match &mut self.framing {
            Framing::Length(left) => *left -= count as u64,
            Framing::Chunked(decoder) => decoder.took(count as u64),
            Framing::UntilClose => {}
        }
    }

    /// Whether the end of the connection is the end of the body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.framing, Framing::UntilClose)
    }

    /// The trailers, once the body is complete.
    pub(crate) fn take_trailers(&mut self) -> Option<Trailers> {
        match &mut self.framing {
            Framing::Chunked(decoder) => decoder.take_trailers(),
            _ => None,
        }
    }
}

/// Of the chunk extensions of a whole body, which are dropped. Arbitrary: hardly any server sends
/// one, and a stream may be long.
const EXTENSION_BYTES_MAX: usize = 1024 * 1024;

/// Of the trailers. Arbitrary: twice what clients may send.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
