//! A shard's state of a descriptor: the events that came, and the waiters.

use std::rc::Rc;
use std::task::Waker;

use slotmap::new_key_type;

use super::contain::{contain, discard};
use crate::driver::{Interest, Interests, Readiness};
use crate::fiber::FiberCell;

new_key_type! {
    /// A source's place in its shard's table, and the key of its events. It carries a generation,
    /// so an event of a closed descriptor never reaches the next owner of its number.
    pub(crate) struct SourceKey;
}

/// The state of one registered descriptor.
///
/// A direction in which a fiber or a task waits is armed, or its end was reported. What is reported
/// as shut, or as urgent, stays so.
pub(crate) struct SourceState {
    /// The descriptor's number, or the device's.
    number: i32,
    /// What the driver reports: while the source lives, or until the next event if that disarms it.
    armed: Interests,
    read: Side,
    write: Side,
    /// Nothing more will come to be read.
    read_shut: bool,
    /// The last event that disarmed the source reported a hang-up. It may end: a FIFO gets another
    /// writer, a socket is connected.
    is_hung_up: bool,
    urgent: bool,
    /// How often in a row a fiber that asked to wait was told that the reading side is closed.
    closed_answers: u8,
}

/// The answer to a fiber that asks to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arming {
    /// There is a change to look at, and no need to wait.
    Changed,
    /// The next change wakes the waiter.
    Armed,
    /// As `Armed`, but there may be no further change, and an end that no fiber has found.
    Stale,
}

/// One direction.
#[derive(Default)]
pub(super) struct Side {
    seen: Seen,
    /// The waiter; a second waiter for the same direction is rare.
    waiter: Option<Rc<FiberCell>>,
    more: Others,
}

/// The waiters beyond the first. Boxed: few sources ever have any, and a server has many sources.
#[derive(Default)]
#[allow(clippy::box_collection)]
struct Others(Option<Box<Vec<Other>>>);

/// What is known of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Seen {
    /// An event came, and no fiber has looked since.
    Changed,
    /// A fiber has looked since the last event, or is about to.
    #[default]
    Looked,
    /// An operation would have blocked, and no event came since.
    Blocked,
}

enum Other {
    Fiber(Rc<FiberCell>),
    /// At most one for each direction: the last that asked.
    Task(Task),
}

/// A future's task. Its waker is the user's code: a panic of it goes no further.
pub(super) struct Task(Option<Waker>);

impl Task {
    pub(super) fn new(waker: Waker) -> Self {
        Self(Some(waker))
    }

    /// By reference: if the call consumed the waker, a panic of its drop would abort the process.
    pub(super) fn wake(self) {
        contain(|| self.0.iter().for_each(Waker::wake_by_ref));
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(discard);
    }
}

impl SourceState {
    pub(super) fn new(number: i32, armed: Interests) -> Self {
        let (read, write) = (Side::default(), Side::default());
        Self {
            number,
            armed,
            read,
            write,
            read_shut: false,
            is_hung_up: false,
            urgent: false,
            closed_answers: 0,
        }
    }

    pub(super) fn side(&mut self, interest: Interest) -> &mut Side {
        match interest {
            Interest::Read => &mut self.read,
            Interest::Write => &mut self.write,
        }
    }

    pub(super) fn number(&self) -> i32 {
        self.number
    }

    #[inline]
    pub(super) fn armed(&self) -> Interests {
        self.armed
    }

    pub(super) fn set_armed(&mut self, interests: Interests) {
        self.armed = interests;
    }

    #[inline]
    pub(super) fn has_changed(&mut self, interest: Interest) -> bool {
        self.side(interest).seen == Seen::Changed
    }

    /// Whether an operation would have blocked, and no event came since. A short read is no proof
    /// if an end was reported: the end may have come together with the bytes.
    pub(super) fn is_blocked(&mut self, interest: Interest) -> bool {
        self.side(interest).seen == Seen::Blocked
            && (interest == Interest::Write || !self.is_read_closed())
    }

    /// An operation has looked, and found no more. Returns whether a short read proves that.
    #[inline]
    pub(super) fn clear(&mut self, interest: Interest) -> bool {
        self.side(interest).seen = if self.urgent { Seen::Looked } else { Seen::Blocked };
        !self.urgent
    }

    /// A fiber is about to look.
    pub(super) fn record_look(&mut self, interest: Interest) {
        self.side(interest).seen = Seen::Looked;
    }

    /// There is a change that a fiber is to look at.
    pub(super) fn record_change(&mut self, interest: Interest) {
        self.side(interest).seen = Seen::Changed;
    }

    pub(super) fn is_read_closed(&self) -> bool {
        self.read_shut || self.is_hung_up
    }

    pub(super) fn record_read_shut(&mut self) {
        self.read_shut = true;
    }

    /// Whether an event would wake a fiber or a task.
    pub(super) fn is_waited_for(&self) -> bool {
        self.read.is_waited_for() || self.write.is_waited_for()
    }

    /// The directions in which an event would wake a waiter. A direction whose end was reported is
    /// left out: the driver would report it again and again.
    pub(super) fn waited_for(&self) -> Interests {
        Interests {
            read: self.read.is_waited_for() && !self.is_read_closed(),
            write: self.write.is_waited_for(),
        }
    }

