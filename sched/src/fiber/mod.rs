//! A fiber: a stackful coroutine and what the scheduler keeps about it.
//!
//! A fiber lives in one of two ways. A *plain* fiber has a stack from its spawn to its end. An
//! *episodic* one is a closure that the scheduler keeps and runs on a pooled stack each time the
//! fiber is woken; between two episodes it holds no stack at all, which is what makes ten thousand
//! idle connections cheap. While an episode runs there is no difference between the two.
//!
//! This folder holds the machine-level half (the switch, the stacks, the unwinding) and knows no
//! queue, no clock and no descriptor; `core` decides who runs.

pub(crate) mod backtrace;
pub(crate) mod census;
mod label;
mod memory;
pub(crate) mod overflow;
pub(crate) mod pool;
mod quota;
mod running;
mod slab;
pub(crate) mod stack;
mod switch;
mod tick;
pub(crate) mod unwind;
mod wait;

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Weak;

use corosensei::Coroutine;
use slotmap::new_key_type;

pub use label::Label;
pub(crate) use running::{give_up_running, running, suspend_running, tell_running, while_running};
use stack::{FiberStack, StackBounds};
pub(crate) use switch::{Switch, Yielder, take_depth, take_dump};
pub(crate) use tick::Tick;
pub(crate) use unwind::Frame;
pub(crate) use wait::{CallName, LineWait, Standing, Wait};

new_key_type! {
    /// A fiber's place in its shard's table; never reused for another fiber.
    pub(crate) struct FiberKey;
}

/// Why a fiber gave the thread back before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspend {
    /// To be resumed when somebody wakes it.
    Parked,
    /// Never to be resumed.
    GivenUp(GivenUp),
}

/// Why a fiber was given up: it never runs again, and its frames stay where they are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GivenUp {
    /// It went on after it had been cancelled, or past its deadline, whatever its calls said.
    Swallows,
    /// It was in an [`uncancellable`](crate::uncancellable) section ten seconds after the end of
    /// its shard.
    Uncancellable,
    /// A fiber of one of its scopes was given up, and a scope does not end before its fibers.
    WithChild,
}

/// Why a fiber gets the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// To go on.
    Run,
    /// To note where it stands, and to give the thread back at once.
    Dump,
    /// To note how much of its stack it has in use, likewise.
    Measure,
}

/// What an episodic fiber runs at each wake-up.
pub(crate) type Episodes = Box<dyn FnMut() -> ControlFlow<()>>;

/// A plain fiber returns `None`; an episodic one its closure, unless it is over.
pub(crate) type FiberCoroutine = Coroutine<Resume, Suspend, Option<Episodes>, FiberStack>;

/// What the scheduler resumes.
pub(crate) enum Body {
    /// In the middle of its work, or about to begin it.
    Stackful(FiberCoroutine),
    /// Between two episodes; `None` if it is never to run again.
    Idle(Option<Episodes>),
}

impl Body {
    pub(crate) const OVER: Self = Self::Idle(None);

    pub(crate) fn is_resting(&self) -> bool {
        matches!(self, Self::Idle(Some(_)))
    }
}

