//! The connections of one client on one shard.
//!
//! Each host has as many permits as it may have connections. A call takes a permit, then an idle
//! connection; only if there is none, it opens one. So at that moment all connections of the host
//! are those with permits, and there are never more than permits:
//! `busy <= permits`, and `busy + idle <= permits` whenever a connection is opened. A connection
//! that becomes idle gives its permit back, and a waiter takes both.
//!
//! Nothing here yields except the wait for a permit, so no borrow of a table lasts over a yield
//! point. Streams are dropped outside of the borrows.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind};
use std::rc::{Rc, Weak};
use std::time::Instant;

use straightline_net::Transport;
use straightline_sched::sync::{Flag, Semaphore, at, select};
use straightline_sched::{FiberBuilder, ShardBound, ShardHandle, now, try_current};

use super::client_limits::ClientLimits;
use super::route::Route;

/// A stream to a server, or to a server behind a proxy.
pub(super) type Stream = Box<dyn Transport>;

pub(super) struct Pool {
    limits: ClientLimits,
    /// Only hosts with a slot or an idle connection.
    hosts: RefCell<HashMap<Rc<Route>, Rc<Host>>>,
    /// A fiber closes the idle connections whose time is over.
    is_swept: Cell<bool>,
    /// Set when the pool is dropped: that fiber then ends.
    is_over: Rc<Flag>,
}

struct Host {
    /// One for each connection that may be busy.
    permits: Semaphore,
    /// The one that has been idle for longest first.
    idle: RefCell<VecDeque<Idle>>,
    /// The slots, including those that wait for a permit.
    slots: Cell<usize>,
}

struct Idle {
    stream: Stream,
    since: Instant,
}

/// The place of one busy connection to a host.
pub(super) struct Slot {
    pool: Rc<Pool>,
    route: Rc<Route>,
    host: Rc<Host>,
    has_permit: bool,
}

impl Pool {
    pub(super) fn new(limits: ClientLimits) -> Self {
        let is_over = Rc::new(Flag::new());
        Self { limits, hosts: RefCell::default(), is_swept: Cell::new(false), is_over }
    }

    pub(super) fn limits(&self) -> &ClientLimits {
        &self.limits
    }

    /// Waits for a place, and returns an idle connection with it, if there is a good one.
    pub(super) fn acquire(self: &Rc<Self>, route: Route) -> io::Result<(Slot, Option<Stream>)> {
        let mut slot = self.slot(route);
        match slot.host.permits.acquire(1) {
            Ok(permit) => permit.forget(),
            Err(error) => return Err(io::Error::other(error)),
        }
        slot.has_permit = true;
        let closed = self.take_old();
        drop(closed);
        while let Some(idle) = slot.host.pop_youngest() {
            if is_quiet(&*idle.stream) {
                return Ok((slot, Some(idle.stream)));
            }
        }
        Ok((slot, None))
    }

    fn slot(self: &Rc<Self>, route: Route) -> Slot {
        let route = Rc::new(route);
        let permits = self.limits.connections_per_host.max(1);
        let mut hosts = self.hosts.borrow_mut();
        let host = hosts.entry(Rc::clone(&route)).or_insert_with(|| Rc::new(Host::new(permits)));
        host.slots.set(host.slots.get() + 1);
        let host = Rc::clone(host);
        Slot { pool: Rc::clone(self), route, host, has_permit: false }
    }

    /// Takes the idle connections out whose time is over.
    fn take_old(&self) -> Vec<Idle> {
        let (now, idle_time) = (now(), self.limits.idle_time);
        let is_old = |idle: &Idle| now.saturating_duration_since(idle.since) >= idle_time;
        let mut old = Vec::new();
        for host in self.hosts.borrow().values() {
            let mut idle = host.idle.borrow_mut();
            while idle.front().is_some_and(is_old) {
                old.extend(idle.pop_front());
            }
        }
        self.forget_unused();
        old
    }

    /// Takes out the connection that has been idle for longest, if there are too many.
    fn take_surplus(&self) -> Option<Idle> {
        let hosts = self.hosts.borrow();
        let count: usize = hosts.values().map(|host| host.idle.borrow().len()).sum();
        if count <= self.limits.idle_connections {
            return None;
        }
        let oldest = hosts.values().min_by_key(|host| {
            let since = host.idle.borrow().front().map(|idle| idle.since);
            (since.is_none(), since)
        })?;
        oldest.idle.borrow_mut().pop_front()
    }

