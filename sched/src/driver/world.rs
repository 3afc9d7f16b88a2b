//! The world of a simulation: its clock, its events, and its random numbers.
//!
//! There is one for each simulation. Its shards share it, and take turns on one thread. The clock
//! stands still until it is set forward: by a little for each turn of a fiber, and when no fiber
//! can run, to the next point in time that a fiber or an event waits for. So a wait takes no real
//! time at all.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::device_table::Devices;
use super::random::Random;

pub(crate) struct World {
    /// What an `Instant` of the simulation counts from.
    pub(super) started_at: Instant,
    /// Nanoseconds since then.
    now: Cell<u64>,
    /// By time, and then by the order in which they were scheduled.
    events: RefCell<BTreeMap<(u64, u64), Event>>,
    scheduled: Cell<u64>,
    pub(super) devices: RefCell<Devices>,
    /// Decides which fiber runs next, and for how long.
    pub(crate) order: RefCell<Random>,
    /// The simulated program's random numbers.
    pub(crate) drawn: RefCell<Random>,
    /// The source of further streams.
    forks: RefCell<Random>,
    /// Apart from `forks`, so that the plans do not depend on other draws.
    plans: RefCell<Random>,
    /// The values of [`local`](Self::local), in the order in which they were made.
    locals: RefCell<Vec<Rc<dyn Any>>>,
    leaks: RefCell<Vec<LeakCheck>>,
    trace: Option<Trace>,
    /// How long a job of `offload` takes.
    job_cost: RangeInclusive<Duration>,
}

pub(crate) type Event = Box<dyn FnOnce()>;

/// Lists what is left over.
pub(crate) type LeakCheck = Box<dyn FnOnce() -> Vec<String>>;

/// Gets the lines of a trace.
pub(crate) type TraceSink = Box<dyn FnMut(&str)>;

struct Trace {
    /// Borrowed while it is called; it may let other fibers run meanwhile.
    sink: RefCell<TraceSink>,
    /// The fiber that acts now; empty between fibers.
    actor: RefCell<String>,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<World>>> = const { RefCell::new(None) };
}

impl World {
    pub(crate) fn new(
        seed: u64,
        job_cost: RangeInclusive<Duration>,
        trace: Option<TraceSink>,
    ) -> Self {
        let mut random = Random::new(seed);
        let trace = trace.map(|sink| Trace { sink: RefCell::new(sink), actor: RefCell::default() });
        Self {
            started_at: Instant::now(),
            now: Cell::new(0),
            events: RefCell::default(),
            scheduled: Cell::new(0),
            devices: RefCell::default(),
            order: RefCell::new(random.fork()),
            drawn: RefCell::new(random.fork()),
            forks: RefCell::new(random.fork()),
            plans: RefCell::new(random.fork()),
            locals: RefCell::default(),
            leaks: RefCell::default(),
            trace,
            job_cost,
        }
    }

    /// The world of the simulation that runs on this thread.
    pub(crate) fn current() -> Option<Rc<Self>> {
        // The destructor of a thread-local may call this at the thread's end, when there is no
        // world any more.
        CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
    }

    /// As [`current`](Self::current).
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub(crate) fn expect_current() -> Rc<Self> {
        match Self::current() {
            Some(world) => world,
            None => panic!("straightline: outside of a simulation; call it inside `sim::run`"),
        }
    }

    /// Makes it the thread's world until the guard is dropped.
    ///
    /// # Panics
    ///
    /// If the thread has one already.
    pub(crate) fn enter(self: &Rc<Self>) -> EnteredWorld {
        CURRENT.with_borrow_mut(|current| {
            assert!(current.is_none(), "straightline: a simulation inside of a simulation");
            *current = Some(Rc::clone(self));
        });
        EnteredWorld
    }

    /// Nanoseconds since the start.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.now.get())
    }

    pub(crate) fn instant(&self) -> Instant {
        self.started_at + self.elapsed()
    }

    /// Sets the clock; it never goes back.
    pub(crate) fn set_now(&self, nanos: u64) {
        debug_assert!(nanos >= self.now.get(), "the clock went back");
        self.now.set(nanos);
    }

    pub(crate) fn after(&self, delay: Duration, event: Event) {
        let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        let at = self.now.get().saturating_add(nanos);
        let number = self.scheduled.get();
        self.scheduled.set(number + 1);
        self.events.borrow_mut().insert((at, number), event);
    }

    /// Makes `event` happen when a job of `offload` that begins now has taken its time.
    pub(crate) fn after_job(&self, event: Event) {
        let cost = self.order.borrow_mut().duration(self.job_cost.clone());
        self.after(cost, event);
    }

    /// When the next event happens.
    pub(crate) fn next_event_at(&self) -> Option<u64> {
        self.events.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Makes everything happen that is due.
    pub(crate) fn run_events(&self) {
        while self.next_event_at().is_some_and(|at| at <= self.now.get()) {
            let event = self.events.borrow_mut().pop_first();
            if let Some((_, event)) = event {
                event();
            }
        }
    }

    /// Drops the values of [`local`](Self::local).
    pub(crate) fn clear_locals(&self, discard: impl Fn(Rc<dyn Any>)) {
        self.locals.take().into_iter().for_each(discard);
    }

    /// Forgets all further events.
    pub(crate) fn clear_events(&self, discard: impl Fn(Event)) {
        // Dropped without the borrow: the destructor of an event's value may schedule another
        // event.
        while let Some(event) = {
            let mut events = self.events.borrow_mut();
            events.pop_first()
        } {
            discard(event.1);
        }
    }

    pub(crate) fn fork_random(&self) -> Random {
        self.forks.borrow_mut().fork()
    }

    pub(crate) fn plan_random(&self) -> Random {
        self.plans.borrow_mut().fork()
    }

    pub(crate) fn local<T: 'static>(&self, init: impl FnOnce() -> T) -> Rc<T> {
        let known = || {
            let locals = self.locals.borrow();
            locals.iter().find_map(|local| Rc::clone(local).downcast::<T>().ok())
        };
        known().unwrap_or_else(|| {
            // It may call this itself, and may wait: then another fiber's value may exist now.
            let local = Rc::new(init());
            known().unwrap_or_else(|| {
                self.locals.borrow_mut().push(Rc::clone(&local) as Rc<dyn Any>);
                local
            })
        })
    }

    pub(crate) fn on_end(&self, leaks: LeakCheck) {
        self.leaks.borrow_mut().push(leaks);
    }

    /// The texts about what is left over.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let checks = self.leaks.take();
        checks.into_iter().flat_map(|leaks| leaks()).collect()
    }

    #[inline]
    pub(crate) fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Sets the fiber that the next lines are about; empty between fibers.
    pub(crate) fn set_actor(&self, actor: String) {
        if let Some(trace) = &self.trace {
            trace.actor.replace(actor);
        }
    }

    /// Adds a line to the trace: the time, the fiber, and the text.
    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        let Some(trace) = &self.trace else { return };
        // Made first: the text may come from the user's `Debug`.
        let text = text();
        // Actions of the sink itself are not traced.
        let Ok(mut sink) = trace.sink.try_borrow_mut() else { return };
        let now = self.now.get();
        let (seconds, nanos) = (now / 1_000_000_000, now % 1_000_000_000);
        let line = {
            let actor = trace.actor.borrow();
            let colon = if actor.is_empty() { "" } else { ": " };
            format!("{seconds:>5}.{nanos:09} {actor}{colon}{text}")
        };
        sink(&line);
    }
}

pub(crate) struct EnteredWorld;

impl Drop for EnteredWorld {
    fn drop(&mut self) {
        CURRENT.take();
    }
}
