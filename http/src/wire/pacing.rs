//! How long the two sides of a request may take, and what happens when that is over.
//!
//! Three of a connection's five [timeouts](crate::Timeouts) are here; `head` is one wait in
//! `conn/serve.rs`, and `idle` a count of sweeps, see `idle`. Each bounds one side at a time:
//!
//! - `handler` bounds the server. It runs while none of the handler's fibers waits for the client,
//!   and begins anew when such a wait ends or something is written. When it is over the *lease*
//!   ends that the handler runs under: the handler unwinds at its next yield point.
//! - `body` bounds the client, while a fiber waits for a request's body. How long that may be is a
//!   `min_rate`'s to say. When it is over the wait is an error, and so is each later read of the
//!   body.
//! - `write` bounds the client, while a fiber waits for room. When it is over the wait is an error,
//!   and the connection is reset.
//!
//! A client that has gone ends the lease as well, and for good: that is no renewal's to undo. So
//! does a handler whose calls fail at once, again and again.
//!
//! A wait for the rest of a body ends when something comes. One for room to write cannot rely on
//! that: the system tells of room when a good part of its buffer is free, which takes a slow client
//! long. So it is looked now and then whether the client takes anything.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline_sched::{DeadlineExceeded, Interest, Lease, checkpoint, clock, yield_now};

use super::exchange::Exchange;
use super::host::Host;
use super::min_rate::{MinRate, Slow, look_at};
use super::transport::Transport;
use crate::config::{Pace, Timeout};

/// A connection's times. The meters and the lease are the connection's; the rest is of the request
/// at hand, and [`begin_request`](Self::begin_request) replaces it.
pub(crate) struct Pacing {
    /// Has the times that hold for all.
    host: Rc<Host>,
    /// What its handlers run under: it ends them when they stand still.
    lease: Lease,
    /// How long the handler may stand still.
    handler_timeout: Cell<Duration>,
    /// The client has gone while a handler ran that wanted to know: the lease is over.
    is_gone: Cell<bool>,
    /// The client has been too slow.
    too_slow: Cell<Option<Timeout>>,
    /// Calls of the handler that failed at once, because the client is gone or the body at its end.
    vain_calls: Cell<u32>,
    /// Fibers that wait for the client at the moment.
    waiting: Cell<u32>,
    /// How slowly the client sends the body at hand, and how slowly it may.
    reads: MinRate,
    body_pace: Cell<Pace>,
    /// The credit that it has for its bodies, while the one at hand has a pace of its own.
    kept_credit: Cell<Option<Duration>>,
    /// How slowly it takes what it is sent.
    writes: MinRate,
    /// Bytes that were given to the transport, and how many of them the client had by the last
    /// look.
    sent: Cell<u64>,
    taken: Cell<u64>,
}

impl Pacing {
    pub(super) fn new(host: &Rc<Host>) -> Self {
        let timeouts = &host.timeouts;
        Self {
            host: Rc::clone(host),
            lease: Lease::new(),
            handler_timeout: Cell::new(timeouts.handler),
            is_gone: Cell::new(false),
            too_slow: Cell::new(None),
            vain_calls: Cell::new(0),
            waiting: Cell::new(0),
            reads: MinRate::new(&timeouts.body),
            body_pace: Cell::new(timeouts.body),
            kept_credit: Cell::new(None),
            writes: MinRate::new(&timeouts.write),
            sent: Cell::new(0),
            taken: Cell::new(0),
        }
    }

    /// A request goes to its handler.
    #[inline]
    pub(super) fn begin_request(&self) {
        self.handler_timeout.set(self.host.timeouts.handler);
        self.is_gone.set(false);
        self.too_slow.set(None);
        self.vain_calls.set(0);
    }

    /// The request's body is to come, behind a head of that many bytes.
    pub(crate) fn begin_body(&self, head_bytes: usize) {
        let pace = &self.host.timeouts.body;
        let credit = self.kept_credit.take().unwrap_or(self.reads.credit());
        self.body_pace.set(*pace);
        self.reads.go_on(pace, credit);
        // A head is worth as much as a body, or small ones would use the credit up.
        self.reads.on_bytes(pace, head_bytes);
    }

    /// The body at hand has a pace of its own.
    pub(crate) fn set_body_pace(&self, pace: Pace) {
        self.kept_credit.set(self.kept_credit.get().or(Some(self.reads.credit())));
        self.body_pace.set(pace);
        self.reads.restart(&pace);
    }

    /// Runs what is the handler's, in the time that it has.
    #[inline]
    pub(crate) fn hold<T>(&self, body: impl FnOnce() -> T) -> Result<T, DeadlineExceeded> {
        self.lease.hold(self.handler_time(), body)
    }

    /// As [`hold`](Self::hold), without an end until [`end_handler`](Self::end_handler).
    pub(crate) fn hold_endless<T>(&self, body: impl FnOnce() -> T) -> Result<T, DeadlineExceeded> {
        self.lease.hold(Duration::MAX, body)
    }

    /// The handler has another time, from now on.
    pub(crate) fn set_handler_timeout(&self, timeout: Duration) {
        self.handler_timeout.set(timeout);
        self.record_progress();
    }

    /// The handler made progress: restarts its time. Time in which any of its fibers waits for the
    /// client does not count.
    pub(super) fn record_progress(&self) {
        if self.waiting.get() == 0 {
            self.lease.renew(self.handler_time());
        }
    }

    /// The handler's time is over.
    pub(super) fn end_handler(&self) {
        self.lease.end();
    }

    /// The client has gone, and the handler wants to know.
    pub(super) fn record_gone(&self) {
        self.is_gone.set(true);
        self.lease.end();
    }

