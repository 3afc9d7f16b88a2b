//! One simulation: its settings, and how it fails.

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::core::ThreadBoundWait;
use crate::driver::TraceSink;

/// A simulation, with its settings.
///
/// ```
/// use straightline_sched::{self as sched, sim::{FailureKind, Sim}};
///
/// let failure = Sim::new(7).run(sched::park).unwrap_err();
/// assert!(matches!(failure.kind(), FailureKind::Deadlock(_)));
/// println!("{failure}"); // seed 7, after 0.000002 s: deadlock: no fiber can run ...
/// ```
#[must_use = "a simulation does nothing until `run`"]
pub struct Sim {
    pub(super) seed: u64,
    pub(super) turn_cost: RangeInclusive<Duration>,
    pub(super) offload_cost: RangeInclusive<Duration>,
    pub(super) end_grace: Duration,
    pub(super) turns_max: u64,
    /// `None`: each shard's configuration decides.
    pub(super) tripwire: Option<bool>,
    pub(super) trace: Option<TraceSink>,
    pub(super) left_out: BTreeSet<usize>,
}

/// Why a simulation failed, and when.
///
/// Its text begins with the most important facts; [`Sim`]'s example shows it.
pub struct Failure {
    pub(super) seed: u64,
    pub(super) at: Duration,
    pub(super) kind: FailureKind,
    /// How many elements its plans had.
    pub(super) planned: usize,
}

/// The reason of a failed simulation.
#[derive(Debug)]
#[non_exhaustive]
pub enum FailureKind {
    /// No fiber could run, and no timer was set: these fibers waited, each for what its line says.
    Deadlock(Vec<String>),
    /// These were left after the root fiber had ended: fibers, and the texts of
    /// [`on_end`](super::on_end).
    Leak(Vec<String>),
    /// The simulation had no end in sight: these fibers existed.
    Endless(Vec<String>),
    /// The root fiber panicked, or an event did, with this payload.
    Panic(Box<dyn Any + Send>),
    /// The root fiber swallowed one unwind after the other, and was abandoned.
    Abandoned,
    /// A fiber waited inside of a closure that ties state to its thread, and [`Sim::tripwire`] was
    /// set.
    ThreadBoundWait(Box<ThreadBoundWait>),
    /// The system refused something that a simulation needs, such as memory for stacks.
    Refused(io::Error),
}

