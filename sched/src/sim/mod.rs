//! Simulation: whole programs of fibers in virtual time, determined by a seed.
//!
//! [`run`] runs a root fiber as [`sched::run`](crate::run) does, but nothing in it is real. The
//! clock stands still while fibers run, except for a little at each of their turns. It jumps to the
//! next timer when no fiber can run: a minute's timeout takes microseconds. The seed decides which
//! of the ready fibers runs next, so every seed is another history of the same program, and the
//! same seed is the same history, event for event. Several shards
//! ([`spawn_shard`](crate::spawn_shard)) take turns on the one thread. Sockets come from
//! `straightline_net`, which has a network of its own for simulations, with faults.
//!
//! A program that would hang in a test fails here with a reason: a *deadlock*, when no fiber can
//! run and no timer is set; a *leak*, when fibers are left after the root fiber has ended; or an
//! *endless* run.
//!
//! ```
//! use std::time::Duration;
//! use straightline_sched::{self as sched, sim};
//!
//! let late = sim::run(7, || {
//!     sched::deadline(Duration::from_secs(60), || sched::sleep(Duration::from_secs(3_600)))
//! });
//! assert!(late.is_err()); // a minute later, at once
//! ```
//!
//! [`check`] is for tests: it runs many seeds, and shows the one that fails with its history.
//!
//! # What is simulated
//!
//! Everything that this library does: timers, deadlines, [`sync`](crate::sync),
//! [`offload`](crate::offload()) (its jobs run one after the other, each after a virtual time),
//! [`block_on`](crate::block_on()), the sockets of `straightline_net`, [`now`](crate::now()),
//! [`system_time`](crate::system_time), [`random_u64`](crate::random_u64).
//!
//! What a program does without this library is not simulated: `Instant::now()` is the real time, a
//! thread runs on its own, a `HashMap` has another order each time, and the simulated shards share
//! a thread-local. Such a program still runs, but a seed does not determine it.
//!
//! # How it is built
//!
//! The scheduler does not know that it is simulated: the same code runs, on another driver. `world`
//! (in the driver's folder) is the clock and the events; `shard` is what a simulation adds to a
//! shard; `runner` gives the shards their turns, and `keep_thread` takes them away; `trace` has the
//! words for what they did; `settings` and `check` are the calls of a test.

mod check;
mod host;
mod keep_thread;
mod plan;
mod runner;
mod settings;
mod shard;
mod turn_trace;

use std::rc::Rc;
use std::time::Duration;

use crate::driver::World;
pub use crate::driver::{Device, Level, Random};
pub use check::{Check, check};
pub use host::{host, on_host};
pub use keep_thread::keep_thread;
pub use plan::plan;
pub use settings::{Failure, FailureKind, Sim};
pub(crate) use shard::add_shard;

/// Runs `root` as the first fiber of a simulation with that seed, and returns what it returns.
/// [`Sim`] has settings, and returns its failure.
///
/// # Blocking
///
/// Blocks the thread until `root`, and every fiber that it started, has ended.
///
/// # Panics
///
/// If `root` does. In a deadlock, if fibers are left, or if the simulation does not end; the text
/// has the seed and the fibers. If it is called on a shard, or in another simulation.
///
/// ```
/// use straightline_sched::{self as sched, sim};
///
/// let first = |seed| {
///     sim::run(seed, || {
///         let (sender, receiver) = sched::sync::mpsc::channel(2);
///         for name in ["ann", "bob"] {
///             let sender = sender.clone();
///             sched::spawn(move || sender.send(name));
///         }
///         receiver.recv().unwrap()
///     })
/// };
/// assert_eq!(first(3), first(3));
/// assert!((0..100).any(|seed| first(seed) == "ann"));
/// assert!((0..100).any(|seed| first(seed) == "bob"));
/// ```
#[track_caller]
pub fn run<T: 'static>(seed: u64, root: impl FnOnce() -> T + 'static) -> T {
    match Sim::new(seed).run(root) {
        Ok(value) => value,
        Err(failure) => failure.resume(),
    }
}

/// Whether the caller is in a simulation: in one of its fibers, or in an event of [`after`].
///
/// Not a yield point.
///
/// ```
/// use straightline_sched::sim;
///
/// assert!(!sim::is_simulated());
/// assert!(sim::run(7, sim::is_simulated));
/// ```
pub fn is_simulated() -> bool {
    World::current().is_some()
}

/// The virtual time since the simulation began.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a simulation.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, sim};
///
/// sim::run(7, || {
///     sched::sleep(Duration::from_secs(5));
///     assert_eq!(sim::elapsed().as_secs(), 5);
/// });
/// ```
#[track_caller]
pub fn elapsed() -> Duration {
    World::expect_current().elapsed()
}

/// Makes `event` happen after that virtual time, outside of all fibers. It may change a [`Device`],
/// wake fibers, and schedule more events; it cannot wait. Events of the same time happen in the
/// order in which they were scheduled.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a simulation. A panic of `event` ends the simulation.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, sim};
///
/// sim::run(7, || {
///     let me = sched::current();
///     sim::after(Duration::from_secs(60), move || me.unpark());
///     sched::park();
/// });
/// ```
#[track_caller]
pub fn after(delay: Duration, event: impl FnOnce() + 'static) {
    World::expect_current().after(delay, Box::new(event));
}

/// A random stream for the caller, determined by the seed. The draws of one part of a simulation
/// from its stream do not change the draws of other parts.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a simulation.
///
/// ```
/// use straightline_sched::sim;
///
/// let draw = || sim::fork_random().below(100);
/// assert_eq!(sim::run(7, draw), sim::run(7, draw));
/// ```
#[track_caller]
pub fn fork_random() -> Random {
    World::expect_current().fork_random()
}

/// The simulation's one value of that type, which `init` makes at the first call. It lives until
/// the simulation ends.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a simulation.
///
/// ```
/// use std::cell::Cell;
/// use straightline_sched::sim;
///
/// #[derive(Default)]
/// struct Mails(Cell<u32>);
///
/// sim::run(7, || {
///     sim::local(Mails::default).0.update(|count| count + 1);
///     assert_eq!(sim::local(Mails::default).0.get(), 1);
/// });
/// ```
#[track_caller]
pub fn local<T: 'static>(init: impl FnOnce() -> T) -> Rc<T> {
    World::expect_current().local(init)
}

/// Adds a line to the trace, with the time and the fiber. `text` is called only if there is a
/// trace. Outside of a simulation it does nothing, so code under test may call it anywhere.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched::sim::{self, Sim};
///
/// let result = Sim::new(7)
///     .trace(|line| println!("{line}"))
///     .run(|| sim::trace(|| "halfway".to_owned())); //     0.000001729 root#1: halfway
/// assert!(result.is_ok());
/// ```
pub fn trace(text: impl FnOnce() -> String) {
    if let Some(world) = World::current() {
        world.note(text);
    }
}

/// Calls `leaks` when all fibers have ended: each text that it returns names something that is left
/// over, and makes the simulation fail.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a simulation.
///
/// ```
/// use straightline_sched::sim::{self, Sim};
///
/// let failure = Sim::new(7)
///     .run(|| sim::on_end(|| vec!["an open file".to_owned()]))
///     .unwrap_err();
/// assert!(failure.to_string().contains("an open file"));
/// ```
#[track_caller]
pub fn on_end(leaks: impl FnOnce() -> Vec<String> + 'static) {
    World::expect_current().on_end(Box::new(leaks));
}
