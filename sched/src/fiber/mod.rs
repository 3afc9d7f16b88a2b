//! A fiber: a stackful coroutine and what the scheduler keeps about it.
//!
//! A fiber lives in one of two ways. A *plain* fiber has a stack from its spawn to its end. An
//! *episodic* one is a closure that the scheduler keeps and runs on a pooled stack each time the
//! fiber is woken; between two episodes it holds no stack at all, which is what makes ten thousand
//! idle connections cheap. While an episode runs there is no difference between the two.
//!
//! This folder holds the machine-level half (the switch, the stacks, the unwinding) and knows no
//! queue, no clock and no descriptor; `core` decides who runs.

pub(crate) mod census;
mod memory;
pub(crate) mod overflow;
mod quota;
mod slab;
pub(crate) mod stack;
mod switch;
pub(crate) mod unwind;
mod wait;

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::panic::Location;
use std::rc::Rc;
use std::time::Instant;

use corosensei::Coroutine;
use slotmap::new_key_type;

use stack::{FiberStack, StackBounds};
pub(crate) use switch::Switch;
pub(crate) use wait::Wait;

new_key_type! {
    /// A fiber's place in its shard's table; never reused for another fiber.
    pub(crate) struct FiberKey;
}

/// Why a fiber gave the thread back before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// To be resumed when somebody wakes it.
    Parked,
    /// Never to be resumed: it swallowed one cancel after the other.
    Abandoned,
}

/// What an episodic fiber runs at each wake-up.
pub(crate) type Episodes = Box<dyn FnMut() -> ControlFlow<()>>;

/// A plain fiber returns `None`; an episodic one its closure, unless it is over.
pub(crate) type FiberCoroutine = Coroutine<(), Suspend, Option<Episodes>, FiberStack>;

/// What the scheduler resumes.
pub(crate) enum Body {
    /// In the middle of its work, or about to begin it.
    Stackful(FiberCoroutine),
    /// Between two episodes.
    Resting(Episodes),
    /// Never to run again.
    Over,
}

/// One fiber, shared by the shard's table and by everybody who may wake it.
pub(crate) struct FiberCell {
    pub(crate) key: FiberKey,
    /// The call that made it.
    pub(crate) spawned_at: &'static Location<'static>,
    /// The stack that it has, or had last.
    pub(crate) stack: Cell<StackBounds>,
    pub(crate) body: RefCell<Body>,
    pub(crate) switch: Switch,
    /// In the run queue: a second wake-up before it runs changes nothing.
    pub(crate) queued: Cell<bool>,
    /// What it waits for, since the turn that began then.
    pub(crate) wait: Cell<Wait>,
    pub(crate) since: Cell<Instant>,
    /// `unpark` was called and no `park` has returned for it yet.
    pub(crate) unparked: Cell<bool>,
    /// Sticky: every yield point of a cancelled fiber raises.
    pub(crate) cancelled: Cell<bool>,
    /// How often a cancel was raised in it; more than once means that it swallows them.
    pub(crate) raises: Cell<u32>,
    /// What to do before it next waits.
    pub(crate) before_park: Cell<Option<Rc<dyn Fn()>>>,
    /// Ended or given up: it is in no table and will never run again.
    pub(crate) over: Cell<bool>,
    /// Who waits for the end.
    pub(crate) joiner: Cell<Option<Rc<FiberCell>>>,
}

impl FiberCell {
    pub(crate) fn new(key: FiberKey, now: Instant, spawned_at: &'static Location<'static>) -> Self {
        Self {
            key,
            spawned_at,
            stack: Cell::default(),
            body: RefCell::new(Body::Over),
            switch: Switch::default(),
            queued: Cell::new(false),
            wait: Cell::new(Wait::Nothing),
            since: Cell::new(now),
            unparked: Cell::new(false),
            cancelled: Cell::new(false),
            raises: Cell::new(0),
            before_park: Cell::new(None),
            over: Cell::new(false),
            joiner: Cell::new(None),
        }
    }
}
