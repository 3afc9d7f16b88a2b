//! Rows one by one, at the pace of their reader.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;

use futures_util::Stream;
use straightline_sched::block_on;
use tokio_postgres::{Row, RowStream};

use super::flight::Flight;
use crate::error::Error;

/// The rows of a statement, read one by one: the server waits when the reader does, so a result of
/// any size takes the memory of a few rows.
///
/// Read it to its end. If it is dropped before, the rest of the answer is still under way: other
/// calls of the same fiber wait for it, and the pool has the server stop it and closes the
/// connection. Ask for fewer rows (`LIMIT`) where only some are wanted.
///
/// ```no_run
/// use std::io::{self, Write};
/// use straightline_db::{Error, postgres::Client};
///
/// fn export(client: &Client, mut to: impl Write) -> Result<(), Box<dyn std::error::Error>> {
///     for row in client.query_raw("SELECT name FROM goods ORDER BY name", &[])? {
///         writeln!(to, "{}", row?.get::<_, &str>("name"))?;
///     }
///     Ok(())
/// }
/// ```
pub struct Rows<'c> {
    stream: Pin<Box<RowStream>>,
    flight: Flight<'c>,
    is_over: bool,
}

impl<'c> Rows<'c> {
    pub(super) fn new(stream: RowStream, flight: Flight<'c>) -> Self {
        Self { stream: Box::pin(stream), flight, is_over: false }
    }
}

impl Iterator for Rows<'_> {
    type Item = Result<Row, Error>;

    /// A yield point.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let stream = &mut self.stream;
        let next = match block_on(poll_fn(|cx| stream.as_mut().poll_next(cx))) {
            Ok(next) => next,
            Err(unwinding) => return Some(Err(unwinding.into())),
        };
        // An error is the last that comes.
        if !matches!(next, Some(Ok(_))) {
            self.is_over = true;
            self.flight.land();
        }
        next.map(|row| row.map_err(Error::from))
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("is_over", &self.is_over).finish_non_exhaustive()
    }
}
