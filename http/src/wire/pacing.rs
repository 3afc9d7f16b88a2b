//! How long the two sides of a request may take, and what happens when their time is over.
//!
//! Three of a connection's five [timeouts](crate::Timeouts) are here; `head` is one wait in
//! `conn/serve.rs`, and `idle` is a number of sweeps, see `idle`. Each timeout bounds one side at a
//! time:
//!
//! - `handler` bounds the server. It runs while none of the handler's fibers waits for the client,
//!   and restarts when such a wait ends or something is written. When it is over, it ends the
//!   *lease* under which the handler runs: the handler unwinds at its next yield point.
//! - `body` bounds the client, while a fiber waits for a request's body. A `rate_meter` decides how
//!   long that may be. When it is over, the wait is an error, and so is each later read of the
//!   body.
//! - `write` bounds the client, while a fiber waits for room to write. When it is over, the wait is
//!   an error, and the connection is reset.
//!
//! A client that has disconnected ends the lease as well, and for good: no renewal may undo that. A
//! handler whose calls fail at once, again and again, ends its lease too.
//!
//! A drain of the server shortens `write` for responses that end with the drain: the server cannot
//! wait for a client that does not read the last event of its stream.
//!
//! A wait for the rest of a body ends when bytes arrive. A wait for room to write cannot rely on an
//! event: the system reports room only when a good part of its buffer is free, which takes long
//! with a slow client. So the wait checks now and then whether the client acknowledges bytes.

use std::cell::Cell;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use straightline_net::Transport;
use straightline_sched::{DeadlineExceeded, Interest, Lease, checkpoint, now, yield_now};

use super::exchange::Exchange;
use super::host::Host;
use super::rate_meter::{RateMeter, Slow, look_at};
use crate::config::{MinRate, Timeout};

/// A connection's timeouts. The rates belong to the connection; the rest belongs to the current
/// request, and [`begin_request`](Self::begin_request) replaces it. While the connection is idle,
/// only its [`Credits`] are kept.
pub(crate) struct Pacing {
    /// Has the timeouts that hold for all connections.
    host: Rc<Host>,
    /// The lease under which handlers run: it ends them when they make no progress.
    lease: Lease,
    /// For a server with wrappers: the lease under which they run, which ends later.
    wrappers: Option<Lease>,
    /// How long the handler may make no progress.
    handler_timeout: Cell<Duration>,
    /// The client has disconnected, and its handler is cancelled for that: the lease is over.
    is_client_gone: Cell<bool>,
    /// The timeout that the client has exceeded.
    too_slow: Cell<Option<Timeout>>,
    /// The current response ends with a drain, so its client has little time then.
    ends_with_drain: Cell<bool>,
    /// How many calls of the handler failed at once, because the client is gone or the body at its
    /// end.
    failed_calls: Cell<u32>,
    /// How many fibers wait for the client at the moment.
    waiting: Cell<u32>,
    /// The client's credits may not be full: it was waited for, or a body had a pace of its own.
    has_waited: Cell<bool>,
    /// How slowly the client sends the current body.
    reads: RateMeter,
    /// For the rare body that has a pace of its own.
    own_rate: Cell<Option<Box<OwnRate>>>,
    /// How slowly the client reads what it is sent.
    writes: RateMeter,
    /// How many bytes were given to the transport, and how many of them the client had acknowledged
    /// at the last check. Only differences count: the numbers do not begin with the connection, and
    /// the second may be below zero. The first check grants too much credit, to a client whose
    /// credit is full.
    sent: Cell<u64>,
    acknowledged: Cell<i64>,
}

/// What a client has left of its credits, while its connection is idle. A client that was never
/// waited for has used up nothing, and needs none of this.
pub(super) struct Credits {
    reads: Duration,
    writes: Duration,
    sent: u64,
    acknowledged: i64,
}

/// The pace of the current body, and the client's credit for its other bodies meanwhile.
struct OwnRate {
    pace: MinRate,
    kept_credit: Duration,
}

impl Pacing {
    pub(super) fn new(host: &Rc<Host>) -> Self {
        let timeouts = &host.timeouts;
        Self {
            host: Rc::clone(host),
            lease: Lease::new(),
            wrappers: host.has_wrappers().then(Lease::new),
            handler_timeout: Cell::new(timeouts.handler),
            is_client_gone: Cell::new(false),
            too_slow: Cell::new(None),
            ends_with_drain: Cell::new(false),
            failed_calls: Cell::new(0),
            waiting: Cell::new(0),
            has_waited: Cell::new(false),
            reads: RateMeter::new(&timeouts.body),
            own_rate: Cell::new(None),
            writes: RateMeter::new(&timeouts.write),
            sent: Cell::new(0),
            acknowledged: Cell::new(0),
        }
    }