/// One fiber, shared by the shard's table and by everybody who may wake it.
pub(crate) struct FiberCell {
    pub(crate) key: FiberKey,
    pub(crate) birth: Birth,
    /// The stack that it has, or had last.
    pub(crate) stack: Cell<StackBounds>,
    pub(crate) body: RefCell<Body>,
    pub(crate) switch: Switch,
    /// What it waits for, since the turn that began then.
    pub(crate) wait: Cell<Wait>,
    pub(crate) since: Cell<Tick>,
    /// In the run queue: a second wake-up before it runs changes nothing.
    pub(crate) queued: Cell<bool>,
    /// `unpark` was called and no `park` has returned for it yet.
    pub(crate) unparked: Cell<bool>,
    /// Sticky: every yield point of a cancelled fiber raises, unless it is masked.
    pub(crate) cancelled: Cell<bool>,
    /// Ended or given up: it is in no table and will never run again.
    pub(crate) over: Cell<bool>,
    /// It never ends, and never runs again. Then it is `over` too.
    pub(crate) given_up: Cell<bool>,
    /// The thread's count of panics was up when it was last given the thread: that was another's
    /// doing, and says nothing of this fiber.
    pub(crate) others_panic: Cell<bool>,
    /// How many `uncancellable` sections it is in. Each has a frame on some stack, or has lost one:
    /// they cannot be so many that this overflows.
    pub(crate) masked: Cell<usize>,
    /// How often its cancel was raised: more than once means that it swallows it.
    pub(crate) raises: Cell<u16>,
    /// The scope that waits for it, until it is over: so nothing hangs on a fiber's record but what
    /// is at work, whoever keeps it.
    pub(crate) family: RefCell<Option<Rc<Family>>>,
    /// The nearest deadline: whichever encloses the running code and comes first.
    pub(crate) deadline: Cell<Deadline>,
    /// What it runs under besides, and shares with its children.
    pub(crate) term: RefCell<Option<Rc<Term>>>,
    /// How often the end of that was raised.
    pub(crate) term_raises: Cell<u16>,
    /// The earlier end of the two. The term may have been renewed since.
    pub(crate) ends_at: Cell<Tick>,
    /// When a timed wait ends; the deadline may end it before.
    pub(crate) wake_at: Cell<Tick>,
    /// Where it stands in the queue of timers, if it does. It may be earlier than is needed:
    /// the alarm is then set anew when it goes off. Never later than `wake_at` and `ends_at`.
    pub(crate) alarm: Cell<Tick>,
    /// What it is doing. A signal handler may look into it too.
    pub(crate) label: RefCell<Option<Label>>,
    /// Who waits for the end.
    pub(crate) joiner: Cell<Option<Rc<FiberCell>>>,
    /// What few fibers have. Set once, so that a signal handler may look into it.
    rare: OnceCell<Box<Rare>>,
}

/// What few fibers have, and the others need no room for.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) name: OnceCell<Rc<str>>,
    /// Its own values of fiber-locals.
    pub(crate) locals: RefCell<Locals>,
    /// What to do before it next waits; the newest last.
    pub(crate) before_park: RefCell<Vec<Hook>>,
    /// A hook runs.
    pub(crate) in_hook: Cell<bool>,
    /// Who waits for the end among other things.
    pub(crate) watchers: Cell<Vec<EndWatcher>>,
    /// The payload that was raised last, while it is there; see [`FiberCell::unwinds`].
    pub(crate) raised: RefCell<Weak<()>>,
}

/// Something to do before a fiber waits.
pub(crate) struct Hook {
    pub(crate) call: Rc<dyn Fn()>,
    /// It was set while another one ran, and its turn comes when the fiber has waited.
    pub(crate) pauses: bool,
}

/// A fiber that waits for the end of another one.
pub(crate) enum EndWatcher {
    /// Of the same shard.
    Here(Rc<FiberCell>),
    /// Of another shard of the simulation.
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

/// What is known of a fiber when it is made.
pub(crate) struct Birth {
    pub(crate) spawned_at: &'static Location<'static>,
    /// The turn.
    pub(crate) spawned_in: Tick,
}

/// The fibers of one scope.
pub(crate) struct Family {
    /// Theirs.
    pub(crate) shard_id: u64,
    /// Whose frame they may borrow from: it does not leave the scope while there are children.
    pub(crate) parent: Rc<FiberCell>,
    /// Those that are not over.
    pub(crate) children: RefCell<BTreeMap<FiberKey, Rc<FiberCell>>>,
    /// One of them was given up: what it borrows is borrowed for ever, and the scope never ends.
    pub(crate) is_lost: Cell<bool>,
    /// The scope has ended, and hears of nothing any more.
    pub(crate) ended: Cell<bool>,
    /// What one of them panicked with that nobody joins.
    pub(crate) panic: Cell<Option<Box<dyn Any + Send>>>,
    /// Further children never begin.
    pub(crate) cancelled: Cell<bool>,
}

impl Family {
    pub(crate) fn new(shard_id: u64, parent: Rc<FiberCell>) -> Self {
        Self {
            shard_id,
            parent,
            children: RefCell::default(),
            is_lost: Cell::new(false),
            ended: Cell::new(false),
            panic: Cell::new(None),
            cancelled: Cell::new(false),
        }
    }

    /// Whether no fiber can touch any more what the scope lent.
    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.children.borrow().is_empty() && !self.is_lost.get()
    }

    pub(crate) fn has_panic(&self) -> bool {
        let panic = self.panic.take();
        let has = panic.is_some();
        self.panic.set(panic);
        has
    }
}

