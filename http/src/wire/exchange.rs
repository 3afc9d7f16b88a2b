//! The current request, as the counters and the access log see it, from its head to the end of its
//! response.
//!
//! [`begin`](Exchange::begin) replaces everything except the number, which goes on. For each
//! exchange in flight the shard counts one request in flight, and one that awaits its client if the
//! exchange says so.

use std::cell::Cell;
use std::time::Duration;

use http::StatusCode;
use straightline_sched::ShardTime;

use crate::telemetry::{Outcome, RouteLabel, ShardCounters};

/// A request and its response.
pub(crate) struct Exchange {
    /// The number of the request on its connection, from 1 on; 0 before the first request.
    number: Cell<u64>,
    /// When the request came, by the clock of the scheduler's turn; before the first request, when
    /// the connection came.
    begun: Cell<ShardTime>,
    expectation: Cell<Expectation>,
    /// The request is with its handler, or its answer is on its way.
    is_in_flight: Cell<bool>,
    /// One of the handler's fibers waits for the client, and the counter includes it.
    awaits_client: Cell<bool>,
    /// It was reported.
    is_reported: Cell<bool>,
    /// How it ends, as far as is known.
    outcome: Cell<Outcome>,
    /// What the handler calls it in numbers and logs.
    route: Cell<Option<RouteLabel>>,
    /// The status of the response; 0 before the response begins.
    status: Cell<u16>,
    /// The output position at which the response's body begins; `u64::MAX` before it does.
    body_at: Cell<u64>,
}

/// The state of `Expect: 100-continue` for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// The client sends the body by itself, or got a 100.
    None,
    /// The client waits for a 100, which is sent when the handler reads the body.
    Waiting,
    /// The response is on its way without a 100; it is not known whether the client sends the body.
    Declined,
}

impl Exchange {
    /// On a new connection, before the first request.
    pub(super) fn new(begun: ShardTime) -> Self {
        Self {
            number: Cell::new(0),
            begun: Cell::new(begun),
            expectation: Cell::new(Expectation::None),
            is_in_flight: Cell::new(false),
            awaits_client: Cell::new(false),
            is_reported: Cell::new(false),
            outcome: Cell::new(Outcome::Answered),
            route: Cell::new(None),
            status: Cell::new(0),
            body_at: Cell::new(u64::MAX),
        }
    }

    /// On a connection that has had `number` requests, the last of which began at `begun` and has
    /// ended.
    #[inline]
    pub(super) fn resume(&self, number: u64, begun: ShardTime) {
        debug_assert!(!self.is_in_flight.get() && !self.awaits_client.get(), "a link in use");
        self.number.set(number);
        self.begun.set(begun);
        self.expectation.set(Expectation::None);
        self.is_reported.set(false);
        self.outcome.set(Outcome::Answered);
        self.route.set(None);
        self.status.set(0);
        self.body_at.set(u64::MAX);
    }

    /// A request goes to its handler.
    #[inline]
    pub(super) fn begin(&self, expectation: Expectation, counters: &ShardCounters) {
        // Each field is named, so that none is forgotten.
        let Self {
            number,
            begun,
            expectation: expected,
            is_in_flight,
            awaits_client,
            is_reported,
            outcome,
            route,
            status,
            body_at,
        } = self;
        number.set(number.get() + 1);
        begun.set(ShardTime::of_turn());
        expected.set(expectation);
        is_in_flight.set(true);
        awaits_client.set(false);
        is_reported.set(false);
        outcome.set(Outcome::Answered);
        route.set(None);
        status.set(0);
        body_at.set(u64::MAX);
        counters.requests.bump();
        counters.in_flight.bump();
    }

    /// The request is over: answered, or it never will be. False if none was in flight.
    #[inline]
    pub(super) fn end(&self, is_answered: bool, counters: &ShardCounters) -> bool {
        let was_in_flight = self.is_in_flight.replace(false);
        if was_in_flight {
            counters.in_flight.lower();
            if is_answered { &counters.answered } else { &counters.unanswered }.bump();
        }
        was_in_flight
    }

    /// A fiber begins to wait for the client; false if no request is in flight.
    pub(super) fn await_client(&self, counters: &ShardCounters) -> bool {
        if self.is_in_flight.get() {
            self.awaits_client.set(true);
            counters.awaiting_client.bump();
        }
        self.is_in_flight.get()
    }

    /// No fiber waits for the client any more.
    pub(super) fn stop_awaiting_client(&self, counters: &ShardCounters) {
        if self.awaits_client.replace(false) {
            counters.awaiting_client.lower();
        }
    }

    /// The number of the request on its connection, from 1 on; 0 before the first request.
    #[inline]
    pub(crate) fn number(&self) -> u64 {
        self.number.get()
    }

    #[inline]
    pub(crate) fn is_in_flight(&self) -> bool {
        self.is_in_flight.get()
    }

    /// When the request came; before the first request, when the connection came.
    #[inline]
    pub(super) fn begun(&self) -> ShardTime {
        self.begun.get()
    }

    /// How long the request has taken so far.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_nanos(self.nanos())
    }

    /// The same in nanoseconds.
    pub(super) fn nanos(&self) -> u64 {
        ShardTime::now().nanos_since(self.begun.get())
    }

    /// For input that never became a request: it has taken no time, and has no route.
    pub(crate) fn restart_clock(&self) {
        self.route.set(None);
        self.begun.set(ShardTime::of_turn());
    }

    #[inline]
    pub(crate) fn expectation(&self) -> Expectation {
        self.expectation.get()
    }

    #[inline]
    pub(super) fn set_expectation(&self, expectation: Expectation) {
        self.expectation.set(expectation);
    }

    /// It is reported now; false if it was reported before.
    #[inline]
    pub(crate) fn record_reported(&self) -> bool {
        !self.is_reported.replace(true)
    }

    /// How it ends, unless something else went wrong before.
    pub(crate) fn set_outcome(&self, outcome: Outcome) {
        if self.outcome.get() == Outcome::Answered {
            self.outcome.set(outcome);
        }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome.get()
    }

    pub(crate) fn take_outcome(&self) -> Outcome {
        self.outcome.take()
    }

    #[inline]
    pub(crate) fn set_route(&self, route: RouteLabel) {
        self.route.set(Some(route));
    }

    #[inline]
    pub(crate) fn has_route(&self) -> bool {
        self.route.get().is_some()
    }

    #[inline]
    pub(crate) fn route(&self) -> Option<RouteLabel> {
        self.route.get()
    }

    /// The response begins, and may still be rolled back.
    #[inline]
    pub(crate) fn begin_response(&self, status: StatusCode) {
        self.status.set(status.as_u16());
        self.body_at.set(u64::MAX);
    }

    /// The head of the response is in the output. The body begins at `position`, or would begin
    /// there if all of its framing came before it.
    #[inline]
    pub(crate) fn begin_response_body(&self, position: u64) {
        self.body_at.set(position);
    }

    /// The status of the response; 0 if it has not begun.
    #[inline]
    pub(super) fn status(&self) -> u16 {
        self.status.get()
    }

    /// The response's status, 0 if there is none, and the position at which its body begins.
    pub(crate) fn take_response(&self) -> (u16, u64) {
        (self.status.replace(0), self.body_at.replace(u64::MAX))
    }
}