    /// The connection is active again, with the credits that it had.
    #[cold]
    pub(super) fn resume(&self, credits: &Credits) {
        self.has_waited.set(true);
        self.reads.set_credit(credits.reads);
        self.writes.set_credit(credits.writes);
        self.sent.set(credits.sent);
        self.acknowledged.set(credits.acknowledged);
    }

    /// The connection is idle, or has ended: returns the client's credits, unless they are full.
    /// Here they are full then.
    #[inline]
    pub(super) fn rest(&self) -> Option<Box<Credits>> {
        self.is_client_gone.set(false);
        self.ends_with_drain.set(false);
        if self.has_waited.get() { self.take_credits() } else { None }
    }

    #[cold]
    fn take_credits(&self) -> Option<Box<Credits>> {
        debug_assert_eq!(self.waiting.get(), 0, "a fiber waits for the client of a link at rest");
        let timeouts = &self.host.timeouts;
        let credits = Credits {
            reads: self.own_rate.take().map_or(self.reads.credit(), |own| own.kept_credit),
            writes: self.writes.credit(),
            sent: self.sent.take(),
            acknowledged: self.acknowledged.take(),
        };
        self.has_waited.set(false);
        self.too_slow.set(None);
        self.reads.restart(&timeouts.body);
        self.writes.restart(&timeouts.write);
        let is_full =
            credits.reads == timeouts.body.grace && credits.writes == timeouts.write.grace;
        (!is_full).then(|| Box::new(credits))
    }

    /// A request goes to its handler.
    #[inline]
    pub(super) fn begin_request(&self) {
        self.handler_timeout.set(self.host.timeouts.handler);
        self.is_client_gone.set(false);
        self.too_slow.set(None);
        self.failed_calls.set(0);
    }

    /// A request's body begins, behind a head of `head_bytes`.
    pub(crate) fn begin_body(&self, head_bytes: usize) {
        let pace = &self.host.timeouts.body;
        let credit = self.own_rate.take().map_or(self.reads.credit(), |own| own.kept_credit);
        self.reads.continue_with(pace, credit);
        // A head earns credit as a body does; otherwise small bodies would use the credit up.
        self.reads.on_bytes(pace, head_bytes);
    }

    /// The current body has a pace of its own.
    pub(crate) fn set_min_body_rate(&self, pace: MinRate) {
        self.has_waited.set(true);
        let kept_credit = self.own_rate.take().map_or(self.reads.credit(), |own| own.kept_credit);
        self.own_rate.set(Some(Box::new(OwnRate { pace, kept_credit })));
        self.reads.restart(&pace);
    }

    /// How slowly the client may send the current body.
    fn body_rate(&self) -> MinRate {
        let own = self.own_rate.take();
        let pace = own.as_ref().map_or(self.host.timeouts.body, |own| own.pace);
        self.own_rate.set(own);
        pace
    }

    /// Runs the handler's code within the handler's time.
    #[inline]
    pub(crate) fn hold<T>(&self, body: impl FnOnce() -> T) -> Result<T, DeadlineExceeded> {
        self.lease.hold(self.handler_time(), body)
    }

    /// As [`hold`](Self::hold), and catches every other unwind too.
    #[inline]
    pub(crate) fn try_hold<T>(
        &self,
        body: impl FnOnce() -> T,
    ) -> thread::Result<Result<T, DeadlineExceeded>> {
        self.lease.try_hold(self.handler_time(), body)
    }

    /// Runs the wrappers, and the handler with [`hold`](Self::hold) among them. They have as much
    /// time again when the handler's is over.
    pub(crate) fn hold_wrappers<T>(&self, body: impl FnOnce() -> T) -> Result<T, DeadlineExceeded> {
        match &self.wrappers {
            Some(lease) => lease.hold(self.wrappers_time(), body),
            None => Ok(body()),
        }
    }

    /// As [`hold`](Self::hold), but without a timeout: only [`end_handler`](Self::end_handler) ends
    /// it.
    pub(crate) fn hold_endless<T>(&self, body: impl FnOnce() -> T) -> Result<T, DeadlineExceeded> {
        self.lease.hold(Duration::MAX, body)
    }

    /// The handler has another timeout from now on.
    pub(crate) fn set_handler_timeout(&self, timeout: Duration) {
        self.handler_timeout.set(timeout);
        self.record_progress();
    }

    /// The handler made progress: restarts its timeout. Time in which any of its fibers waits for
    /// the client does not count.
    pub(super) fn record_progress(&self) {
        if self.waiting.get() == 0 {
            self.lease.renew(self.handler_time());
            if let Some(wrappers) = &self.wrappers {
                wrappers.renew(self.wrappers_time());
            }
        }
    }

    /// The handler's time is over.
    pub(super) fn end_handler(&self) {
        self.lease.end();
    }

