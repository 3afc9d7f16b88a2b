//! What the handles of a pool share: the places, and the fibers that fill and repair them.
//!
//! A fiber that finds no idle connection stands in a queue. Connections are made by fibers of the
//! pool and never by the fiber that waits, so a deadline of a handler that is shorter than a
//! connect does not keep the pool empty for ever. What becomes free, be it new, repaired or given
//! back, goes to the fiber that has waited longest.
//!
//! A [`Lease`] is a connection that is not idle; its destructor gives the connection back. It is
//! what a waiting fiber is sent. A fiber that unwinds meanwhile drops the lease with its channel,
//! and the connection goes to the next one.
//!
//! Nothing waits in a destructor. What takes time (a rollback, a cancel request) is done by a new
//! fiber, which keeps the place of the connection until it has ended. So there are never more such
//! fibers than places.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::thread;
use std::time::Instant;

use straightline_sched::sync::{Flag, after, at, oneshot, select};
use straightline_sched::{self as sched, FiberBuilder};

use super::apart::spawn_apart;
use super::config::PoolConfig;
use super::manager::{Manager, Returned};
use super::places::{Member, Places};
use super::stats::{Count, Counters};
use crate::error::Error;

/// What a waiting fiber is sent.
type Answer<M> = Result<Lease<M>, Error>;

pub(super) struct Shared<M: Manager> {
    pub(super) manager: M,
    pub(super) config: PoolConfig,
    pub(super) counters: Counters,
    /// Never borrowed while a connection is dropped or an answer is sent: both run destructors.
    places: RefCell<Places<M::Connection, oneshot::Sender<Answer<M>>>>,
    /// A loop starts connects: a failure in it must not begin a second one inside.
    is_starting: Cell<bool>,
    /// A fiber watches over the idle connections.
    is_reaping: Cell<bool>,
    /// Set when the pool is closed.
    closing: Flag,
}

/// A connection that is handed out. It goes back to its pool when this is dropped.
pub(super) struct Lease<M: Manager> {
    shared: Rc<Shared<M>>,
    /// `None` only in the destructor, and after [`Lease::into_member`].
    member: Option<Member<M::Connection>>,
}

/// The place of the calling fiber in the queue, which it leaves when this is dropped.
pub(super) struct Ticket<'p, M: Manager> {
    shared: &'p Shared<M>,
    number: u64,
    pub(super) answer: oneshot::Receiver<Answer<M>>,
}

impl<M: Manager> Shared<M> {
    pub(super) fn new(manager: M, config: PoolConfig) -> Self {
        Self {
            manager,
            counters: Counters::new(config.totals.clone()),
            places: RefCell::new(Places::new(config.connections_max)),
            config,
            is_starting: Cell::new(false),
            is_reaping: Cell::new(false),
            closing: Flag::new(),
        }
    }

    /// An idle connection that is open. Those that are not are closed.
    pub(super) fn take_idle(self: &Rc<Self>) -> Option<Lease<M>> {
        loop {
            let member = self.places.borrow_mut().take_idle()?;
            self.counters.sub(Count::Idle);
            if member.is_expired(sched::now()) {
                self.close_member(member, Count::Expired);
            } else if self.manager.is_open(&member.connection) {
                return Some(Lease::new(self, member));
            } else {
                self.close_member(member, Count::Broken);
            }
        }
    }

