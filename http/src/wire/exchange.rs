//! The request at hand, as the counters and the access log see it, from its head to the end of its
//! response.
//!
//! [`begin`](Exchange::begin) replaces all of it: only the number goes on. For each exchange that
//! is in flight the shard counts one request in flight, and one that awaits its client if the
//! exchange says so.

use std::cell::Cell;
use std::time::{Duration, Instant};

use http::StatusCode;
use straightline_sched::{clock, now};

use crate::telemetry::ShardCounters;

/// A request and its response.
pub(crate) struct Exchange {
    /// Which request of its connection it is, from 1 on; 0 before the first.
    number: Cell<u64>,
    /// The turn in which it came; before the first the one in which the connection did.
    begun: Cell<Instant>,
    expectation: Cell<Expectation>,
    /// It is with its handler, or its answer on its way.
    is_in_flight: Cell<bool>,
    /// One of its fibers waits for the client, and that is counted.
    awaits_client: Cell<bool>,
    /// The access log knows of it.
    is_logged: Cell<bool>,
    /// Of its response; 0 before that begins.
    status: Cell<u16>,
    /// At which position of the output the response's body begins; `u64::MAX` before it does.
    body_at: Cell<u64>,
}

/// `Expect: 100-continue`, for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// The body comes by itself, or the client was told to go on.
    None,
    /// The body comes once the handler asks for it.
    Waiting,
    /// The response is on its way; it is not known whether the body comes.
    Declined,
}

impl Exchange {
    /// None yet, on a connection that comes now.
    pub(super) fn new() -> Self {
        Self {
            number: Cell::new(0),
            begun: Cell::new(now()),
            expectation: Cell::new(Expectation::None),
            is_in_flight: Cell::new(false),
            awaits_client: Cell::new(false),
            is_logged: Cell::new(false),
            status: Cell::new(0),
            body_at: Cell::new(u64::MAX),
        }
    }

    /// A request goes to its handler.
    #[inline]
    pub(super) fn begin(&self, expectation: Expectation, counters: &ShardCounters) {
        // Each field by its name, so that none is forgotten.
        let Self {
            number,
            begun,
            expectation: expected,
            is_in_flight,
            awaits_client,
            is_logged,
            status,
            body_at,
        } = self;
        number.set(number.get() + 1);
        begun.set(now());
        expected.set(expectation);
        is_in_flight.set(true);
        awaits_client.set(false);
        is_logged.set(false);
        status.set(0);
        body_at.set(u64::MAX);
        counters.requests.bump();
        counters.in_flight.bump();
    }

    /// It is over, answered or never to be; false if none was in flight.
    #[inline]
    pub(super) fn end(&self, is_answered: bool, counters: &ShardCounters) -> bool {
        let was_in_flight = self.is_in_flight.replace(false);
        if was_in_flight {
            counters.in_flight.lower();
            if is_answered { &counters.answered } else { &counters.unanswered }.bump();
        }
        was_in_flight
    }

    /// Begins to wait for the client; false if there is no request in flight that could.
    pub(super) fn await_client(&self, counters: &ShardCounters) -> bool {
        if self.is_in_flight.get() {
            self.awaits_client.set(true);
            counters.awaiting_client.bump();
        }
        self.is_in_flight.get()
    }

    /// Does not wait for the client any more, if it did.
    pub(super) fn await_client_no_more(&self, counters: &ShardCounters) {
        if self.awaits_client.replace(false) {
            counters.awaiting_client.lower();
        }
    }

    /// Which request of its connection it is, from 1 on; 0 before the first.
    #[inline]
    pub(crate) fn number(&self) -> u64 {
        self.number.get()
    }

    #[inline]
    pub(crate) fn is_in_flight(&self) -> bool {
        self.is_in_flight.get()
    }

    /// When it came; before the first one, when the connection did.
    #[inline]
    pub(super) fn begun(&self) -> Instant {
        self.begun.get()
    }

    /// How long it has taken.
    pub(crate) fn time(&self) -> Duration {
        clock().saturating_duration_since(self.begun.get())
    }

    /// For a request that never was one: it has taken no time.
    pub(crate) fn restart_clock(&self) {
        self.begun.set(now());
    }

    #[inline]
    pub(crate) fn expectation(&self) -> Expectation {
        self.expectation.get()
    }

    #[inline]
    pub(super) fn set_expectation(&self, expectation: Expectation) {
        self.expectation.set(expectation);
    }

    /// The access log is told of it now; false if it knows already.
    #[inline]
    pub(crate) fn record_logged(&self) -> bool {
        !self.is_logged.replace(true)
    }

    /// Its response begins, and may be taken back.
    #[inline]
    pub(crate) fn begin_response(&self, status: StatusCode) {
        self.status.set(status.as_u16());
        self.body_at.set(u64::MAX);
    }

    /// The head of its response is in the output: the body begins at that position, or would if
    /// what frames it came before all of it.
    #[inline]
    pub(crate) fn begin_response_body(&self, position: u64) {
        self.body_at.set(position);
    }

    /// The response's status, 0 if there is none, and the position at which its body begins.
    pub(crate) fn take_response(&self) -> (u16, u64) {
        (self.status.replace(0), self.body_at.replace(u64::MAX))
    }
}