    /// The client has disconnected, and the handler is cancelled for that.
    pub(super) fn record_client_gone(&self) {
        self.is_client_gone.set(true);
        self.lease.end();
    }

    /// Whether the handler was cancelled because its client has disconnected.
    pub(crate) fn is_client_gone(&self) -> bool {
        self.is_client_gone.get()
    }

    /// The timeout that the client has exceeded, if it was too slow.
    pub(crate) fn too_slow(&self) -> Option<Timeout> {
        self.too_slow.get()
    }

    /// A call of the handler has failed, and the next call will fail too: a loop that ignores its
    /// errors would keep the thread. So each such call is a yield point, and after too many of them
    /// the handler is ended.
    ///
    /// A yield point.
    #[cold]
    pub(super) fn record_failed_call(&self, is_client_gone: bool) {
        self.failed_calls.update(|count| count.saturating_add(1));
        if self.failed_calls.get() < FAILED_CALLS_MAX {
            return checkpoint();
        }
        if is_client_gone {
            self.is_client_gone.set(true);
        }
        self.lease.end();
        yield_now();
    }

    /// A streamed body begins; its calls are counted anew.
    pub(super) fn reset_failed_calls(&self) {
        self.failed_calls.set(0);
    }

    /// The response that begins ends with a drain of the server, or not any more.
    pub(crate) fn set_ends_with_drain(&self, ends_with_drain: bool) {
        self.ends_with_drain.set(ends_with_drain);
    }

    /// `bytes` of a body were received.
    pub(super) fn record_read(&self, bytes: usize) {
        self.reads.on_bytes(&self.body_rate(), bytes);
    }

    /// `bytes` were given to the transport.
    #[inline]
    pub(super) fn record_sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// Waits for the client to send. The wait counts against the client's pace and not against the
    /// handler's time.
    #[cold]
    pub(super) fn wait_for_body(
        &self,
        transport: &dyn Transport,
        exchange: &Exchange,
    ) -> io::Result<()> {
        let waiting = Waiting::begin(self, &self.reads, exchange);
        let (until, slow) = self.reads.allowance(&self.body_rate(), waiting.since, Duration::ZERO);
        let in_time = transport.wait_until(Interest::Read, until)?;
        waiting.end(in_time, until);
        match slow {
            _ if in_time => Ok(()),
            Slow::Idle => self.fail_too_slow(Timeout::Body),
            Slow::Rate => self.fail_too_slow(Timeout::BodyRate),
        }
    }

    /// As [`wait_for_body`](Self::wait_for_body), but waits for room to write.
    #[cold]
    pub(super) fn wait_for_room(
        &self,
        transport: &dyn Transport,
        exchange: &Exchange,
    ) -> io::Result<()> {
        let pace = &self.host.timeouts.write;
        self.record_acknowledged(transport);
        let begun = now();
        let mut idle_since = begun;
        loop {
            let waiting = Waiting::begin(self, &self.writes, exchange);
            let idle_for = waiting.since.saturating_duration_since(idle_since);
            let (until, slow) = self.writes.allowance(pace, waiting.since, idle_for);
            let drain_end = self.drain_end(begun);
            let until = until.into_iter().chain(drain_end).min();
            let look = look_at(pace, waiting.since);
            // A drain that begins meanwhile is noticed in time.
            let drain_look = self.ends_with_drain.get().then_some(waiting.since + DRAIN_TIME);
            let at = until.into_iter().chain(look).chain(drain_look).min();
            let in_time = transport.wait_until(Interest::Write, at)?;
            waiting.end(in_time, until);
            if in_time {
                return Ok(());
            }
            let is_over = drain_end.is_some_and(|end| end <= now());
            if self.record_acknowledged(transport) && !is_over {
                idle_since = now();
            } else if until.is_some_and(|until| until <= now()) {
                return match slow {
                    Slow::Idle => self.fail_too_slow(Timeout::Write),
                    Slow::Rate => self.fail_too_slow(Timeout::WriteRate),
                };
            }
        }
    }

    /// Until when a wait that began at `begun` may last because of a drain.
    fn drain_end(&self, begun: Instant) -> Option<Instant> {
        let since = self.ends_with_drain.get().then(|| self.host.draining_since())??;
        Some(since.max(begun) + DRAIN_TIME)
    }

