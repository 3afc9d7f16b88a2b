//! Simulation: whole programs of fibers in virtual time, determined by a seed.
//!
//! [`run`] runs a root fiber as [`sched::run`](crate::run) does, but nothing in it is real. The
//! clock stands still while fibers run, but for a little at each of their turns, and jumps to the
//! next timer when none can: a minute's timeout takes microseconds. Which of the ready fibers runs
//! next is drawn from the seed, so every seed is another history of the same program, and the same
//! seed is the same history, event for event. Several shards ([`spawn_shard`](crate::spawn_shard))
//! take turns on the one thread. Sockets come from `straightline_net`, which brings a network of
//! its own for simulations, with faults.
//!
//! What would be a test that hangs is a failure with a reason here: a *deadlock*, when no fiber
//! can run and no timer is set; a *leak*, when fibers are left after the root has ended; and what
//! goes on without an end.
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
//! Whatever this library does: timers, deadlines, [`sync`](crate::sync),
//! [`offload`](crate::offload()) (its jobs run one after the other, each after a virtual time),
//! [`block_on`](crate::block_on()), the sockets of `straightline_net`, [`clock`](crate::clock()),
//! [`system_time`](crate::system_time), [`random_u64`](crate::random_u64).
//!
//! What a program does behind its back is not: `Instant::now()` is the real time, a thread runs as
//! it will, a `HashMap` has another order each time, a thread-local is shared by the simulated
//! shards. Such a program still runs, but a seed does not determine it.
//!
//! # How it is built
//!
//! The scheduler does not know that it is simulated: the same code runs, on another driver. `world`
//! (in the driver's folder) is the clock and what happens when; `shard` is what a simulation adds
//! to a shard; `runner` gives the shards their turns, `keep_thread` takes them away; `trace` words
//! what they did; `settings` and `check` are what one calls.

mod check;
mod host;
mod keep_thread;
mod plan;
mod runner;
mod settings;
mod shard;
mod trace;

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
/// When `root` does; in a deadlock, when fibers are left, or when there is no end, with a text that
/// tells the seed and the fibers; inside of a shard or another simulation.
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

/// Whether the caller is in a simulation: in one of its fibers, or in what [`after`] runs.
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

/// Has `event` happen after that virtual time, outside of all fibers. It may change a [`Device`],
/// wake fibers, and schedule more; it cannot wait. Events of one time happen in the order in which
/// they were scheduled.
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

/// A random stream of the caller's own, determined by the seed. What one part of a simulation draws
/// from its stream does not change what others draw from theirs.
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

/// The simulation's one value of that type, which `init` makes when it is first asked for. It lives
/// until the simulation ends.
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

/// Adds a line to the trace, with the time and the fiber. `text` is called only if there is one.
/// Does nothing outside of a simulation, so that what is tested may say what it does.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched::sim::{self, Sim};
///
/// let result = Sim::new(7)
///     .trace(|line| println!("{line}"))
///     .run(|| sim::note(|| "halfway".to_owned())); //     0.000001729 root#1: halfway
/// assert!(result.is_ok());
/// ```
pub fn note(text: impl FnOnce() -> String) {
    if let Some(world) = World::current() {
        world.note(text);
    }
}

/// Has `leaks` called when all fibers have ended: each text that it returns is something left over,
/// and makes the simulation fail.
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
