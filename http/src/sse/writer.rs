//! Events from straight-line code.

use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline_sched::now;
use straightline_sched::sync::{FlagReader, Selectable, at, select};

use super::event::Event;
use super::event_stream::{HEARTBEAT, beat, bounded, with_fields};
use super::frame::Frame;
use crate::message::{BodyWriter, Request, Response};

/// A response (200) whose events a function writes, as
/// [`Response::stream`](crate::Response::stream).
///
/// The function keeps its stack while it waits. If it only passes on what comes from a channel, an
/// [`EventStream`](super::EventStream) holds none.
///
/// Not a yield point.
///
/// ```
/// use std::time::Duration;
/// use straightline::sched::sync::after;
/// use straightline::sse::{self, Event};
/// use straightline::{Request, Response};
///
/// /// A number each second, until the client leaves or the server drains.
/// fn clock(_: &mut Request) -> Response {
///     sse::stream(|_, events| {
///         let mut number = 0;
///         while events.wait_for(&[&after(Duration::from_secs(1))])?.is_some() {
///             number += 1;
///             events.send(&Event::new(number.to_string()))?;
///         }
///         Ok(())
///     })
/// }
/// ```
pub fn stream(
    write: impl FnOnce(&mut Request, &mut EventWriter<'_, '_>) -> io::Result<()> + 'static,
) -> Response {
    with_fields(Response::stream(move |request, body| {
        let link = Rc::clone(request.link());
        link.pacing.set_ends_with_drain(true);
        body.flush()?; // the client learns that the stream is open
        let draining = request.draining();
        let mut events = EventWriter { body, draining, heartbeat: HEARTBEAT, sent_at: now() };
        let result = write(request, &mut events);
        link.pacing.set_ends_with_drain(false); // the connection may serve other requests
        result
    }))
}

/// Writes the events of a [`stream`].
///
/// # Errors
///
/// A write fails if the client is gone or reads nothing; then all later writes fail too, so return
/// the error.
pub struct EventWriter<'w, 'b> {
    body: &'w mut BodyWriter<'b>,
    draining: FlagReader,
    heartbeat: Duration,
    /// When the client last got something.
    sent_at: Instant,
}

impl EventWriter<'_, '_> {
    /// Sends an event, at once.
    ///
    /// # Blocking
    ///
    /// A yield point: it waits for a client that reads slowly.
    ///
    /// # Errors
    ///
    /// As [here](EventWriter#errors).
    pub fn send(&mut self, event: &Event) -> io::Result<()> {
        self.send_frame(&event.encode())
    }

    /// As [`send`](Self::send), for an event that is encoded already.
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [here](EventWriter#errors).
    ///
    /// ```
    /// use straightline::sse::{self, Event};
    ///
    /// let frame = Event::new("hello").encode();
    /// let response = sse::stream(move |_, events| events.send_frame(&frame));
    /// ```
    pub fn send_frame(&mut self, frame: &Frame) -> io::Result<()> {
        self.body.write_all(frame.as_bytes())?;
        self.body.flush()?;
        self.sent_at = now();
        Ok(())
    }

    /// How long the client may get nothing, while the function waits in
    /// [`wait_for`](Self::wait_for); [`HEARTBEAT`] unless it is set. Less than a millisecond counts
    /// as a millisecond. Not a yield point.
    pub fn set_heartbeat(&mut self, heartbeat: Duration) {
        self.heartbeat = bounded(heartbeat);
    }

    /// Waits until one of the things is ready, and returns its index; `None` if the server drains,
    /// so that the stream is to end. Meanwhile the client gets heartbeats, however often the things
    /// become ready.
    ///
    /// # Blocking
    ///
    /// A yield point, as [`select`](straightline_sched::sync::select()).
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding, and leaves the things as they are.
    ///
    /// # Errors
    ///
    /// As [here](EventWriter#errors).
    ///
    /// ```
    /// use straightline::sched::sync::mpsc;
    /// use straightline::sse::{self, Event};
    ///
    /// let (sender, lines) = mpsc::channel::<String>(8);
    /// let response = sse::stream(move |_, events| {
    ///     while events.wait_for(&[&lines])?.is_some() {
    ///         match lines.try_recv() {
    ///             Ok(line) => events.send(&Event::new(line))?,
    ///             Err(mpsc::TryRecvError::Empty) => {}
    ///             Err(mpsc::TryRecvError::Disconnected) => break,
    ///         }
    ///     }
    ///     Ok(())
    /// });
    /// # drop(sender);
    /// ```
    pub fn wait_for(&mut self, things: &[&dyn Selectable]) -> io::Result<Option<usize>> {
        loop {
            let beat_at = at(self.sent_at + self.heartbeat);
            let own: [&dyn Selectable; 2] = [&self.draining, &beat_at];
            let all: Vec<&dyn Selectable> = own.into_iter().chain(things.iter().copied()).collect();
            match select(&all)? {
                0 => return Ok(None),
                1 => self.send_frame(&beat())?,
                index => return Ok(Some(index - 2)),
            }
        }
    }
}

impl fmt::Debug for EventWriter<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWriter").field("heartbeat", &self.heartbeat).finish_non_exhaustive()
    }
}
