//! The upstreams, as all shards see them: which of them gets a request, and what has been counted.
//!
//! The numbers are atomics, which each request changes a few times. A request goes to the upstream
//! with the fewest requests in flight, of all shards together; among equals they take turns.
//!
//! Invariants: for each upstream `in_flight` is the number of its [`Permit`]s, and never more than
//! the limit. Fewer than all upstreams are ejected at any time.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use straightline_sched::now;

use super::events::{ProxyEvent, ProxyObserver, emit};
use super::failure::Failure;
use super::queue::Queue;
use super::settings::Ejections;

/// All upstreams of a proxy.
pub(super) struct Upstreams {
    all: Vec<Upstream>,
    connections_max: usize,
    /// The requests that wait for one of them.
    queue: Queue,
    /// Requests that found none.
    unavailable: AtomicU64,
    ejections: Ejections,
    /// How often each upstream has been ejected since it last succeeded. The lock is also held to
    /// eject one, so that two shards do not eject all.
    ejected: Mutex<Vec<u32>>,
    /// Where the next search begins.
    next: AtomicUsize,
    /// Times are counted from here, the first use: a simulation has a clock of its own.
    since: OnceLock<Instant>,
    observer: Option<Box<ProxyObserver>>,
}

/// One upstream.
pub(super) struct Upstream {
    address: String,
    in_flight: AtomicUsize,
    is_ill: AtomicBool,
    /// In milliseconds; 0 if it is not ejected.
    ejected_until: AtomicU64,
    failures_in_row: AtomicU32,
    pub(super) counted: Counted,
}

/// What has been counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) misframed: AtomicU64,
    pub(super) ejections: AtomicU64,
    pub(super) connected: AtomicU64,
    pub(super) idle: AtomicUsize,
}

/// One request in flight to an upstream; the drop takes it away.
pub(super) struct Permit {
    upstreams: Arc<Upstreams>,
    index: usize,
}

impl Upstreams {
    pub(super) fn new(
        addresses: Vec<String>,
        connections_max: usize,
        queue: Queue,
        ejections: Ejections,
        observer: Option<Box<ProxyObserver>>,
    ) -> Self {
        let all: Vec<_> = addresses.into_iter().map(Upstream::new).collect();
        Self {
            ejected: Mutex::new(vec![0; all.len()]),
            all,
            connections_max,
            queue,
            unavailable: AtomicU64::new(0),
            ejections,
            next: AtomicUsize::new(0),
            since: OnceLock::new(),
            observer,
        }
    }