/// One fiber's value of one fiber-local.
pub(crate) struct Local {
    /// Where the key is, which is what tells it from others.
    pub(crate) key: usize,
    pub(crate) value: Rc<dyn Any>,
    /// Makes the value that a new child begins with; `None` if it begins afresh.
    pub(crate) inherit: Option<Inherit>,
}

/// Few fibers have any.
pub(crate) type Locals = Vec<Local>;

/// Makes a child's value of its parent's.
pub(crate) type Inherit = fn(&dyn Any) -> Rc<dyn Any>;

/// A point in time after which a fiber's yield points raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    pub(crate) at: Tick,
    /// Which `deadline` call catches the unwind; [`Frame::ROOT`] if a parent's does.
    pub(crate) frame: Frame,
    /// How often its end was raised: more than once means that it is swallowed.
    pub(crate) raises: u16,
}

impl Deadline {
    pub(crate) const NONE: Self = Self::new(Tick::NEVER, Frame::ROOT);

    pub(crate) const fn new(at: Tick, frame: Frame) -> Self {
        Self { at, frame, raises: 0 }
    }
}

/// A point in time that is moved while fibers run under it: one `hold` of a lease.
pub(crate) struct Term {
    pub(crate) until: Cell<Tick>,
    /// Which call catches the unwind.
    pub(crate) frame: Cell<Frame>,
    /// Whose call that is: the number of a shard, and a fiber there; none between two calls.
    pub(crate) holder: Cell<(u64, FiberKey)>,
    /// What the holder ran under before, and runs under still.
    pub(crate) outer: RefCell<Option<Rc<Term>>>,
    /// The terms of those who hold the same lease while this one, its first, is held.
    pub(crate) further: RefCell<Vec<Rc<Term>>>,
}

impl Term {
    /// One that nothing runs under.
    pub(crate) fn new() -> Self {
        Self {
            until: Cell::new(Tick::NEVER),
            frame: Cell::new(Frame::ROOT),
            holder: Cell::default(),
            outer: RefCell::new(None),
            further: RefCell::default(),
        }
    }

    /// The earliest end of it and those around it, and whose that is: the outermost's of several.
    pub(crate) fn end(&self) -> (Tick, Frame) {
        let own = (self.until.get(), self.frame.get());
        let outer = self.outer.borrow().as_ref().map(|outer| outer.end());
        outer.filter(|outer| outer.0 <= own.0).unwrap_or(own)
    }
}

impl FiberCell {
    pub(crate) fn new(key: FiberKey, birth: Birth, now: Tick) -> Self {
        Self {
            key,
            birth,
            stack: Cell::default(),
            body: RefCell::new(Body::OVER),
            switch: Switch::default(),
            wait: Cell::new(Wait::Nothing),
            since: Cell::new(now),
            queued: Cell::new(false),
            unparked: Cell::new(false),
            cancelled: Cell::new(false),
            over: Cell::new(false),
            given_up: Cell::new(false),
            others_panic: Cell::new(false),
            masked: Cell::new(0),
            raises: Cell::new(0),
            family: RefCell::new(None),
            deadline: Cell::new(Deadline::NONE),
            term: RefCell::new(None),
            term_raises: Cell::new(0),
            ends_at: Cell::new(Tick::NEVER),
            wake_at: Cell::new(Tick::NEVER),
            alarm: Cell::new(Tick::NEVER),
            label: RefCell::new(None),
            joiner: Cell::new(None),
            rare: OnceCell::new(),
        }
    }

    /// Works out `ends_at`, and returns it.
    pub(crate) fn renew_end(&self) -> Tick {
        let of_term = self.term.borrow().as_ref().map_or(Tick::NEVER, |term| term.end().0);
        let end = of_term.min(self.deadline.get().at);
        self.ends_at.set(end);
        end
    }

    pub(crate) fn set_name(&self, name: Rc<str>) {
        // Called once, by whoever made the fiber.
        let _ = self.rare_mut().name.set(name);
    }

    pub(crate) fn name(&self) -> Option<&str> {
        self.rare.get()?.name.get().map(|name| &**name)
    }

    /// What is there already.
    pub(crate) fn rare(&self) -> Option<&Rare> {
        self.rare.get().map(|rare| &**rare)
    }

    pub(crate) fn rare_mut(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }
}

// A parked fiber is to cost little beyond its page of stack: see the sample `million`.
// AddressSanitizer has corosensei keep more.
#[cfg(all(target_pointer_width = "64", not(feature = "sanitizer")))]
const _: () = assert!(size_of::<FiberCell>() <= 240);
