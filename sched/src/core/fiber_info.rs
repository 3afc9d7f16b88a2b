//! What is told of a fiber: words and numbers, made by `inspect` and read by people.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use slotmap::Key;

use crate::fiber::backtrace::Backtrace;
use crate::fiber::{FiberCell, FiberKey};

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

pub(super) fn number(key: FiberKey) -> u64 {
    key.data().as_ffi()
}