impl Sim {
    /// A simulation with that seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            turn_cost: Duration::from_nanos(200)..=Duration::from_micros(5),
            offload_cost: Duration::from_micros(50)..=Duration::from_millis(5),
            end_grace: Duration::from_secs(60),
            turns_max: 10_000_000,
            tripwire: None,
            trace: None,
            left_out: BTreeSet::new(),
        }
    }

    /// Sets how much virtual time a turn of a fiber takes. Default: 0.2 to 5 µs.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched::{self as sched, sim::{self, Sim}};
    ///
    /// let cost = Duration::from_millis(1);
    /// let elapsed = Sim::new(7).turn_cost(cost..=cost).run(|| {
    ///     sched::yield_now();
    ///     sim::elapsed()
    /// });
    /// assert!(elapsed.unwrap() >= cost);
    /// ```
    pub fn turn_cost(mut self, cost: RangeInclusive<Duration>) -> Self {
        self.turn_cost = cost;
        self
    }

    /// Sets how much virtual time a job of [`offload`](crate::offload()) takes. Default: 50 µs to 5
    /// ms.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched::{self as sched, sim::{self, Sim}};
    ///
    /// let cost = Duration::from_secs(1);
    /// let elapsed = Sim::new(7).offload_cost(cost..=cost).run(|| {
    ///     sched::offload(|| "a long computation").unwrap();
    ///     sim::elapsed()
    /// });
    /// assert!(elapsed.unwrap() >= cost);
    /// ```
    pub fn offload_cost(mut self, cost: RangeInclusive<Duration>) -> Self {
        self.offload_cost = cost;
        self
    }

    /// Sets how much virtual time the other fibers have to end after the root fiber has; fibers
    /// that are left then are a [leak](FailureKind::Leak). Default: one minute.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched::{self as sched, sim::Sim};
    ///
    /// let leave_sleeper = || drop(sched::spawn(|| sched::sleep(Duration::from_secs(10))));
    /// assert!(Sim::new(7).run(leave_sleeper).is_ok());
    /// assert!(Sim::new(7).end_grace(Duration::from_secs(9)).run(leave_sleeper).is_err());
    /// ```
    pub fn end_grace(mut self, grace: Duration) -> Self {
        self.end_grace = grace;
        self
    }

    /// Sets after how many turns of fibers a simulation counts as [endless](FailureKind::Endless).
    /// Default: ten million.
    ///
    /// ```
    /// use straightline_sched::{self as sched, sim::{FailureKind, Sim}};
    ///
    /// let failure = Sim::new(7).turns_max(1_000).run(|| {
    ///     loop {
    ///         sched::yield_now();
    ///     }
    /// });
    /// let failure: sched::sim::Failure = failure.map(|_: ()| ()).unwrap_err();
    /// assert!(matches!(failure.kind(), FailureKind::Endless(_)));
    /// ```
    pub fn turns_max(mut self, turns: u64) -> Self {
        self.turns_max = turns;
        self
    }

    /// Sets whether a fiber that waits inside of a closure which ties state to its thread makes the
    /// simulation fail, see [`Config::tripwire`](crate::Config). Default: yes in a
    /// [`check`](super::check()), elsewhere as the shard's [`Config`](crate::Config) says.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline_sched::{self as sched, sim::{FailureKind, Sim}};
    ///
    /// thread_local! {
    ///     static SLOW: u32 = { sched::sleep(Duration::from_secs(1)); 7 };
    /// }
    ///
    /// let failure = Sim::new(7).tripwire(true).run(|| SLOW.with(|value| *value)).unwrap_err();
    /// assert!(matches!(failure.kind(), FailureKind::ThreadBoundWait(_)));
    /// ```
    pub fn tripwire(mut self, tripwire: bool) -> Self {
        self.tripwire = Some(tripwire);
        self
    }

    /// Records the history: `sink` gets each line, without a line break. It begins with the virtual
    /// time in seconds and the fiber that acts. Actions of `sink` itself are left out.
    ///
    /// ```
    /// use std::{cell::RefCell, rc::Rc};
    /// use straightline_sched::{self as sched, sim::Sim};
    ///
    /// let lines = Rc::new(RefCell::new(Vec::new()));
    /// let sink = Rc::clone(&lines);
    /// let sim = Sim::new(7).trace(move |line| sink.borrow_mut().push(line.to_owned()));
    /// sim.run(|| sched::spawn(|| ()).join()).unwrap().unwrap();
    /// assert!(lines.borrow().iter().any(|line| line.contains("root#1: waits: the end of")));
    /// ```
    pub fn trace(mut self, sink: impl FnMut(&str) + 'static) -> Self {
        self.trace = Some(Box::new(sink));
        self
    }
}

impl Failure {
    /// What went wrong.
    pub fn kind(&self) -> &FailureKind {
        &self.kind
    }

    /// The virtual time at which it did.
    ///
    /// ```
    /// use straightline_sched::{self as sched, sim::Sim};
    ///
    /// let failure = Sim::new(7).run(sched::park).unwrap_err();
    /// assert!(failure.at().as_secs() < 1);
    /// ```
    pub fn at(&self) -> Duration {
        self.at
    }

    /// Panics with the fiber's own payload, or with the failure's text.
    #[track_caller]
    pub(super) fn resume(self) -> ! {
        if let FailureKind::Panic(payload) = self.kind {
            std::panic::resume_unwind(payload);
        }
        panic!("straightline: {self}")
    }

    pub(super) fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.kind) == std::mem::discriminant(&other.kind)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, after {:.6} s: {}", self.seed, self.at.as_secs_f64(), self.kind)
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, list) = match self {
            Self::Deadlock(list) => ("deadlock: no fiber can run, and no timer is set", list),
            Self::Leak(list) => ("leak: the root fiber has ended, and these are left", list),
            Self::Endless(list) => ("no end in sight; these fibers are there", list),
            Self::Panic(payload) => return write!(f, "panic: {}", message(&**payload)),
            Self::Abandoned => {
                return f.write_str("the root fiber was abandoned: it swallowed its unwinds");
            }
            Self::ThreadBoundWait(wait) => return wait.fmt(f),
            Self::Refused(error) => return write!(f, "the system refused the simulation: {error}"),
        };
        f.write_str(what)?;
        list.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            FailureKind::Refused(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).finish_non_exhaustive()
    }
}

fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("(no message)")
}
