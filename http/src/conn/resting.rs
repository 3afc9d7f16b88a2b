//! A response in the middle of which its connection rests: its pieces come now and then.
//!
//! | field | meaning |
//! |---|---|
//! | `is_whole` | the end of the body is written; until then the client must see that it is not |
//! | `beat_at` | when a beat is due, unless a piece is sent before |
//! | `ending` | what is known of the client's own end |
//! | `may_have_input` | no read has found that nothing is left, so there may be no event for it |
//!
//! However this is dropped (the client leaves, a drain ends, the fiber is cancelled), the request
//! is reported. Where the pieces come from is code of the program, which may panic, also while the
//! fiber unwinds: no panic leaves the drop.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use straightline_sched::sync::WakeOn;
use straightline_sched::{is_cancel, now};

use super::handler_faults::record_panic;
use super::report::report_request;
use crate::message::{Fed, Fetched, Piece, Pieces, Request};
use crate::telemetry::Outcome;

/// A response whose pieces come now and then.
pub(super) struct Resting {
    request: Request,
    pieces: Option<Box<dyn Pieces>>,
    beat: Piece,
    beat_every: Duration,
    wake: WakeOn,
    is_chunked: bool,
    is_whole: bool,
    beat_at: Instant,
    ending: Ending,
    may_have_input: bool,
    /// How many bytes of the client were dropped.
    dropped: usize,
}

/// What is known of the client's end of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Open,
    /// The client has closed its side: it has left, or only sends no more. So many beats are sent
    /// soon, to find out: a client that has left answers them with a reset.
    Closed {
        beats: u8,
    },
}

impl Resting {
    /// For the calling fiber. `is_chunked` is false if the body ends with its connection.
    pub(super) fn new(mut request: Request, fed: Fed, is_chunked: bool) -> Box<Self> {
        request.keep_head();
        let Fed { pieces, beat_every, beat } = fed;
        let beat_at = now() + beat_every;
        let wake = WakeOn::new();
        let may_have_input = !request.link().transport.is_drained();
        Box::new(Self {
            request,
            pieces: Some(pieces),
            beat,
            beat_every,
            wake,
            is_chunked,
            is_whole: false,
            beat_at,
            ending: Ending::Open,
            may_have_input,
            dropped: 0,
        })
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.is_chunked
    }

    /// The end of the body is written.
    pub(super) fn record_whole(&mut self) {
        self.is_whole = true;
    }

    pub(super) fn fetch(&mut self) -> Fetched {
        self.pieces.as_mut().map_or(Fetched::End, |pieces| pieces.fetch())
    }

    /// A piece was sent: the next beat has time.
    pub(super) fn record_sent(&mut self) {
        if !matches!(self.ending, Ending::Closed { beats: 1.. }) {
            self.beat_at = now() + self.beat_every;
        }
    }

    /// When the next beat is due.
    pub(super) fn beat_at(&self) -> Instant {
        self.beat_at
    }

    /// The beat, if it is due.
    pub(super) fn take_beat(&mut self) -> Option<Piece> {
        let now = now();
        if now < self.beat_at {
            return None;
        }
        let mut pause = self.beat_every;
        if let Ending::Closed { beats: beats @ 1.. } = &mut self.ending {
            *beats -= 1;
            if *beats > 0 {
                pause = pause.min(PROBE_PAUSE);
            }
        }
        self.beat_at = now + pause;
        Some(self.beat.clone())
    }

    /// Whether the client may still send, so that its end can be waited for.
    pub(super) fn is_open(&self) -> bool {
        self.ending == Ending::Open
    }

    /// Whether a read may find something although no event says so.
    pub(super) fn may_have_input(&self) -> bool {
        self.may_have_input
    }

    pub(super) fn set_may_have_input(&mut self, may_have_input: bool) {
        self.may_have_input = may_have_input;
    }

    /// The client has sent bytes, which were dropped.
    ///
    /// # Errors
    ///
    /// There are too many of them.
    pub(super) fn record_dropped(&mut self, bytes: usize) -> io::Result<()> {
        self.dropped += bytes;
        if self.dropped <= DROPPED_BYTES_MAX {
            return Ok(());
        }
        let message = "the client sends although its last response goes on";
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }

    /// The client has closed its side: beats are due.
    pub(super) fn record_closed(&mut self) {
        self.ending = Ending::Closed { beats: PROBES };
        self.beat_at = now();
    }

    /// Has the fiber woken when there may be a piece; false if there may be one now.
    pub(super) fn arm(&self) -> bool {
        self.pieces.as_ref().is_some_and(|pieces| !self.wake.arm(&pieces.ready()))
    }

    /// Nothing of the program is asked any more.
    fn end_pieces(&mut self) {
        let Some(pieces) = self.pieces.take() else { return };
        let disarm = AssertUnwindSafe(|| self.wake.disarm(&pieces.ready()));
        let disarmed = catch_unwind(disarm);
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(pieces)));
        for payload in [disarmed, dropped].into_iter().filter_map(Result::err) {
            // A cancel has no more to end here than the drop itself.
            if !is_cancel(&*payload) {
                self.record_panic(payload);
            }
        }
    }

    /// Code of the program has panicked with that.
    pub(super) fn record_panic(&self, payload: Box<dyn Any + Send>) {
        let request = &self.request;
        record_panic(request.link(), request.method(), request.target(), payload);
    }
}

impl Drop for Resting {
    fn drop(&mut self) {
        self.end_pieces();
        let link = self.request.link();
        // Otherwise the end of the connection would look like the end of the body.
        if !self.is_whole && !self.is_chunked {
            link.transport.reset_on_close();
        }
        if !self.is_whole {
            link.exchange.set_outcome(Outcome::ForceClosed); // if nothing else went wrong before
        }
        report_request(link, &self.request);
    }
}

/// How many beats are sent to a client that has closed its side. A beat makes the system of a
/// client that has left answer with a reset, which the next one finds. The first beat often comes
/// before the client has left: a program that ends closes one side, and a moment later the other.
const PROBES: u8 = 3;

/// How much a client may send that is not read: a request or two, if it has not seen yet that the
/// connection ends with this response.
const DROPPED_BYTES_MAX: usize = 64 * 1024;

/// How long the second one waits for that answer. Arbitrary: longer than most round trips.
const PROBE_PAUSE: Duration = Duration::from_secs(1);