    /// Stands in the queue.
    pub(super) fn join_queue(&self) -> Result<Ticket<'_, M>, Error> {
        let mut places = self.places.borrow_mut();
        if places.is_closed() {
            return Err(Error::Closed);
        }
        let waiting_max = self.config.waiting_max;
        if places.waiting() >= waiting_max {
            self.counters.add(Count::Refused);
            return Err(Error::TooManyWaiting { waiting_max });
        }
        let (sender, answer) = oneshot::channel();
        let number = places.join(sender);
        self.counters.add(Count::Waiting);
        Ok(Ticket { shared: self, number, answer })
    }

    pub(super) fn waiting(&self) -> usize {
        self.places.borrow().waiting()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.places.borrow().is_closed()
    }

    /// Closes what is idle. What is handed out is closed when it comes back.
    pub(super) fn close(&self) {
        self.closing.set();
        let (idle, waiting) = self.places.borrow_mut().close();
        for member in idle {
            self.counters.sub(Count::Idle);
            drop(member);
            self.places.borrow_mut().vacate();
        }
        for (_, sender) in waiting {
            // A fiber that has left needs no answer.
            let _ = sender.send(Err(Error::Closed));
        }
    }

    /// Starts a connect for each fiber that waits without one, as far as there are places.
    pub(super) fn connect_for_waiting(self: &Rc<Self>) {
        if self.is_starting.replace(true) {
            return;
        }
        loop {
            let begins = self.places.borrow_mut().begin_connect();
            if !begins {
                break;
            }
            let attempt = Attempt { shared: Rc::clone(self), is_over: false };
            // If this fails the attempt was dropped, which has sent an answer.
            let _ = spawn_apart("pool: connect", move || attempt.run());
        }
        self.is_starting.set(false);
    }

    /// A connection that is fit for use goes to the fiber that has waited longest, or waits itself.
    fn hand_on(self: &Rc<Self>, member: Member<M::Connection>) {
        let mut lease = Lease::new(self, member);
        loop {
            let next = self.places.borrow_mut().next_waiting();
            let Some(sender) = next else { break };
            let Err(oneshot::SendError(answer)) = sender.send(Ok(lease)) else { return };
            // That fiber has left the queue in this very moment.
            let Ok(back) = answer else { return };
            lease = back;
        }
        let Some(mut member) = lease.into_member() else { return };
        member.idle_since = sched::now();
        let kept = self.places.borrow_mut().keep(member);
        match kept {
            Ok(()) => {
                self.counters.add(Count::Idle);
                self.start_reaper();
            }
            Err(member) => {
                drop(member);
                self.places.borrow_mut().vacate();
            }
        }
    }

    /// A connection was given back.
    fn take_back(self: &Rc<Self>, mut member: Member<M::Connection>) {
        match self.manager.returned(&mut member.connection) {
            Returned::Abort => self.care_for(member, Care::Abort),
            Returned::Close => self.close_member(member, Count::Broken),
            Returned::Reuse | Returned::Clean
                if self.is_closed() || member.is_expired(sched::now()) =>
            {
                self.close_member(member, Count::Expired);
            }
            Returned::Reuse => self.hand_on(member),
            Returned::Clean => self.care_for(member, Care::Clean),
        }
    }

    fn close_member(self: &Rc<Self>, member: Member<M::Connection>, reason: Count) {
        self.counters.add(reason);
        drop(member);
        self.places.borrow_mut().vacate();
        self.connect_for_waiting();
    }

    fn care_for(self: &Rc<Self>, member: Member<M::Connection>, care: Care) {
        let patient = Patient { shared: Rc::clone(self), member: Some(member) };
        if sched::try_current().is_none() {
            // No fiber runs here: the shard has ended, and took its server's streams with it.
            return;
        }
        // If there is no stack, the patient is dropped here, which closes the connection.
        let _ = FiberBuilder::new().name("pool: care").spawn(move || patient.treat(care));
    }

    fn start_reaper(self: &Rc<Self>) {
        let has_limit = self.config.idle_timeout.is_some() || self.config.lifetime_max.is_some();
        if !has_limit || self.is_reaping.get() {
            return;
        }
        self.is_reaping.set(true);
        let reaper = Reaper { shared: Rc::downgrade(self) };
        // If this fails the reaper was dropped, and the next connection that is idle starts one.
        let _ = spawn_apart("pool: idle connections", move || reaper.run());
    }

    /// Closes the idle connections for which it is time; returns when it is time for the next one.
    fn reap_due(self: &Rc<Self>) -> Option<Instant> {
        let now = sched::now();
        let idle_timeout = self.config.idle_timeout;
        let idle_before = idle_timeout.and_then(|timeout| now.checked_sub(timeout));
        loop {
            let due = self.places.borrow_mut().take_due(now, idle_before);
            let Some(member) = due else { break };
            self.counters.sub(Count::Idle);
            self.close_member(member, Count::Expired);
        }
        let places = self.places.borrow();
        let dates = places.idle().flat_map(|member| {
            let idle_until =
                idle_timeout.and_then(|timeout| member.idle_since.checked_add(timeout));
            [member.expires, idle_until]
        });
        dates.flatten().min()
    }
}

/// Watches over the idle connections, until there was none for a while or the pool is closed. The
/// while is there because each use of a pool with one connection leaves it without an idle one.
struct Reaper<M: Manager> {
    shared: Weak<Shared<M>>,
}

impl<M: Manager> Reaper<M> {
    fn run(self) {
        let mut was_empty = false;
        while let Some(shared) = self.shared.upgrade() {
            let next = shared.reap_due();
            if next.is_none() && was_empty {
                return;
            }
            was_empty = next.is_none();
            let config = &shared.config;
            let rest = config.idle_timeout.into_iter().chain(config.lifetime_max).min();
            let next = next.map_or_else(|| after(rest.unwrap_or_default()), at);
            // The pool's handles close it before they go, so the flag outlives this wait.
            if select(&[&next, &shared.closing]) != Ok(0) {
                return;
            }
        }
    }
}

impl<M: Manager> Drop for Reaper<M> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.is_reaping.set(false);
        }
    }
}

/// A connect under way. Its place is taken.
struct Attempt<M: Manager> {
    shared: Rc<Shared<M>>,
    /// The connection, or the error, was handed on.
    is_over: bool,
}

