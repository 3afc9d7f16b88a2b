//! `COPY`: a table as a stream of bytes, in both directions.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{SinkExt, Stream};
use straightline_sched::block_on;
use tokio_postgres::{CopyInSink, CopyOutStream};

use super::flight::Flight;
use crate::error::Error;

/// What is written here becomes rows of a table, when it is [finished](Self::finish).
///
/// If it is dropped before, nothing was copied, and the pool closes the connection.
///
/// ```no_run
/// use std::io::Write;
/// use straightline_db::postgres::Client;
///
/// fn fill(client: &Client) -> Result<u64, Box<dyn std::error::Error>> {
///     let mut copy = client.copy_in("COPY squares (number, square) FROM STDIN")?;
///     for number in 0..1000_u64 {
///         writeln!(copy, "{number}\t{}", number * number)?;
///     }
///     Ok(copy.finish()?)
/// }
/// ```
#[must_use = "without `finish` nothing is copied"]
pub struct CopyIn<'c> {
    sink: Pin<Box<CopyInSink<Bytes>>>,
    buffer: BytesMut,
    flight: Flight<'c>,
}

/// Rows of a table as bytes, read at the pace of the reader.
///
/// Read it to its end, as [`Rows`](super::Rows).
///
/// ```no_run
/// use std::io;
/// use straightline_db::postgres::Client;
///
/// fn export(client: &Client, to: &mut impl io::Write) -> Result<u64, Box<dyn std::error::Error>> {
///     let mut copy = client.copy_out("COPY squares TO STDOUT (FORMAT csv)")?;
///     Ok(io::copy(&mut copy, to)?)
/// }
/// ```
pub struct CopyOut<'c> {
    stream: Pin<Box<CopyOutStream>>,
    piece: Bytes,
    flight: Flight<'c>,
    is_over: bool,
}

impl<'c> CopyOut<'c> {
    pub(super) fn new(stream: CopyOutStream, flight: Flight<'c>) -> Self {
        Self { stream: Box::pin(stream), piece: Bytes::new(), flight, is_over: false }
    }
}

impl<'c> CopyIn<'c> {
    pub(super) fn new(sink: CopyInSink<Bytes>, flight: Flight<'c>) -> Self {
        Self { sink: Box::pin(sink), buffer: BytesMut::new(), flight }
    }

    /// Ends the copy; returns the number of rows.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// If the fiber unwinds in here, it is not known whether the rows were copied.
    ///
    /// # Errors
    ///
    /// [`Error::Postgres`]: a row that is wrong. Nothing was copied then.
    pub fn finish(mut self) -> Result<u64, Error> {
        self.send()?;
        let rows = block_on(self.sink.as_mut().finish())?;
        self.flight.land();
        Ok(rows?)
    }

    /// Sends what was gathered.
    fn send(&mut self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = self.buffer.split().freeze();
        Ok(block_on(self.sink.send(piece))??)
    }
}

impl Write for CopyIn<'_> {
    /// A yield point, whenever enough was gathered.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE_BYTES {
            self.send().map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    /// A yield point.
    fn flush(&mut self) -> io::Result<()> {
        self.send().map_err(io::Error::other)
    }
}

impl Read for CopyOut<'_> {
    /// A yield point.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !self.is_over && !buffer.is_empty() {
            let stream = &mut self.stream;
            let next = block_on(poll_fn(|cx| stream.as_mut().poll_next(cx)))?;
            match next {
                Some(Ok(piece)) => self.piece = piece,
                end => {
                    self.is_over = true;
                    self.flight.land();
                    if let Some(Err(error)) = end {
                        return Err(io::Error::other(Error::from(error)));
                    }
                }
            }
        }
        let count = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl fmt::Debug for CopyIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyIn").field("buffered", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for CopyOut<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyOut").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

/// How much is gathered before it is sent. Arbitrary: large beside the head of a message.
const PIECE_BYTES: usize = 16 * 1024;
