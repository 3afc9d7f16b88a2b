//! Seeing inside: which fibers there are, what each waits for, and where it stands.

use std::fmt;
use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use slotmap::Key;

use super::local;
use super::shard::Shard;
use crate::fiber::backtrace::Backtrace;
use crate::fiber::{
    Body, FiberCell, FiberKey, Label as Doing, Resume, Wait, take_depth, take_dump, while_running,
};

/// One fiber, as it is at the moment of the question. `Display` is one line, and the backtrace if
/// there is one.
#[derive(Debug)]
#[non_exhaustive]
pub struct FiberInfo {
    /// Tells it from all other fibers that its shard has or had.
    pub id: u64,
    /// What [`Builder::name`](crate::Builder::name) called it.
    pub name: Option<String>,
    /// The call that started it.
    pub spawned_at: &'static Location<'static>,
    /// How long ago that was.
    pub age: Duration,
    /// What it is doing in its own words, see [`Label`](crate::Label).
    pub label: Option<String>,
    /// What it is doing.
    pub state: FiberState,
    /// For how long, by the shard's clock. Zero for one that runs or is ready.
    pub since: Duration,
    /// The time that its nearest deadline leaves; zero when that has passed.
    pub deadline_in: Option<Duration>,
    /// It is to end at its next yield point.
    pub is_cancelled: bool,
    /// Where it is parked, if that was asked for, and it is, and has room on its stack to tell.
    pub backtrace: Option<Backtrace>,
}

/// What a fiber is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FiberState {
    /// It is the one that asks.
    Running,
    /// It has work, and its turn comes.
    Ready,
    /// It is parked; the text says what for: `sleep`, `to read from descriptor 7`, `Mutex::lock`.
    Waiting(String),
    /// It rests between two episodes, without a stack; see
    /// [`spawn_episodes`](crate::spawn_episodes).
    Resting,
}

/// Lists every fiber of the calling fiber's shard, in no particular order.
///
/// Not a yield point. Takes about 0.2 µs a fiber.
///
/// # Panics
///
/// Outside of [`run`](crate::run).
///
/// ```
/// use straightline_sched::{self as sched, Builder, FiberState};
///
/// sched::run(|| {
///     Builder::new().name("idler").spawn(sched::park)?;
///     sched::yield_now();
///     for fiber in sched::inspect() {
///         if fiber.name.as_deref() == Some("idler") {
///             assert_eq!(fiber.state, FiberState::Waiting("unpark".into()));
///             println!("{fiber}");
///         }
///     }
///     std::io::Result::Ok(())
/// })??;
/// # std::io::Result::Ok(())
/// ```
pub fn inspect() -> Vec<FiberInfo> {
    local::with(Shard::inspect)
}

/// As [`inspect`], with the backtraces of at most `backtraces_max` parked fibers.
///
/// Not a yield point. Each backtrace takes about 15 µs, during which no other fiber runs, and
/// 8 KiB of the parked fiber's stack; one that has hardly more left is listed without.
///
/// # Panics
///
/// Outside of [`run`](crate::run).
///
/// ```
/// use straightline_sched as sched;
///
/// fn waits_here() {
///     sched::park();
/// }
///
/// sched::run(|| {
///     sched::spawn(waits_here);
///     sched::yield_now();
///     let fibers = sched::inspect_with_backtraces(100);
///     assert!(fibers.iter().any(|fiber| fiber.to_string().contains("waits_here")));
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn inspect_with_backtraces(backtraces_max: usize) -> Vec<FiberInfo> {
    local::with(|shard| shard.inspect_with_backtraces(backtraces_max))
}

/// Has the calling fiber labelled until this is called again; `None` takes its label away. Changes
/// of the label show from then on.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
#[inline]
pub fn set_label(label: Option<&Doing>) {
    local::with(|shard| {
        let _former = shard.current().label.replace(label.cloned());
    });
}

impl FiberInfo {
    pub(super) fn of(shard: &Shard, fiber: &FiberCell) -> Self {
        let (now, wait) = (shard.clock(), fiber.wait.get());
        let is_resting = fiber.body.try_borrow().is_ok_and(|body| body.is_resting());
        let state = if shard.try_current().is_some_and(|it| it.key == fiber.key) {
            FiberState::Running
        } else if fiber.queued.get() || wait == Wait::Nothing && !is_resting {
            FiberState::Ready
        } else if is_resting {
            FiberState::Resting
        } else {
            FiberState::Waiting(shard.describe(wait))
        };
        let since = match state {
            FiberState::Waiting(_) => now.saturating_since(fiber.since.get()),
            _ => Duration::ZERO,
        };
        let deadline = fiber.renew_end().ever();
        Self {
            id: number(fiber.key),
            name: fiber.name().map(Into::into),
            spawned_at: fiber.birth.spawned_at,
            age: now.saturating_since(fiber.birth.spawned_in),
            label: fiber.label.borrow().as_ref().and_then(Doing::text),
            state,
            since,
            deadline_in: deadline.map(|at| at.saturating_since(now)).filter(|&left| left < NEVER),
            is_cancelled: fiber.cancelled.get(),
            backtrace: None,
        }
    }
}

impl Shard {
    pub(crate) fn inspect(&self) -> Vec<FiberInfo> {
        self.fibers.borrow().values().map(|fiber| FiberInfo::of(self, fiber)).collect()
    }

    pub(super) fn inspect_with_backtraces(&self, backtraces_max: usize) -> Vec<FiberInfo> {
        let fibers: Vec<_> = self.fibers.borrow().values().cloned().collect();
        let mut left = backtraces_max;
        let list = fibers.iter().map(|fiber| {
            let mut info = FiberInfo::of(self, fiber);
            if left > 0 {
                info.backtrace = Self::backtrace(fiber);
                left -= usize::from(info.backtrace.is_some());
            }
            info
        });
        list.collect()
    }