    /// Takes an event: calls `wake` with the fibers that wait for it, and returns the tasks that
    /// wait for it. The caller wakes those when the table of sources is not borrowed any more.
    #[inline]
    pub(super) fn on_event(
        &mut self,
        readiness: Readiness,
        mut wake: impl FnMut(Rc<FiberCell>),
    ) -> [Option<Task>; 2] {
        self.urgent |= readiness.urgent;
        if readiness.disarmed {
            // The event reports a state. It may only repeat an earlier one, after re-arming.
            self.is_hung_up = readiness.read_closed;
        } else {
            self.read_shut |= readiness.read_closed;
        }
        if !(readiness.disarmed && self.is_read_closed()) {
            self.closed_answers = 0;
        }
        let reader = if readiness.readable { self.read.edge(&mut wake) } else { None };
        let writer = if readiness.writable { self.write.edge(&mut wake) } else { None };
        [reader, writer]
    }

    /// Whether there is a change to look at; if so, it counts as looked at.
    pub(super) fn look(&mut self, interest: Interest) -> Arming {
        let seen = &mut self.side(interest).seen;
        if *seen == Seen::Changed {
            *seen = Seen::Looked;
            return Arming::Changed;
        }
        if interest == Interest::Write || !self.is_read_closed() {
            return Arming::Armed;
        }
        // An end stays readable. But a socket that was shut down may answer "would block" for ever.
        if self.closed_answers == CLOSED_ANSWERS_MAX {
            if !self.read_shut {
                self.closed_answers -= 1; // the hang-up may have ended: the next look arms
            }
            return Arming::Stale;
        }
        self.closed_answers += 1;
        // After a hang-up the driver looks again when it arms: its event comes at once if that is
        // still so.
        if self.read_shut { Arming::Changed } else { Arming::Armed }
    }
}

impl Side {
    fn is_waited_for(&self) -> bool {
        self.waiter.is_some() || self.more.iter().next().is_some()
    }

    pub(super) fn has_waiter(&self, fiber: &Rc<FiberCell>) -> bool {
        self.waiter.as_ref().is_some_and(|waiter| Rc::ptr_eq(waiter, fiber))
            || self.more.iter().any(|other| other.is(fiber))
    }

    pub(super) fn add(&mut self, fiber: Rc<FiberCell>) {
        match &self.waiter {
            None => self.waiter = Some(fiber),
            Some(waiter) if Rc::ptr_eq(waiter, &fiber) => {}
            Some(_) if self.more.iter().any(|other| other.is(&fiber)) => {}
            Some(_) => self.more.push(Other::Fiber(fiber)),
        }
    }

    /// As [`add`](Self::add), for a task; afterwards `task` is the waker that was replaced.
    pub(super) fn add_task(&mut self, task: &mut Option<Task>) {
        let known = self.more.iter_mut().find_map(|other| match other {
            Other::Task(known) => Some(known),
            Other::Fiber(_) => None,
        });
        match (known, task.take()) {
            (Some(known), Some(new)) => *task = Some(std::mem::replace(known, new)),
            (None, Some(new)) => self.more.push(Other::Task(new)),
            (_, None) => {}
        }
    }

    /// Removes a fiber that looks no more. If it has been woken, its event counts as not looked at.
    pub(super) fn give_back(&mut self, fiber: &Rc<FiberCell>) {
        if !self.remove(fiber) {
            self.seen = Seen::Changed;
        }
    }

    /// Returns whether the fiber still waited.
    pub(super) fn remove(&mut self, fiber: &Rc<FiberCell>) -> bool {
        let first = self.waiter.take_if(|waiter| Rc::ptr_eq(waiter, fiber));
        self.more.remove(fiber) || first.is_some()
    }

    /// Calls `wake` with the fibers that wait; the caller wakes the task.
    #[inline]
    fn edge(&mut self, wake: &mut impl FnMut(Rc<FiberCell>)) -> Option<Task> {
        self.seen = Seen::Changed;
        if let Some(waiter) = self.waiter.take() {
            wake(waiter);
        }
        self.more.0.as_mut().and_then(|others| wake_others(others, wake))
    }
}

#[cold]
fn wake_others(others: &mut Vec<Other>, wake: &mut impl FnMut(Rc<FiberCell>)) -> Option<Task> {
    let mut task = None;
    while let Some(other) = others.pop() {
        match other {
            Other::Fiber(fiber) => wake(fiber),
            Other::Task(other) => task = Some(other),
        }
    }
    task
}

impl Others {
    fn iter(&self) -> impl Iterator<Item = &Other> {
        self.0.iter().flat_map(|others| others.iter())
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Other> {
        self.0.iter_mut().flat_map(|others| others.iter_mut())
    }

    fn push(&mut self, other: Other) {
        let others = self.0.get_or_insert_default();
        if others.len() == others.capacity() {
            // Removes fibers that were armed, and have ended without an event.
            others.retain(|other| !other.is_over());
        }
        others.push(other);
    }

    /// Returns whether the fiber was there.
    fn remove(&mut self, fiber: &Rc<FiberCell>) -> bool {
        let Some(others) = &mut self.0 else { return false };
        let count = others.len();
        others.retain(|other| !other.is(fiber));
        others.len() < count
    }
}

impl Other {
    fn is(&self, fiber: &Rc<FiberCell>) -> bool {
        matches!(self, Self::Fiber(waiter) if Rc::ptr_eq(waiter, fiber))
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Fiber(waiter) if waiter.life.is_over())
    }
}

// A server has one for each connection.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<SourceState>() <= 64);

/// How often in a row a wait for a closed reading side ends at once. Arbitrary: a reader finds the
/// end at its first or second look, and there may be several readers.
const CLOSED_ANSWERS_MAX: u8 = 64;
