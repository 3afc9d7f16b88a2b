//! The body of a response on its way from the upstream to the client, piece by piece.
//!
//! The body is decoded here and framed anew by the server, so the client never sees the framing of
//! the upstream. A body that ends early is an error, and then the server ends the client's
//! connection in a way that the client notices.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use straightline_net::Transport;
use straightline_sched::now;

use super::connection::Received;
use crate::message::BodyWriter;
use crate::proto::{ChunkedDecoder, ChunkedNext, Limits, ReceivedBody, Trailers};

/// Decodes the body of a response.
pub(super) struct Download {
    framing: Framing,
    limits: Limits,
    /// In which a byte must arrive.
    timeout: Duration,
}

enum Framing {
    Length(u64),
    Chunked(Box<ChunkedDecoder>),
    UntilClose,
}

impl Download {
    pub(super) fn new(body: ReceivedBody, fields_max: usize, timeout: Duration) -> Self {
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
        Self { framing, limits, timeout }
    }

    /// Writes the whole rest of the body to `body`, its trailers too. Small pieces leave when the
    /// upstream pauses, and then `before_wait` is called.
    ///
    /// A yield point.
    ///
    /// # Errors
    ///
    /// The client's, as `BodyWriter` has them, and of the upstream, see [`DownloadError`].
    pub(super) fn run(
        &mut self,
        stream: &dyn Transport,
        input: &mut Received,
        body: &mut BodyWriter<'_>,
        mut before_wait: impl FnMut(),
    ) -> Result<(), DownloadError> {
        loop {
            let (framing, next) = self.advance(input).map_err(DownloadError::Upstream)?;
            input.consume(framing);
            match next {
                Next::Data(count) => {
                    body.write_all(&input.unread()[..count]).map_err(DownloadError::Client)?;
                    input.consume(count);
                    self.took(count);
                }
                Next::End => {
                    let trailers = self.trailers();
                    let fields = trailers.as_ref().map(Trailers::fields);
                    for (name, value) in fields.into_iter().flatten() {
                        // One that may not be a trailer is left out.
                        let _ = body.trailer(name, value);
                    }
                    return Ok(());
                }
                Next::More => {
                    if input.is_drained() {
                        before_wait();
                    }
                    let count = self.fill(stream, input).map_err(DownloadError::Upstream)?;
                    if count == 0 && matches!(self.framing, Framing::UntilClose) {
                        return Ok(());
                    }
                    if count == 0 {
                        let message = "the body of the response ended early";
                        let error = io::Error::new(ErrorKind::UnexpectedEof, message);
                        return Err(DownloadError::Upstream(error));
                    }
                }
            }
        }
    }

    fn fill(&self, stream: &dyn Transport, input: &mut Received) -> io::Result<usize> {
        input.fill(stream, now() + self.timeout).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => {
                let message = format!("no byte of the body arrived within {:?}", self.timeout);
                io::Error::new(ErrorKind::TimedOut, message)
            }
            _ => error,
        })
    }

    /// How many of the bytes are framing, and what follows them.
    fn advance(&mut self, input: &Received) -> io::Result<(usize, Next)> {
        let bytes = input.unread();
        let (framing, data) = match &mut self.framing {
            Framing::Length(0) => return Ok((0, Next::End)),
            Framing::Length(left) => (0, *left),
            Framing::UntilClose => (0, u64::MAX),
            Framing::Chunked(decoder) => match decoder.next(bytes, &self.limits) {
                Ok((framing, ChunkedNext::Data(left))) => (framing, left),
                Ok((framing, ChunkedNext::End)) => return Ok((framing, Next::End)),
                Ok((framing, ChunkedNext::More)) => return Ok((framing, Next::More)),
                Err((kind, _)) => {
                    let message = format!("the chunks of the response are malformed: {kind:?}");
                    return Err(io::Error::new(ErrorKind::InvalidData, message));
                }
            },
        };
        let arrived = bytes.len() - framing;
        let count = usize::try_from(data).map_or(arrived, |data| data.min(arrived));
        Ok((framing, if count == 0 { Next::More } else { Next::Data(count) }))
    }

    fn took(&mut self, count: usize) {
        match &mut self.framing {
            Framing::Length(left) => *left -= count as u64,
            Framing::Chunked(decoder) => decoder.took(count as u64),
            Framing::UntilClose => {}
        }
    }

    fn trailers(&mut self) -> Option<Trailers> {
        match &mut self.framing {
            Framing::Chunked(decoder) => decoder.take_trailers(),
            _ => None,
        }
    }
}

/// What follows in the bytes that have arrived.
enum Next {
    /// This many bytes of data, at least one.
    Data(usize),
    End,
    More,
}

/// Why the client did not get the whole body.
#[derive(Debug)]
pub(super) enum DownloadError {
    /// The client is gone, or too slow.
    Client(io::Error),
    /// The body ended early, is malformed, or came too slowly.
    Upstream(io::Error),
}

/// Of the chunk extensions of a whole body, which are dropped. Arbitrary: hardly any server sends
/// one, and a stream may be long.
const EXTENSION_BYTES_MAX: usize = 1024 * 1024;

/// Of the trailers. Arbitrary: twice what clients may send.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