    /// Where a suspended fiber stands; `None` for one that runs, rests or has not begun.
    pub(super) fn backtrace(fiber: &Rc<FiberCell>) -> Option<Backtrace> {
        Self::ask(fiber, Resume::Dump)?;
        take_dump()
    }

    /// How many bytes of its stack a suspended fiber has in use; `None` as for a backtrace.
    pub(super) fn depth(fiber: &Rc<FiberCell>) -> Option<usize> {
        Self::ask(fiber, Resume::Measure)?;
        take_depth()
    }

    fn ask(fiber: &Rc<FiberCell>, question: Resume) -> Option<()> {
        if fiber.wait.get() == Wait::Nothing {
            return None;
        }
        let mut body = fiber.body.try_borrow_mut().ok()?;
        let Body::Stackful(coroutine) = &mut *body else { return None };
        while_running(fiber, || coroutine.resume(question));
        Some(())
    }

    fn describe_watched(&self, number: i32) -> String {
        match self.driver.simulation().map(|simulation| simulation.label(number)) {
            Some(label) => label.as_deref().unwrap_or("a device that is gone").to_owned(),
            None => format!("descriptor {number}"),
        }
    }

    pub(crate) fn describe(&self, wait: Wait) -> String {
        match wait {
            Wait::Nothing => "nothing".into(),
            Wait::Turn => "its turn".into(),
            Wait::Unpark => "unpark".into(),
            Wait::Time => "sleep".into(),
            Wait::Readable(number) => format!("to read from {}", self.describe_watched(number)),
            Wait::Writable(number) => format!("to write to {}", self.describe_watched(number)),
            Wait::End(key) => match self.fibers.borrow().get(key) {
                Some(fiber) => format!("the end of {}", Label(fiber)),
                None => "the end of a fiber that has ended".into(),
            },
            Wait::Children => "the fibers of its scope".into(),
            Wait::Call(call) => (*call).into(),
            Wait::Line(line) => match line.holder() {
                Some(holder) => format!("{}, {}", line.call(), self.describe_holder(holder)),
                None => (*line.call()).into(),
            },
        }
    }

    /// Who took a lock. Its guard may have moved to another fiber since, which does not show.
    fn describe_holder(&self, (shard_id, key): (u64, FiberKey)) -> String {
        if shard_id != self.id {
            return "taken by a fiber of another shard".into();
        }
        if let Some(holder) = self.fibers.borrow().get(key) {
            return format!("taken by {}", Label(holder));
        }
        match self.given_up.borrow().get(&key) {
            Some(holder) => format!("taken by {holder}, which was given up"),
            None => "taken by a fiber that has ended".into(),
        }
    }
}

/// A fiber's name, or its number, and where it was started.
pub(super) struct Label<'f>(pub(super) &'f FiberCell);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let birth = &self.0.birth;
        write_label(f, self.0.name(), number(self.0.key), birth.spawned_at)
    }
}

impl fmt::Display for FiberInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_label(f, self.name.as_deref(), self.id, self.spawned_at)?;
        write!(f, ", {:.1} s old", self.age.as_secs_f64())?;
        if let Some(label) = &self.label {
            // Escaped: it may be from outside.
            write!(f, ", at `{}`", label.escape_debug())?;
        }
        match &self.state {
            FiberState::Running => f.write_str(": running")?,
            FiberState::Ready => f.write_str(": ready")?,
            FiberState::Resting => f.write_str(": resting")?,
            FiberState::Waiting(what) => {
                write!(f, ": waiting for {:.1} s: {what}", self.since.as_secs_f64())?;
            }
        }
        if let Some(left) = self.deadline_in {
            write!(f, ", deadline in {:.1} s", left.as_secs_f64())?;
        }
        if self.is_cancelled {
            f.write_str(", cancelled")?;
        }
        if let Some(backtrace) = &self.backtrace {
            write!(f, "\n{backtrace}")?;
        }
        Ok(())
    }
}

fn write_label(
    f: &mut fmt::Formatter<'_>,
    name: Option<&str>,
    id: u64,
    spawned_at: &Location<'_>,
) -> fmt::Result {
    match name {
        // Escaped, as the label: a handler may name its fibers after what it was sent.
        Some(name) => write!(f, "fiber `{}`", name.escape_debug())?,
        None => write!(f, "fiber {id:#x}")?,
    }
    write!(f, " (spawned at {spawned_at})")
}

/// A fiber's name and number: short, and the same in each simulation of a seed.
pub(crate) fn label(fiber: &FiberCell) -> String {
    // A place in the table, and how often it was taken (the low bit says that it is).
    let key = number(fiber.key);
    let (place, takings) = (key & u64::from(u32::MAX), key >> 33);
    let name = fiber.name().unwrap_or("fiber");
    if takings == 0 { format!("{name}#{place}") } else { format!("{name}#{place}.{takings}") }
}

impl Shard {
    /// A line of the simulation's trace, if this is one.
    #[inline]
    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        if let Some(simulation) = self.driver.simulation() {
            simulation.world.note(text);
        }
    }

    pub(super) fn note_spawn(&self, fiber: &FiberCell) {
        self.note(|| format!("spawns {}, at {}", label(fiber), fiber.birth.spawned_at));
    }
}

pub(super) fn number(key: FiberKey) -> u64 {
    key.data().as_ffi()
}

/// A deadline so far away is none, such as that of a lease without an end: a century.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
