//! The scheduler's record of a fiber, and of the scope that it belongs to.
//!
//! The two are one file, because each points to the other: a fiber to the state of its scope, and
//! that to the fiber whose frames the scope's fibers borrow from.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::thread;

use super::body::Body;
use super::bounds::Bounds;
use super::key::FiberKey;
use super::label::Label;
use super::life::Life;
use super::locals::Locals;
use super::park_hooks::ParkHooks;
use super::peek::copy_of;
use super::switch::Switch;
use super::switch_hooks::SwitchHooks;
use super::tick::Tick;
use super::unwind::{self, Payload, Reason};
use super::waiting::Waiting;

/// One fiber, shared by the shard's table and by those that may wake it.
pub(crate) struct FiberCell {
    pub(crate) key: FiberKey,
    pub(crate) spawn_info: SpawnInfo,
    pub(crate) body: RefCell<Body>,
    pub(crate) switch: Switch,
    pub(crate) life: Life,
    pub(crate) waiting: Waiting,
    /// In the run queue: a second wake-up before it runs changes nothing.
    pub(crate) queued: Cell<bool>,
    /// `unpark` was called and no `park` has returned for it yet.
    pub(crate) unparked: Cell<bool>,
    /// The thread's count of panics was up when the fiber was last given the thread: another
    /// coroutine's panic caused that, and it tells nothing about this fiber.
    pub(crate) others_panic: Cell<bool>,
    /// The scope that waits for the fiber, until the fiber is over. So a reference to the record of
    /// a fiber that is over keeps only the record alive.
    pub(crate) scope_state: Cell<Option<Rc<ScopeState>>>,
    /// The bounds of its work and of its wait.
    pub(crate) bounds: Bounds,
    /// What it is doing. A signal handler may [`peek`](super::peek::peek) too: if it interrupts
    /// code that replaces the label, it finds one of the two, and puts the same back.
    pub(crate) label: Cell<Option<Label>>,
    /// The fiber that joins it.
    pub(crate) joiner: Cell<Option<Rc<FiberCell>>>,
    /// What few fibers have. Set once, so that a signal handler may read it.
    cold: OnceCell<Box<Cold>>,
}

/// What few fibers have, so that the others need no room for it.
#[derive(Default)]
pub(crate) struct Cold {
    pub(crate) name: OnceCell<Rc<str>>,
    /// Its own values of fiber-locals.
    pub(crate) locals: RefCell<Locals>,
    pub(crate) park_hooks: ParkHooks,
    pub(crate) switch_hooks: SwitchHooks,
    /// Fibers that wait for the end among other things.
    pub(crate) watchers: Cell<Vec<EndWatcher>>,
    /// The payload that was raised last, while it exists; see [`FiberCell::unwinds`].
    pub(crate) raised: RefCell<Weak<()>>,
}

/// A fiber that waits for the end of another one.
pub(crate) enum EndWatcher {
    /// A fiber of the same shard.
    Here(Rc<FiberCell>),
    /// A fiber of another shard of the simulation.
    Elsewhere(u64, FiberKey),
}

impl PartialEq for EndWatcher {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Here(one), Self::Here(other)) => Rc::ptr_eq(one, other),
            (Self::Elsewhere(shard, key), Self::Elsewhere(other_shard, other_key)) => {
                (shard, key) == (other_shard, other_key)
            }
            _ => false,
        }
    }
}

/// What is known of a fiber when it is spawned.
pub(crate) struct SpawnInfo {
    pub(crate) spawned_at: &'static Location<'static>,
    /// The turn.
    pub(crate) spawned_in: Tick,
}

/// The fibers of one scope.
pub(crate) struct ScopeState {
    /// The shard of these fibers.
    pub(crate) shard_id: u64,
    /// The fiber whose frame they may borrow from: it does not leave the scope while there are
    /// children.
    pub(crate) parent: Rc<FiberCell>,
    /// The children that are not over.
    children: RefCell<BTreeMap<FiberKey, Rc<FiberCell>>>,
    /// A child was abandoned: its borrows last for ever, and the scope never ends.
    is_lost: Cell<bool>,
    /// The scope has ended, and ignores all news.
    is_ended: Cell<bool>,
    /// The first panic of a child that is not joined, until the scope ends.
    panic: Cell<Option<Payload>>,
    /// Further children never begin.
    is_cancelled: Cell<bool>,
}

impl ScopeState {
    pub(crate) fn new(shard_id: u64, parent: Rc<FiberCell>) -> Self {
        Self {
            shard_id,
            parent,
            children: RefCell::default(),
            is_lost: Cell::new(false),
            is_ended: Cell::new(false),
            panic: Cell::new(None),
            is_cancelled: Cell::new(false),
        }
    }

