//! A body whose pieces come from elsewhere, now and then: between two of them the connection rests.
//!
//! A function that writes a body waits on a stack. This body is asked for its next piece instead,
//! and says what to wait for, so the connection holds neither a stack nor a buffer meanwhile. If
//! there is no connection (a wrapper that changes the body, a test), [`Fed::write`] does the same
//! on the caller's stack.

use std::io::{self, Write};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use straightline_sched::now;
use straightline_sched::sync::{Ready, at, select};

use super::body_writer::BodyWriter;
use super::request::Request;
use crate::proto::put_chunk_size;

/// A body whose pieces come from elsewhere.
pub(crate) struct Fed {
    pub(crate) pieces: Box<dyn Pieces>,
    /// The body never pauses for longer: then the beat is sent.
    pub(crate) beat_every: Duration,
    pub(crate) beat: Piece,
}

/// Where the pieces come from.
pub(crate) trait Pieces {
    /// The next piece, if there is one. Not a yield point.
    fn fetch(&mut self) -> Fetched;

    /// Is ready when there may be a piece, or the end.
    fn ready(&self) -> Ready<'_>;
}

/// What it has at the moment.
pub(crate) enum Fetched {
    Piece(Piece),
    /// Nothing yet.
    Nothing,
    /// The body is complete.
    End,
}

/// A piece of a body, with its framing as a chunk. All connections that send it share its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    chunk: Bytes,
    data: Range<usize>,
}

impl Piece {
    /// A piece with that data, which is not empty.
    pub(crate) fn new(data: &[u8]) -> Self {
        debug_assert!(!data.is_empty(), "an empty chunk ends a body");
        let mut chunk = Vec::with_capacity(data.len() + FRAMING_BYTES_MAX);
        put_chunk_size(&mut chunk, data.len() as u64);
        let start = chunk.len();
        chunk.extend_from_slice(data);
        let data = start..chunk.len();
        chunk.extend_from_slice(b"\r\n");
        Self { chunk: chunk.into(), data }
    }

    /// The data, framed as a chunk.
    pub(crate) fn chunk(&self) -> &[u8] {
        &self.chunk
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.chunk[self.data.clone()]
    }
}

impl Fed {
    /// Writes the body on the caller's stack, until it ends or the server drains. A yield point.
    pub(crate) fn write(
        mut self,
        request: &mut Request,
        body: &mut BodyWriter<'_>,
    ) -> io::Result<()> {
        // The end of the body in a drain may be that of a wrapper's body, which waits no longer.
        request.link().pacing.set_ends_with_drain(true);
        let draining = request.draining();
        let mut beat_at = now() + self.beat_every;
        while !draining.is_set() {
            match self.pieces.fetch() {
                Fetched::Piece(piece) => {
                    body.write_all(piece.data())?;
                    beat_at = now() + self.beat_every;
                    continue;
                }
                Fetched::Nothing => body.flush()?,
                Fetched::End => break,
            }
            // The beat comes first: the pieces may be ready again and again without one.
            if select(&[&at(beat_at), &draining, &self.pieces.ready()])? == 0 {
                body.write_all(self.beat.data())?;
                beat_at = now() + self.beat_every;
            }
        }
        request.link().pacing.set_ends_with_drain(false);
        Ok(())
    }
}

/// A size line with sixteen digits, and the end of the chunk.
const FRAMING_BYTES_MAX: usize = 20;