    pub(super) fn all(&self) -> &[Upstream] {
        &self.all
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// How many requests found no upstream.
    pub(super) fn unavailable(&self) -> u64 {
        self.unavailable.load(Ordering::Relaxed)
    }

    /// A request found no upstream.
    #[cold]
    pub(super) fn record_unavailable(&self) {
        self.unavailable.fetch_add(1, Ordering::Relaxed);
        self.emit(&ProxyEvent::Unavailable);
    }

    pub(super) fn emit(&self, event: &ProxyEvent<'_>) {
        emit(self.observer.as_deref(), event);
    }

    /// As [`choose`](Self::choose), but if all upstreams have as many requests as they may have,
    /// the request waits for its turn. Before that, `before_wait` is called.
    ///
    /// A yield point if it waits.
    pub(super) fn choose_in_turn(
        self: &Arc<Self>,
        tried: u64,
        before_wait: impl FnOnce(),
    ) -> Result<Permit, Failure> {
        let look = || match self.choose(tried) {
            Err(Failure::Busy) => None,
            outcome => Some(outcome),
        };
        // A request that comes while others wait does not overtake them.
        if self.queue.waiting() == 0
            && let Some(outcome) = look()
        {
            return outcome;
        }
        before_wait();
        self.queue.wait(look).unwrap_or(Err(Failure::Busy))
    }

    /// The upstream that gets a request; `tried` has a bit for each that has failed it already. If
    /// all others are ill, an ejected one gets it: what it still can serve is better than nothing.
    fn choose(self: &Arc<Self>, tried: u64) -> Result<Permit, Failure> {
        let usable = |upstream: &Upstream| upstream.is_usable(self);
        let (mut best, mut is_busy) = self.least_busy(tried, usable);
        if best.is_none() && !is_busy && tried == 0 {
            (best, is_busy) = self.least_busy(0, |upstream| !upstream.is_ill());
        }
        match best.and_then(|index| self.permit(index)) {
            Some(permit) => Ok(permit),
            None if is_busy || best.is_some() => Err(Failure::Busy),
            None => Err(Failure::NoUpstream),
        }
    }

    /// The upstream with the fewest requests in flight, and whether one has as many as it may have.
    fn least_busy(&self, tried: u64, may: impl Fn(&Upstream) -> bool) -> (Option<usize>, bool) {
        let count = self.all.len();
        let first = if count == 1 { 0 } else { self.next.fetch_add(1, Ordering::Relaxed) % count };
        let (mut best, mut is_busy) = (None, false);
        for index in (first..count).chain(0..first) {
            let upstream = &self.all[index];
            if tried & (1 << index) != 0 || !may(upstream) {
                continue;
            }
            let in_flight = upstream.in_flight.load(Ordering::SeqCst);
            if in_flight >= self.connections_max {
                is_busy = true;
            } else if best.is_none_or(|(_, least)| in_flight < least) {
                best = Some((index, in_flight));
            }
        }
        (best.map(|(index, _)| index), is_busy)
    }

    /// A request in flight to that upstream, unless it has as many as it may have.
    fn permit(self: &Arc<Self>, index: usize) -> Option<Permit> {
        let in_flight = &self.all[index].in_flight;
        let before = in_flight.fetch_add(1, Ordering::SeqCst);
        // The drop of a permit that is one too many is seen by a request that waits.
        let permit = Permit { upstreams: Arc::clone(self), index };
        (before < self.connections_max).then_some(permit)
    }

    /// Milliseconds since the first use, at least 1.
    fn millis(&self) -> u64 {
        let now = now();
        let since = now.saturating_duration_since(*self.since.get_or_init(|| now));
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn record_failure(&self, index: usize) {
        let upstream = &self.all[index];
        upstream.counted.failures.fetch_add(1, Ordering::Relaxed);
        let in_row = upstream.failures_in_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if self.ejections.failures > 0
            && in_row >= self.ejections.failures
            && let Some(time) = self.eject(index)
        {
            upstream.counted.ejections.fetch_add(1, Ordering::Relaxed);
            self.emit(&ProxyEvent::Ejected { upstream: &upstream.address, time });
        }
    }

    /// Ejects an upstream, if that leaves enough of the others; returns for how long.
    fn eject(&self, index: usize) -> Option<Duration> {
        let mut ejected = self.ejected.lock();
        let now = self.millis();
        let is_ejected = |upstream: &Upstream| upstream.is_ejected_at(now);
        let percent = usize::try_from(self.ejections.percent_max.min(100)).unwrap_or(100);
        let most = (self.all.len() * percent / 100).min(self.all.len() - 1);
        let already = self.all.iter().filter(|upstream| is_ejected(upstream)).count();
        if is_ejected(&self.all[index]) || already >= most {
            return None;
        }
        let times = ejected[index];
        ejected[index] = times.saturating_add(1);
        let doubled = self.ejections.time.saturating_mul(2_u32.saturating_pow(times));
        let time = doubled.min(self.ejections.time_max);
        let until = now.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.all[index].ejected_until.store(until, Ordering::Relaxed);
        // When it is back, its next failure ejects it again.
        let nearly = self.ejections.failures - 1;
        self.all[index].failures_in_row.store(nearly, Ordering::Relaxed);
        Some(time)
    }

    fn record_success(&self, index: usize) {
        let upstream = &self.all[index];
        if upstream.failures_in_row.load(Ordering::Relaxed) != 0 {
            upstream.failures_in_row.store(0, Ordering::Relaxed);
            self.ejected.lock()[index] = 0;
        }
    }

    /// The upstream has passed or failed its health checks.
    pub(super) fn set_ill(&self, index: usize, error: Option<&io::Error>) {
        let upstream = &self.all[index];
        if upstream.is_ill.swap(error.is_some(), Ordering::Relaxed) != error.is_some() {
            let upstream = &upstream.address;
            self.emit(&match error {
                Some(error) => ProxyEvent::Ill { upstream, error },
                None => ProxyEvent::Well { upstream },
            });
            self.queue.note_free();
        }
    }

    /// Whether the upstream is ejected at the moment.
    pub(super) fn is_ejected(&self, index: usize) -> bool {
        let upstream = &self.all[index];
        upstream.ejected_until.load(Ordering::Relaxed) != 0 && upstream.is_ejected_at(self.millis())
    }
}

impl Upstream {
    fn new(address: String) -> Self {
        Self {
            address,
            in_flight: AtomicUsize::new(0),
            is_ill: AtomicBool::new(false),
            ejected_until: AtomicU64::new(0),
            failures_in_row: AtomicU32::new(0),
            counted: Counted::default(),
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn is_ill(&self) -> bool {
        self.is_ill.load(Ordering::Relaxed)
    }

    fn is_usable(&self, upstreams: &Upstreams) -> bool {
        // The clock is read only if an ejection is to be looked at.
        !self.is_ill()
            && (self.ejected_until.load(Ordering::Relaxed) == 0
                || !self.is_ejected_at(upstreams.millis()))
    }

    fn is_ejected_at(&self, millis: u64) -> bool {
        millis < self.ejected_until.load(Ordering::Relaxed)
    }
}

impl Permit {
    pub(super) fn index(&self) -> usize {
        self.index
    }

    pub(super) fn upstream(&self) -> &Upstream {
        &self.upstreams.all[self.index]
    }

    /// The upstream has sent the head of a response.
    pub(super) fn record_success(&self) {
        self.upstreams.record_success(self.index);
    }

    /// The upstream has failed the request.
    pub(super) fn record_failure(&self, error: &io::Error) {
        let upstream = self.upstream().address();
        self.upstreams.emit(&ProxyEvent::Failed { upstream, error });
        self.upstreams.record_failure(self.index);
    }

    /// The upstream has sent a response that is passed on, and more than may belong to it. That
    /// fails no request, so it ejects no upstream.
    #[cold]
    pub(super) fn record_misframed(&self, what: &'static str) {
        self.upstream().counted.misframed.fetch_add(1, Ordering::Relaxed);
        self.upstreams.emit(&ProxyEvent::Misframed { upstream: self.upstream().address(), what });
    }

    /// The request is sent again.
    pub(super) fn record_retry(&self) {
        self.upstream().counted.retries.fetch_add(1, Ordering::Relaxed);
        self.upstreams.emit(&ProxyEvent::Retried { upstream: self.upstream().address() });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Before the look at the queue, see there.
        self.upstream().in_flight.fetch_sub(1, Ordering::SeqCst);
        self.upstreams.queue.note_free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(count: usize, ejections: Ejections) -> Arc<Upstreams> {
        let addresses = (0..count).map(|number| format!("10.0.0.{number}:80")).collect();
        let queue = Queue::new(0, Duration::ZERO);
        Arc::new(Upstreams::new(addresses, 3, queue, ejections, Some(Box::new(|_| {}))))
    }

    fn fail(upstreams: &Upstreams, index: usize, times: u32) {
        (0..times).for_each(|_| upstreams.record_failure(index));
    }

    #[test]
    fn a_request_goes_where_the_fewest_are() {
        let upstreams = upstreams(3, Ejections::default());
        let mut permits = Vec::new();
        for round in 1..=3 {
            for _ in 0..3 {
                permits.push(upstreams.choose(0).expect("there is room"));
            }
            let in_flight: Vec<_> = upstreams.all().iter().map(Upstream::in_flight).collect();
            assert_eq!(in_flight, [round; 3]);
        }
        assert!(matches!(upstreams.choose(0), Err(Failure::Busy)));
        let index = permits.pop().expect("nine").index();
        assert_eq!(upstreams.choose(0).expect("one has room").index(), index);
        assert!(matches!(upstreams.choose(0b111), Err(Failure::NoUpstream)));
        drop(permits);
        assert!(upstreams.all().iter().all(|upstream| upstream.in_flight() == 0));
        upstreams.set_ill(1, Some(&io::Error::other("no answer")));
        let chosen = (0..6).map(|_| upstreams.choose(0b001).expect("the last one").index());
        assert!(chosen.eq([2; 6]));
    }

    #[test]
    fn failures_in_a_row_eject_but_never_all() {
        for (count, percent, most) in [(1, 100, 0), (2, 50, 1), (3, 50, 1), (3, 100, 2), (4, 0, 0)]
        {
            let ejections = Ejections::default().with_percent_max(percent);
            let upstreams = upstreams(count, ejections);
            (0..count).for_each(|index| fail(&upstreams, index, 5));
            let ejected = (0..count).filter(|&index| upstreams.is_ejected(index)).count();
            assert_eq!(ejected, most, "{count} upstreams, {percent} percent");
            assert!(upstreams.choose(0).is_ok());
        }
    }

    #[test]
    fn an_upstream_is_ejected_at_the_limit_and_not_before() {
        for (failures, is_ejected) in [(4, false), (5, true), (6, true)] {
            let upstreams = upstreams(2, Ejections::default());
            fail(&upstreams, 0, failures);
            assert_eq!(upstreams.is_ejected(0), is_ejected, "{failures} failures");
        }
        let upstreams = upstreams(2, Ejections::default());
        fail(&upstreams, 0, 4);
        upstreams.record_success(0);
        fail(&upstreams, 0, 4);
        assert!(!upstreams.is_ejected(0));
        let never = super::tests::upstreams(2, Ejections::default().with_failures(0));
        fail(&never, 0, 100);
        assert!(!never.is_ejected(0));
    }

    #[test]
    fn the_time_of_an_ejection_doubles_up_to_its_bound() {
        use straightline_sched::{sim, sleep};
        sim::run(1, || {
            let upstreams = upstreams(2, Ejections::default());
            for seconds in [10, 20, 40, 80, 160, 300, 300] {
                fail(&upstreams, 0, 5);
                assert!(upstreams.is_ejected(0));
                sleep(Duration::from_millis(seconds * 1000 - 10));
                assert!(upstreams.is_ejected(0), "{seconds}");
                sleep(Duration::from_millis(20));
                assert!(!upstreams.is_ejected(0), "{seconds}");
            }
            upstreams.record_success(0);
            fail(&upstreams, 0, 5);
            sleep(Duration::from_secs(11));
            assert!(!upstreams.is_ejected(0));
        });
    }
}