impl<M: Manager> Attempt<M> {
    fn run(mut self) {
        let shared = Rc::clone(&self.shared);
        let timeout = shared.config.connect_timeout;
        let connected = sched::deadline(timeout, || shared.manager.connect());
        match connected {
            Ok(Ok(connection)) => {
                self.is_over = true;
                shared.counters.add(Count::Created);
                shared.places.borrow_mut().end_connect();
                shared.hand_on(newborn(connection, &shared.config));
            }
            Ok(Err(error)) => self.fail(error),
            Err(sched::DeadlineExceeded) => {
                self.fail(Error::ConnectTimeout { address: shared.manager.address(), timeout });
            }
        }
    }

    fn fail(&mut self, error: Error) {
        self.is_over = true;
        let shared = &self.shared;
        shared.counters.add(Count::ConnectFailures);
        let next = {
            let mut places = shared.places.borrow_mut();
            places.end_connect();
            places.vacate();
            places.next_waiting()
        };
        if let Some(sender) = next {
            // A fiber that has left needs no answer.
            let _ = sender.send(Err(error));
        }
        shared.connect_for_waiting();
    }
}

impl<M: Manager> Drop for Attempt<M> {
    /// The manager has panicked, or the shard ends, or there was no stack: the fiber that has
    /// waited longest must not wait in vain.
    fn drop(&mut self) {
        if !self.is_over {
            let address = self.shared.manager.address();
            let why = if thread::panicking() { "the connect unwound" } else { "it did not begin" };
            self.fail(Error::connect(address, why));
        }
    }
}

#[derive(Clone, Copy)]
enum Care {
    Clean,
    Abort,
}

/// A connection that is being repaired, or whose work is being stopped. Its place is taken.
struct Patient<M: Manager> {
    shared: Rc<Shared<M>>,
    /// `None` when it was cured.
    member: Option<Member<M::Connection>>,
}

impl<M: Manager> Patient<M> {
    /// Not cancelled by the end of the shard, which waits for ten seconds at most: the server
    /// should learn that its work is not wanted.
    fn treat(mut self, care: Care) {
        let Some(member) = &mut self.member else { return };
        let (shared, connection) = (&self.shared, &mut member.connection);
        let treated = sched::uncancellable(|| {
            sched::deadline(shared.config.care_timeout, || match care {
                Care::Clean => shared.manager.clean(connection),
                Care::Abort => shared.manager.abort(connection),
            })
        });
        let is_done = matches!(treated, Ok(Ok(())));
        shared.counters.add(match (care, is_done) {
            (Care::Clean, true) => Count::Cleaned,
            (Care::Clean, false) => Count::CleanFailures,
            (Care::Abort, true) => Count::Aborts,
            (Care::Abort, false) => Count::AbortFailures,
        });
        if let (Care::Clean, true) = (care, is_done)
            && let Some(member) = self.member.take()
        {
            shared.hand_on(member);
        }
    }
}

impl<M: Manager> Drop for Patient<M> {
    fn drop(&mut self) {
        if let Some(member) = self.member.take() {
            self.shared.close_member(member, Count::Broken);
        }
    }
}

impl<M: Manager> Lease<M> {
    fn new(shared: &Rc<Shared<M>>, member: Member<M::Connection>) -> Self {
        shared.counters.add(Count::InUse);
        Self { shared: Rc::clone(shared), member: Some(member) }
    }

    pub(super) fn connection(&self) -> &M::Connection {
        match &self.member {
            Some(member) => &member.connection,
            None => unreachable!("only a destructor takes it"),
        }
    }

    pub(super) fn connection_mut(&mut self) -> &mut M::Connection {
        match &mut self.member {
            Some(member) => &mut member.connection,
            None => unreachable!("only a destructor takes it"),
        }
    }

    /// Closes the connection instead of giving it back.
    pub(super) fn close(mut self) {
        if let Some(member) = self.member.take() {
            self.shared.counters.sub(Count::InUse);
            self.shared.close_member(member, Count::Broken);
        }
    }

    fn into_member(mut self) -> Option<Member<M::Connection>> {
        let member = self.member.take();
        if member.is_some() {
            self.shared.counters.sub(Count::InUse);
        }
        member
    }
}

impl<M: Manager> Drop for Lease<M> {
    fn drop(&mut self) {
        if let Some(member) = self.member.take() {
            self.shared.counters.sub(Count::InUse);
            self.shared.take_back(member);
        }
    }
}

impl<M: Manager> Drop for Ticket<'_, M> {
    fn drop(&mut self) {
        self.shared.counters.sub(Count::Waiting);
        let left = self.shared.places.borrow_mut().leave(self.number);
        drop(left);
    }
}

/// A connection that was just made, with a life that chance shortens.
fn newborn<C>(connection: C, config: &PoolConfig) -> Member<C> {
    let now = sched::now();
    let lifetime = config.lifetime_max.map(|lifetime| {
        let thousandths = u32::try_from(sched::random_u64() % 100).unwrap_or_default();
        lifetime / 1000 * (1000 - thousandths)
    });
    let expires = lifetime.and_then(|lifetime| now.checked_add(lifetime));
    Member { connection, expires, idle_since: now }
}
