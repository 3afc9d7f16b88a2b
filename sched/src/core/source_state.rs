//! What a shard keeps of a descriptor: which edges came, and who waits for one.

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

/// What a shard knows of one registered descriptor.
pub(crate) struct SourceState {
    /// The descriptor's number, or the device's.
    pub(super) number: i32,
    /// What the driver tells of: for as long as the source lives, or until the next event if that
    /// disarms it.
    pub(super) armed: Interests,
    read: Side,
    write: Side,
    pub(super) read_closed: bool,
    pub(super) urgent: bool,
    /// How often in a row somebody who asked to wait was told that the reading side is closed.
    closed_answers: u8,
}

/// What becomes of a wish to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arming {
    /// There is a change to look at, and nothing to wait for.
    Changed,
    /// The next change wakes the waiter.
    Armed,
    /// As `Armed`, but there may be no change any more, and an end that nobody has found.
    Stale,
}

/// One direction.
#[derive(Default)]
pub(super) struct Side {
    /// An edge came that nobody has looked at.
    pub(super) ready: bool,
    /// Who waits; a second waiter for the same direction is rare.
    waiter: Option<Rc<FiberCell>>,
    more: Vec<Other>,
}

enum Other {
    Fiber(Rc<FiberCell>),
    /// At most one of each side: the last that asked.
    Task(Task),
}

/// A future's task. Its waker is code of the user's: what it raises goes no further.
pub(super) struct Task(Option<Waker>);

impl Task {
    pub(super) fn new(waker: Waker) -> Self {
        Self(Some(waker))
    }

    /// By reference: were the call to consume the waker, a drop that panics as well would abort.
    fn wake(self) {
        contain(|| self.0.iter().for_each(Waker::wake_by_ref));
    }
}

/// Those that an event is for.
pub(super) struct Tasks {
    reader: Option<Task>,
    writer: Option<Task>,
}

impl Tasks {
    #[inline]
    pub(super) fn wake(self) {
        if let Some(task) = self.reader {
            task.wake();
        }
        if let Some(task) = self.writer {
            task.wake();
        }
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
        Self { number, armed, read, write, read_closed: false, urgent: false, closed_answers: 0 }
    }

    pub(super) fn side(&mut self, interest: Interest) -> &mut Side {
        match interest {
            Interest::Read => &mut self.read,
            Interest::Write => &mut self.write,
        }
    }

    /// Whether an event would wake a fiber or a task.
    pub(super) fn is_waited_for(&self) -> bool {
        self.read.is_waited_for() || self.write.is_waited_for()
    }

    /// The directions in which an event would. Not where the end has been told already: that would
    /// be told again and again.
    pub(super) fn waited_for(&self) -> Interests {
        Interests {
            read: self.read.is_waited_for() && !self.read_closed,
            write: self.write.is_waited_for(),
        }
    }

    /// Takes an event in: hands the fibers that wait for it to `wake`, and returns the tasks that
    /// do, which are to be woken when the table of sources is not borrowed any more.
    #[inline]
    pub(super) fn note(
        &mut self,
        readiness: Readiness,
        mut wake: impl FnMut(Rc<FiberCell>),
    ) -> Tasks {
        self.read_closed |= readiness.read_closed;
        self.urgent |= readiness.urgent;
        if !readiness.disarmed {
            // Something has changed; one that is armed anew is told the same as before.
            self.closed_answers = 0;
        }
        let reader = if readiness.readable { self.read.edge(&mut wake) } else { None };
        let writer = if readiness.writable { self.write.edge(&mut wake) } else { None };
        Tasks { reader, writer }
    }

    /// Whether there is a change to look at. One that is told of is looked at.
    pub(super) fn look(&mut self, interest: Interest) -> Arming {
        if std::mem::take(&mut self.side(interest).ready) {
            return Arming::Changed;
        }
        if interest == Interest::Write || !self.read_closed {
            return Arming::Armed;
        }
        // An end stays to be read. But a shut down socket may say for ever that a read would block.
        if self.closed_answers == CLOSED_ANSWERS_MAX {
            return Arming::Stale;
        }
        self.closed_answers += 1;
        Arming::Changed
    }
}

impl Side {
    fn is_waited_for(&self) -> bool {
        self.waiter.is_some() || !self.more.is_empty()
    }

    pub(super) fn add(&mut self, fiber: Rc<FiberCell>) {
        match &self.waiter {
            None => self.waiter = Some(fiber),
            Some(waiter) if Rc::ptr_eq(waiter, &fiber) => {}
            Some(_) if self.more.iter().any(|other| other.is(&fiber)) => {}
            Some(_) => {
                if self.more.len() == self.more.capacity() {
                    // Those that were armed, and have ended without an edge.
                    self.more.retain(|other| !other.is_over());
                }
                self.more.push(Other::Fiber(fiber));
            }
        }
    }

    /// As [`add`](Self::add), for a task; afterwards `task` is what need not be kept.
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

    /// Returns whether the fiber still waited.
    pub(super) fn remove(&mut self, fiber: &Rc<FiberCell>) -> bool {
        let count = self.more.len();
        self.more.retain(|other| !other.is(fiber));
        let first = self.waiter.take_if(|waiter| Rc::ptr_eq(waiter, fiber));
        first.is_some() || self.more.len() < count
    }

    /// Hands the fibers that wait to `wake`; the task is for the caller to wake.
    fn edge(&mut self, wake: &mut impl FnMut(Rc<FiberCell>)) -> Option<Task> {
        self.ready = true;
        if let Some(waiter) = self.waiter.take() {
            wake(waiter);
        }
        let mut task = None;
        while let Some(other) = self.more.pop() {
            match other {
                Other::Fiber(fiber) => wake(fiber),
                Other::Task(other) => task = Some(other),
            }
        }
        task
    }
}

impl Other {
    fn is(&self, fiber: &Rc<FiberCell>) -> bool {
        matches!(self, Self::Fiber(waiter) if Rc::ptr_eq(waiter, fiber))
    }

    fn is_over(&self) -> bool {
        matches!(self, Self::Fiber(waiter) if waiter.over.get())
    }
}

/// How often in a row a wait for a closed reading side ends at once. Arbitrary: a reader finds the
/// end at its first look or its second, and there may be some readers.
const CLOSED_ANSWERS_MAX: u8 = 64;
