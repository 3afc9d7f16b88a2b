//! What is shown of a fiber: `inspect` makes these values, and people read them.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use slotmap::Key;

use crate::fiber::backtrace::Backtrace;
use crate::fiber::{FiberCell, FiberKey};

/// One fiber, at the moment of the query. `Display` is one line, followed by the backtrace if there
/// is one.
#[derive(Debug)]
#[non_exhaustive]
pub struct FiberInfo {
    /// Unique among all fibers that its shard has or had.
    pub id: u64,
    /// The name that [`FiberBuilder::name`](crate::FiberBuilder::name) gave it.
    pub name: Option<String>,
    /// The call that spawned it.
    pub spawned_at: &'static Location<'static>,
    /// The time since then.
    pub age: Duration,
    /// The fiber's own words for what it does, see [`Label`](crate::Label).
    pub label: Option<String>,
    /// What it is doing.
    pub state: FiberState,
    /// How long it has been in that state, by the shard's clock. Zero if it runs or is ready.
    pub since: Duration,
    /// The time until its nearest deadline; zero when that has passed.
    pub deadline_in: Option<Duration>,
    /// It will unwind at its next yield point.
    pub is_cancelled: bool,
    /// Where it is parked, if that was asked for and its stack has room for a backtrace.
    pub backtrace: Option<Backtrace>,
}

/// What a fiber is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FiberState {
    /// It is the fiber that asks.
    Running,
    /// It is in the run queue.
    Ready,
    /// It is parked; the text says for what: `sleep`, `to read from descriptor 7`, `Mutex::lock`.
    Waiting(String),
    /// It rests between two activations, without a stack; see
    /// [`spawn_stackless`](crate::spawn_stackless).
    Resting,
}

/// A fiber's name, or its number, and where it was spawned.
pub(super) struct Label<'f>(pub(super) &'f FiberCell);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spawn_info = &self.0.spawn_info;
        write_label(f, self.0.name(), number(self.0.key), spawn_info.spawned_at)
    }
}

impl fmt::Display for FiberInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_label(f, self.name.as_deref(), self.id, self.spawned_at)?;
        write!(f, ", {:.1} s old", self.age.as_secs_f64())?;
        if let Some(label) = &self.label {
            // Escaped: it may contain data of a client.
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
        // Escaped, as the label: a handler may name its fibers after data of a client.
        Some(name) => write!(f, "fiber `{}`", name.escape_debug())?,
        None => write!(f, "fiber {id:#x}")?,
    }
    write!(f, " (spawned at {spawned_at})")
}

/// A fiber's name and number: short, and the same in each simulation of a seed.
pub(crate) fn label(fiber: &FiberCell) -> String {
    // An index of the table, and how often that was used (the low bit says that it is in use).
    let key = number(fiber.key);
    let (place, takings) = (key & u64::from(u32::MAX), key >> 33);
    let name = fiber.name().unwrap_or("fiber");
    if takings == 0 { format!("{name}#{place}") } else { format!("{name}#{place}.{takings}") }
}

pub(super) fn number(key: FiberKey) -> u64 {
    key.data().as_ffi()
}
