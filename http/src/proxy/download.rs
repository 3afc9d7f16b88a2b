//! The body of a response on its way from the upstream to the client, piece by piece.
//!
//! The body is decoded here and framed anew by the server, so the client never sees the framing of
//! the upstream. A body that ends early is an error, and then the server ends the client's
//! connection in a way that the client notices.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::time::Duration;

use straightline_net::Transport;
use straightline_sched::now;

use super::body_decoder::{BodyDecoder, BodyNext};
use super::connection::Received;
use crate::message::BodyWriter;
use crate::proto::{ReceivedBody, Trailers};

/// Decodes the body of a response.
pub(super) struct Download {
    decoder: BodyDecoder,
    /// In which a byte must arrive.
    timeout: Duration,
}

/// Why the client did not get the whole body.
#[derive(Debug)]
pub(super) enum DownloadError {
    /// The client is gone, or too slow.
    Client(io::Error),
    /// The body ended early, is malformed, or came too slowly.
    Upstream(io::Error),
}

impl Download {
    pub(super) fn new(body: ReceivedBody, fields_max: usize, timeout: Duration) -> Self {
        Self { decoder: BodyDecoder::new(body, fields_max), timeout }
    }

    /// Writes the whole rest of the body to `body`, its trailers too. Small pieces leave when the
    /// upstream pauses, and then `before_wait` is called. The head leaves without a body if the
    /// first piece is late.
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
        let mut is_head_held = true;
        loop {
            let next = self.decoder.next(input.unread());
            let (framing, next) = next.map_err(DownloadError::Upstream)?;
            input.consume(framing);
            match next {
                BodyNext::Data(count) => {
                    is_head_held = false;
                    body.write_all(&input.unread()[..count]).map_err(DownloadError::Client)?;
                    input.consume(count);
                    self.decoder.took(count);
                }
                BodyNext::End => {
                    let trailers = self.decoder.take_trailers();
                    let fields = trailers.as_ref().map(Trailers::fields);
                    for (name, value) in fields.into_iter().flatten() {
                        // One that may not be a trailer is left out.
                        let _ = body.trailer(name, value);
                    }
                    return Ok(());
                }
                BodyNext::More => {
                    if input.is_drained() {
                        before_wait();
                    }
                    let is_first = mem::take(&mut is_head_held);
                    let filled = if is_first { fill_soon(stream, input) } else { None };
                    let count = if let Some(filled) = filled {
                        filled.map_err(DownloadError::Upstream)?
                    } else {
                        if is_first {
                            body.flush().map_err(DownloadError::Client)?;
                        }
                        self.fill(stream, input).map_err(DownloadError::Upstream)?
                    };
                    if count == 0 && self.decoder.ends_with_connection() {
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
}

/// Reads the first piece of the body; `None` if it does not come soon behind its head. If it does,
/// both leave together, and a body that is broken from its beginning becomes an error response.
///
/// A yield point.
fn fill_soon(stream: &dyn Transport, input: &mut Received) -> Option<io::Result<usize>> {
    match input.fill(stream, now() + FIRST_PIECE_TIME) {
        Err(error) if error.kind() == ErrorKind::TimedOut => None,
        filled => Some(filled),
    }
}

/// Arbitrary: a server that writes its head and its body apart takes less, and no person sees it.
const FIRST_PIECE_TIME: Duration = Duration::from_millis(10);