    /// When the time of the first idle connection is over.
    fn next_old(&self) -> Option<Instant> {
        let hosts = self.hosts.borrow();
        let since = hosts.values().filter_map(|host| Some(host.idle.borrow().front()?.since));
        since.min()?.checked_add(self.limits.idle_time)
    }

    fn forget_unused(&self) {
        self.hosts.borrow_mut().retain(|_, host| host.is_used());
    }

    /// How many connections are idle.
    #[cfg(test)]
    fn idle_connections(&self) -> usize {
        self.hosts.borrow().values().map(|host| host.idle.borrow().len()).sum()
    }
}

/// The fiber that closes the idle connections of a pool when their time is over. It ends when there
/// is none, and with the pool.
struct Sweeper {
    pool: Weak<Pool>,
    is_over: Rc<Flag>,
}

impl Sweeper {
    /// Starts the fiber, if it does not run. Not a yield point.
    fn ensure(pool: &Rc<Pool>) {
        // Where no fiber runs, the shard has ended, and the pool ends with it.
        if pool.next_old().is_none() || try_current().is_none() || pool.is_swept.replace(true) {
            return;
        }
        let sweeper = Self { pool: Rc::downgrade(pool), is_over: Rc::clone(&pool.is_over) };
        let sweeper = ShardBound::new(sweeper);
        // A fiber that is sent to a shard has no parent: the one that it starts inherits nothing of
        // the request whose call has ended. If there can be no fiber, the next call tries again.
        let _ = ShardHandle::current().spawn(move || {
            let Ok(sweeper) = sweeper.try_into_inner() else { return };
            let _ = FiberBuilder::new().name("client: idle connections").spawn(|| sweeper.run());
        });
    }

    fn run(self) {
        while let Some(next) = self.sweep() {
            if select(&[&at(next), &*self.is_over]) != Ok(0) {
                return;
            }
        }
    }

    /// Closes what is old; returns when the next one will be.
    fn sweep(&self) -> Option<Instant> {
        let pool = self.pool.upgrade()?;
        let closed = pool.take_old();
        drop(closed);
        pool.next_old()
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.is_swept.set(false);
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.is_over.set();
    }
}

impl Host {
    fn new(permits: usize) -> Self {
        let permits = Semaphore::new(permits);
        Self { permits, idle: RefCell::default(), slots: Cell::new(0) }
    }

    fn pop_youngest(&self) -> Option<Idle> {
        self.idle.borrow_mut().pop_back()
    }

    fn is_used(&self) -> bool {
        self.slots.get() > 0 || !self.idle.borrow().is_empty()
    }
}

impl Slot {
    pub(super) fn route(&self) -> &Route {
        &self.route
    }

    pub(super) fn limits(&self) -> &ClientLimits {
        &self.pool.limits
    }

    /// Ends the use of a connection, which another call may use from now on. Not a yield point.
    pub(super) fn keep(self, stream: Stream) {
        self.host.idle.borrow_mut().push_back(Idle { stream, since: now() });
        while let Some(surplus) = self.pool.take_surplus() {
            drop(surplus);
        }
        self.pool.forget_unused();
        Sweeper::ensure(&self.pool);
        // The permit is given back behind this, so the waiter finds the connection.
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.host.slots.set(self.host.slots.get() - 1);
        if self.has_permit {
            self.host.permits.add_permits(1);
        }
        if !self.host.is_used() {
            self.pool.hosts.borrow_mut().remove(&self.route);
        }
    }
}