    /// Whether the handler was ended because its client has gone.
    pub(crate) fn is_client_gone(&self) -> bool {
        self.is_gone.get()
    }

    /// Which time the client has passed, if it was too slow.
    pub(crate) fn too_slow(&self) -> Option<Timeout> {
        self.too_slow.get()
    }

    /// A call of the handler has failed, and so will the next: a loop that ignores its errors would
    /// keep the thread. So each such call is a yield point, and after too many the handler is
    /// ended.
    ///
    /// A yield point.
    #[cold]
    pub(super) fn record_vain_call(&self, is_client_gone: bool) {
        self.vain_calls.update(|count| count.saturating_add(1));
        if self.vain_calls.get() < VAIN_CALLS_MAX {
            return checkpoint();
        }
        if is_client_gone {
            self.is_gone.set(true);
        }
        self.lease.end();
        yield_now();
    }

    /// A streamed body begins, with calls of its own.
    pub(super) fn forget_vain_calls(&self) {
        self.vain_calls.set(0);
    }

    /// So many bytes of a body have come.
    pub(super) fn record_read(&self, bytes: usize) {
        self.reads.on_bytes(&self.body_pace.get(), bytes);
    }

    /// So many bytes were given to the transport.
    #[inline]
    pub(super) fn record_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// A wait that the client is responsible for: it counts against the client's pace and not
    /// against the handler's time.
    #[cold]
    pub(super) fn wait_for_body(
        &self,
        transport: &dyn Transport,
        exchange: &Exchange,
    ) -> io::Result<()> {
        let waiting = Waiting::begin(self, &self.reads, exchange);
        let (until, slow) =
            self.reads.allowance(&self.body_pace.get(), waiting.since, Duration::ZERO);
        let in_time = transport.wait_until(Interest::Read, until)?;
        waiting.end(in_time, until);
        match slow {
            _ if in_time => Ok(()),
            Slow::Idle => self.is_too_slow(Timeout::Body),
            Slow::Rate => self.is_too_slow(Timeout::BodyRate),
        }
    }

    /// As [`wait_for_body`](Self::wait_for_body), for room to write.
    #[cold]
    pub(super) fn wait_for_room(
        &self,
        transport: &dyn Transport,
        exchange: &Exchange,
    ) -> io::Result<()> {
        let pace = &self.host.timeouts.write;
        self.record_taken(transport);
        let mut idle_since = clock();
        loop {
            let waiting = Waiting::begin(self, &self.writes, exchange);
            let idle_for = waiting.since.saturating_duration_since(idle_since);
            let (until, slow) = self.writes.allowance(pace, waiting.since, idle_for);
            let at = until.into_iter().chain(look_at(pace, waiting.since)).min();
            let in_time = transport.wait_until(Interest::Write, at)?;
            waiting.end(in_time, until);
            if in_time {
                return Ok(());
            }
            if self.record_taken(transport) {
                idle_since = clock();
            } else if until.is_some_and(|until| until <= clock()) {
                return match slow {
                    Slow::Idle => self.is_too_slow(Timeout::Write),
                    Slow::Rate => self.is_too_slow(Timeout::WriteRate),
                };
            }
        }
    }

    /// Credits the client with what it has taken since the last look, if that is anything.
    fn record_taken(&self, transport: &dyn Transport) -> bool {
        let unacknowledged = transport.unacknowledged().unwrap_or(0);
        let taken = self.sent.get().saturating_sub(unacknowledged);
        // A Unix socket also counts what its buffers take, and so this may go back.
        let more = taken.saturating_sub(self.taken.replace(taken));
        let more_bytes = usize::try_from(more).unwrap_or(usize::MAX);
        self.writes.on_bytes(&self.host.timeouts.write, more_bytes);
        more > 0
    }

    fn is_too_slow(&self, timeout: Timeout) -> io::Result<()> {
        self.too_slow.set(Some(timeout));
        Err(io::Error::new(ErrorKind::TimedOut, timeout))
    }

    /// What the handler has until it is to write again, or to wait for its client.
    #[inline]
    fn handler_time(&self) -> Duration {
        // A lease that has ended because the client has gone stays so.
        if self.is_gone.get() { Duration::ZERO } else { self.handler_timeout.get() }
    }
}

/// A wait for the client, however it ends.
struct Waiting<'p> {
    pacing: &'p Pacing,
    min_rate: &'p MinRate,
    exchange: &'p Exchange,
    since: Instant,
    /// The request holds no place meanwhile, see [`Capacity::in_flight`](crate::Capacity).
    is_counted: bool,
}

impl<'p> Waiting<'p> {
    fn begin(pacing: &'p Pacing, min_rate: &'p MinRate, exchange: &'p Exchange) -> Self {
        pacing.waiting.update(|count| count + 1);
        if !pacing.is_gone.get() {
            pacing.lease.renew(Duration::MAX);
        }
        let is_counted = pacing.waiting.get() == 1 && exchange.await_client(pacing.host.counters());
        Self { pacing, min_rate, exchange, since: clock(), is_counted }
    }

    /// The wait was to last until then at the most, and it was the client that ended it, or not.
    fn end(mut self, in_time: bool, until: Option<Instant>) {
        let now = clock();
        if in_time && until.is_some_and(|until| until <= now) {
            // The server did not look: it is not known how long the client took.
            self.since = now;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.min_rate.waited(clock().saturating_duration_since(self.since));
        self.pacing.waiting.update(|count| count - 1);
        if self.is_counted {
            self.exchange.await_client_no_more(self.pacing.host.counters());
        }
        self.pacing.record_progress();
    }
}

/// How many calls of one request may fail at once. Arbitrary: honest code stops at the first,
/// and code that logs each and goes on to the next piece has had its say.
const VAIN_CALLS_MAX: u32 = 1_000;