    pub(crate) fn add_child(&self, child: Rc<FiberCell>) {
        self.children.borrow_mut().insert(child.key, child);
    }

    /// Removes a child that is over. Returns whether this may be what the parent waits for.
    pub(crate) fn remove_child(&self, child: &FiberCell) -> bool {
        if child.life.is_abandoned() {
            self.is_lost.set(true);
        }
        self.children.borrow_mut().remove(&child.key);
        !self.has_children() || self.is_lost() || self.has_panic()
    }

    /// A copy: code of the user that is called for each may change the list.
    pub(crate) fn children(&self) -> Vec<Rc<FiberCell>> {
        self.children.borrow().values().cloned().collect()
    }

    pub(crate) fn has_children(&self) -> bool {
        !self.children.borrow().is_empty()
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.is_lost.get()
    }

    /// Whether no fiber can touch the data any more that the scope lent.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        !self.has_children() && !self.is_lost()
    }

    pub(crate) fn cancel(&self) {
        self.is_cancelled.set(true);
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.get()
    }

    /// Keeps the panic of a child, if it is the first. Returns it otherwise.
    pub(crate) fn record_panic(&self, payload: Payload) -> Option<Payload> {
        match self.panic.take() {
            None => {
                self.panic.set(Some(payload));
                None
            }
            first => {
                self.panic.set(first);
                Some(payload)
            }
        }
    }

    pub(crate) fn has_panic(&self) -> bool {
        let panic = self.panic.take();
        let has = panic.is_some();
        self.panic.set(panic);
        has
    }

    /// The scope ends. Returns the panic that it has kept.
    pub(crate) fn end(&self) -> Option<Payload> {
        self.is_ended.set(true);
        self.panic.take()
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.get()
    }
}

impl FiberCell {
    pub(crate) fn new(key: FiberKey, spawn_info: SpawnInfo, now: Tick) -> Self {
        Self {
            key,
            spawn_info,
            body: RefCell::new(Body::OVER),
            switch: Switch::default(),
            life: Life::default(),
            waiting: Waiting::new(now),
            queued: Cell::new(false),
            unparked: Cell::new(false),
            others_panic: Cell::new(false),
            scope_state: Cell::new(None),
            bounds: Bounds::new(),
            label: Cell::new(None),
            joiner: Cell::new(None),
            cold: OnceCell::new(),
        }
    }

    /// The scope that waits for the fiber, until the fiber is over.
    pub(crate) fn scope_state(&self) -> Option<Rc<ScopeState>> {
        copy_of(&self.scope_state)
    }

    /// Whether this fiber, which is the running one, unwinds.
    ///
    /// std counts panics for each thread, and a fiber does not suspend while it unwinds. So the
    /// count is up if this fiber unwinds. It may also be up because a coroutine of another library
    /// was suspended in the middle of an unwind. If the count was up already when this fiber was
    /// given the thread, it tells nothing. Then only unwinds that were raised here are known, and a
    /// panic is not. So the answer may only decide how the fiber is treated. Whether a scope waits
    /// does not depend on it.
    #[inline]
    pub(crate) fn unwinds(&self) -> bool {
        thread::panicking() && (!self.others_panic.get() || self.is_raised())
    }

    #[cold]
    fn is_raised(&self) -> bool {
        self.cold().is_some_and(|cold| cold.raised.borrow().strong_count() > 0)
    }

    /// Unwinds this fiber, which is the running one, to the end of its body or to the next catch.
    #[allow(clippy::inline_always)] // each frame costs an unwind two thousand instructions, twice
    #[inline(always)]
    pub(crate) fn raise(&self, reason: Reason) -> ! {
        let in_flight = self.others_panic.get().then(|| Arc::new(()));
        if let Some(in_flight) = &in_flight {
            self.cold_mut().raised.replace(Arc::downgrade(in_flight));
        }
        unwind::raise(reason, in_flight)
    }

    pub(crate) fn set_name(&self, name: Rc<str>) {
        // Called once, by the code that makes the fiber.
        let _ = self.cold_mut().name.set(name);
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.cold.get()?.name.get().map(|name| &**name)
    }

    /// The part for few fibers, if this fiber has it.
    pub(crate) fn cold(&self) -> Option<&Cold> {
        self.cold.get().map(|cold| &**cold)
    }

    pub(crate) fn cold_mut(&self) -> &Cold {
        self.cold.get_or_init(Box::default)
    }
}

// A parked fiber must cost little beyond its page of stack: see the sample `million`.
// AddressSanitizer makes corosensei keep more.
#[cfg(all(target_pointer_width = "64", not(feature = "sanitizer")))]
const _: () = assert!(size_of::<FiberCell>() <= 216);