    /// As [`wait_for_room`](Self::wait_for_room), for a protocol with an idle time of its own,
    /// which goes on until the client has made room or is too slow. The client has made no progress
    /// since `idle_since`. At `until` the wait is over in any case; it returns after `look` at the
    /// latest.
    #[cfg(feature = "websocket")]
    pub(super) fn wait_for_reader(
        &self,
        transport: &dyn Transport,
        (idle, idle_since): (Duration, Instant),
        until: Option<Instant>,
        look: Duration,
    ) -> io::Result<Room> {
        let pace = MinRate { idle, ..self.host.timeouts.write };
        self.record_acknowledged(transport);
        let since = now();
        let idle_for = since.saturating_duration_since(idle_since);
        let (end, slow) = self.writes.allowance(&pace, since, idle_for);
        let end = end.into_iter().chain(until).min();
        let looks = [look_at(&pace, since), since.checked_add(look)];
        let at = end.into_iter().chain(looks.into_iter().flatten()).min();
        let is_made = transport.wait_until(Interest::Write, at)?;
        let (now, is_over) = (now(), end.is_some_and(|end| end <= now()));
        // If this thread did not run at that time, it is not known how long the client took.
        if !(is_made && is_over) {
            self.writes.spend(now.saturating_duration_since(since));
        }
        Ok(match slow {
            _ if is_made => Room::Made,
            _ if self.record_acknowledged(transport) => Room::Coming,
            _ if !is_over => Room::Awaited,
            Slow::Idle => Room::Idle,
            Slow::Rate => Room::TooSlow,
        })
    }

    /// Credits the client with the bytes that it acknowledged since the last check; false if there
    /// are none.
    fn record_acknowledged(&self, transport: &dyn Transport) -> bool {
        let unacknowledged = transport.unacknowledged().unwrap_or(0);
        let acknowledged = self.sent.get().cast_signed().saturating_sub_unsigned(unacknowledged);
        // For a Unix socket, bytes in its buffers count as acknowledged, so this number may
        // decrease.
        let before = self.acknowledged.replace(acknowledged);
        let more = acknowledged.saturating_sub(before).max(0).cast_unsigned();
        let more_bytes = usize::try_from(more).unwrap_or(usize::MAX);
        self.writes.on_bytes(&self.host.timeouts.write, more_bytes);
        more > 0
    }

    fn fail_too_slow(&self, timeout: Timeout) -> io::Result<()> {
        self.too_slow.set(Some(timeout));
        Err(io::Error::new(ErrorKind::TimedOut, timeout))
    }

    /// As [`handler_time`](Self::handler_time), for the wrappers.
    fn wrappers_time(&self) -> Duration {
        self.handler_timeout.get().saturating_mul(2)
    }

    /// How long the handler may take until its next write, or its next wait for the client.
    #[inline]
    fn handler_time(&self) -> Duration {
        // A lease that has ended because the client has disconnected stays ended.
        if self.is_client_gone.get() { Duration::ZERO } else { self.handler_timeout.get() }
    }
}

/// What a protocol finds that waits for room to write.
#[cfg(feature = "websocket")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There is room.
    Made,
    /// There is none, but the client has read something.
    Coming,
    /// Nothing has changed.
    Awaited,
    /// The client has read nothing for its idle time, or the wait is over.
    Idle,
    /// The client reads more slowly than it may.
    TooSlow,
}

/// A wait for the client, however it ends.
struct Waiting<'p> {
    pacing: &'p Pacing,
    meter: &'p RateMeter,
    exchange: &'p Exchange,
    since: Instant,
    /// Meanwhile the request does not count against [`Capacity::in_flight`](crate::Capacity).
    is_counted: bool,
}

impl<'p> Waiting<'p> {
    fn begin(pacing: &'p Pacing, meter: &'p RateMeter, exchange: &'p Exchange) -> Self {
        pacing.waiting.update(|count| count + 1);
        pacing.has_waited.set(true);
        if !pacing.is_client_gone.get() {
            pacing.lease.renew(Duration::MAX);
        }
        if let Some(wrappers) = &pacing.wrappers {
            wrappers.renew(Duration::MAX);
        }
        let is_counted = pacing.waiting.get() == 1 && exchange.await_client(pacing.host.counters());
        Self { pacing, meter, exchange, since: now(), is_counted }
    }

    /// Ends a wait that had the limit `until`; `in_time` if the client ended it.
    fn end(mut self, in_time: bool, until: Option<Instant>) {
        let now = now();
        if in_time && until.is_some_and(|until| until <= now) {
            // This thread did not run at that time: it is not known how long the client took.
            self.since = now;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.meter.spend(now().saturating_duration_since(self.since));
        self.pacing.waiting.update(|count| count - 1);
        if self.is_counted {
            self.exchange.stop_awaiting_client(self.pacing.host.counters());
        }
        self.pacing.record_progress();
    }
}

/// How long a drain waits for a client that makes no room for what ends with the drain. Arbitrary:
/// some slow round trips, and a fifth of the default drain timeout.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How many calls of one request may fail at once. Arbitrary: correct code stops at the first
/// error, and code that logs each error and goes on to the next piece has logged enough.
const FAILED_CALLS_MAX: u32 = 1_000;