/// Whether a stream that waits for its next request is open, and has nothing to read: a server that
/// says something without being asked has given the connection up (RFC 9112 section 9.3). Not a
/// yield point.
pub(super) fn is_quiet(stream: &dyn Transport) -> bool {
    let would_block = |error: io::Error| error.kind() == ErrorKind::WouldBlock;
    stream.try_read(&mut [0]).is_err_and(would_block)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use straightline_net::MemoryStream;
    use straightline_sched::{deadline, sim, sleep, spawn, yield_now};

    use super::*;

    fn route(host: &str) -> Route {
        Route::to(host)
    }

    fn pool(connections: usize, idle: usize) -> Rc<Pool> {
        let limits = ClientLimits::default()
            .with_connections_per_host(connections)
            .with_idle_connections(idle);
        Rc::new(Pool::new(limits))
    }

    fn stream() -> (MemoryStream, Stream) {
        let (far, near) = MemoryStream::pair(16);
        (far, Box::new(near))
    }

    #[test]
    fn a_host_has_at_most_its_connections_and_the_next_call_waits() {
        sim::check(|| {
            for limit in 1..4 {
                let pool = pool(limit, 8);
                let mut slots: Vec<_> =
                    (0..limit).map(|_| pool.acquire(route("a")).unwrap().0).collect();
                let wait = |host| deadline(Duration::from_secs(1), || pool.acquire(route(host)));
                assert!(wait("a").is_err(), "{limit}");
                assert!(wait("b").is_ok());
                slots.pop();
                assert!(wait("a").is_ok());
                drop(slots);
                assert!(pool.hosts.borrow().is_empty(), "no host is left behind");
            }
        });
    }

    #[test]
    fn a_waiter_gets_the_connection_that_becomes_idle() {
        sim::check(|| {
            let pool = pool(1, 8);
            let (slot, _) = pool.acquire(route("a")).unwrap();
            let waiter = spawn({
                let pool = Rc::clone(&pool);
                move || pool.acquire(route("a")).unwrap().1.is_some()
            });
            yield_now();
            let (far, near) = stream();
            slot.keep(near);
            assert!(waiter.join().unwrap());
            drop(far);
        });
    }

    #[test]
    fn idle_connections_are_bounded_and_the_oldest_is_closed() {
        sim::check(|| {
            for limit in 0..4 {
                let pool = pool(8, limit);
                let mut fars = Vec::new();
                for host in ["a", "b", "c"] {
                    let (slot, _) = pool.acquire(route(host)).unwrap();
                    let (far, near) = stream();
                    fars.push(far);
                    slot.keep(near);
                    sleep(Duration::from_millis(1));
                }
                assert_eq!(pool.idle_connections(), limit.min(3));
                let closed: Vec<_> = fars.iter().map(|far| !is_quiet(far)).collect();
                assert_eq!(closed, [limit < 3, limit < 2, limit < 1]);
            }
        });
    }

    #[test]
    fn an_idle_connection_is_used_until_its_time_is_over() {
        sim::check(|| {
            let pool = pool(8, 8);
            let limit = pool.limits().idle_time;
            let before = limit.saturating_sub(Duration::from_millis(1));
            for (time, is_used) in [(before, true), (limit, false)] {
                let (slot, _) = pool.acquire(route("a")).unwrap();
                let (far, near) = stream();
                slot.keep(near);
                sleep(time);
                assert_eq!(pool.acquire(route("a")).unwrap().1.is_some(), is_used, "{time:?}");
                assert!(!is_quiet(&far), "closed in both cases: the stream was dropped");
                assert!(pool.hosts.borrow().is_empty());
            }
        });
    }

    #[test]
    fn a_connection_that_was_closed_or_has_bytes_is_not_used() {
        sim::check(|| {
            let pool = pool(8, 8);
            let keep = || {
                let (slot, _) = pool.acquire(route("a")).unwrap();
                let (far, near) = stream();
                slot.keep(near);
                far
            };
            drop(keep());
            assert!(pool.acquire(route("a")).unwrap().1.is_none());
            let far = keep();
            far.try_write(b"x").unwrap();
            assert!(pool.acquire(route("a")).unwrap().1.is_none());
        });
    }

    #[test]
    fn a_waiter_that_is_cancelled_leaves_nothing() {
        sim::check(|| {
            let pool = pool(1, 8);
            let (slot, _) = pool.acquire(route("a")).unwrap();
            let waiter = spawn({
                let pool = Rc::clone(&pool);
                move || drop(pool.acquire(route("a")))
            });
            yield_now();
            waiter.cancel();
            assert!(waiter.join().unwrap_err().is_cancelled());
            drop(slot);
            assert!(pool.hosts.borrow().is_empty());
        });
    }
}
