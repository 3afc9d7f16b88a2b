//! The response that brings events.

use std::fmt;
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};
use straightline_sched::sync::Ready;

use super::event::Event;
use super::frame::Frame;
use super::source::{EventSource, NextEvent};
use crate::message::{Fed, Fetched, IntoResponse, Pieces, Response, ResponseBody, Streamed};

/// A response (200) that sends the events of a source, until the source ends, the client leaves, or
/// the server drains. Return it from a handler; [the module](super) has what holds for it.
///
/// ```
/// use std::time::Duration;
/// use straightline::sched::{self, sync::mpsc};
/// use straightline::sse::{Event, EventStream};
/// use straightline::Request;
///
/// /// Counts down, while the connection holds no stack.
/// fn countdown(_: &mut Request) -> EventStream {
///     let (sender, events) = mpsc::channel(1);
///     sched::spawn(move || {
///         for number in (0..10).rev() {
///             // An error says that the client has left.
///             sender.send(Event::new(number.to_string()))?;
///             sched::sleep(Duration::from_secs(1));
///         }
///         Ok::<(), mpsc::SendError<Event>>(())
///     });
///     EventStream::new(events)
/// }
/// ```
#[must_use = "a stream is a response: return it"]
pub struct EventStream {
    source: Box<dyn EventSource>,
    /// What is sent before all others.
    first: Option<Frame>,
    heartbeat: Duration,
}

/// A client gets something at least so often: an event, or else a comment. Proxies commonly close
/// what is silent for 30 or 60 seconds, and the WHATWG advises "every 15 seconds or so"; this
/// leaves room for a busy server.
pub const HEARTBEAT: Duration = Duration::from_secs(12);

impl EventStream {
    /// A stream of the source's events. Not a yield point.
    pub fn new(source: impl EventSource) -> Self {
        Self { source: Box::new(source), first: None, heartbeat: HEARTBEAT }
    }

    /// How long the client may get nothing before a comment is sent to it; [`HEARTBEAT`] unless it
    /// is set. Less than a millisecond counts as a millisecond.
    ///
    /// Not a yield point.
    pub fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = bounded(heartbeat);
        self
    }

    /// How long the client is to wait before it connects again after the stream has ended. Browsers
    /// wait a few seconds unless they are told.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline::Request;
    /// use straightline::sse::{EventStream, Feed};
    ///
    /// fn events(request: &mut Request, news: &Feed) -> EventStream {
    ///     let stream = news.subscribe(request).heartbeat(Duration::from_secs(5));
    ///     stream.retry(Duration::from_secs(1))
    /// }
    /// ```
    pub fn retry(mut self, retry: Duration) -> Self {
        self.first = Some(Event::default().with_retry(retry).encode());
        self
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        let Self { source, first, heartbeat } = self;
        let pieces = Box::new(Frames { source, first });
        let beat = beat().into_piece();
        let fed = Fed { pieces, beat_every: heartbeat, beat };
        with_fields(Response::of(ResponseBody::streamed(Streamed::Fed(fed))))
    }
}

/// The fields of every response with events.
pub(super) fn with_fields(response: Response) -> Response {
    response
        .content_type("text/event-stream")
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
        .header(ACCEL_BUFFERING, HeaderValue::from_static("no"))
}

/// A time between two heartbeats that neither keeps the thread busy nor overflows.
pub(super) fn bounded(heartbeat: Duration) -> Duration {
    heartbeat.clamp(HEARTBEAT_MIN, HEARTBEAT_MAX)
}

/// The comment that says that the server is there.
pub(super) fn beat() -> Frame {
    Event::comment("").encode()
}

/// The events as pieces of a body.
struct Frames {
    source: Box<dyn EventSource>,
    first: Option<Frame>,
}

impl Pieces for Frames {
    fn fetch(&mut self) -> Fetched {
        if let Some(first) = self.first.take() {
            return Fetched::Piece(first.into_piece());
        }
        match self.source.next() {
            NextEvent::Event(frame) => Fetched::Piece(frame.into_piece()),
            NextEvent::Wait => Fetched::Nothing,
            NextEvent::End => Fetched::End,
        }
    }

    fn ready(&self) -> Ready<'_> {
        if self.first.is_some() { Ready::now() } else { self.source.ready() }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").field("heartbeat", &self.heartbeat).finish_non_exhaustive()
    }
}

/// nginx and other proxies send what has this field on at once.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A shorter time would keep the thread busy with heartbeats.
const HEARTBEAT_MIN: Duration = Duration::from_millis(1);

/// A century: so much can be added to a time.
const HEARTBEAT_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
