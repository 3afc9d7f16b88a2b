//! Running many seeds in a test, and the report of the seed that fails.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::env;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Once;
use std::thread;

use super::settings::{Failure, Sim};
use crate::core::discard;

/// Runs `body` in a simulation for each of a hundred seeds; [`Check`] has settings.
///
/// The environment can change that: `SIM_SEEDS=10000` runs that many seeds, `SIM_SEED=7` only that
/// seed, and both together run that many seeds from that one on.
///
/// # Blocking
///
/// Blocks the thread until all seeds have run, or one has failed.
///
/// # Panics
///
/// If one fails: the text has the seed, the reason, and the trace of that run. If the body drew
/// [plans](super::plan()), as many of their elements as possible are left out first. A run also
/// fails if a fiber waits inside of a closure that ties state to its thread; [`Sim::tripwire`]
/// turns that off.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, sim};
///
/// // #[test]
/// fn a_sleep_is_never_too_short() {
///     sim::check(|| {
///         let pause = Duration::from_millis(sched::random_u64() % 100);
///         let start = sched::now();
///         sched::sleep(pause);
///         assert!(sched::now() - start >= pause);
///     });
/// }
/// # a_sleep_is_never_too_short();
/// ```
#[track_caller]
pub fn check(body: impl Fn() + 'static) {
    Check::new().run(body);
}

/// A [`check`] with settings.
///
/// ```
/// use straightline_sched::{self as sched, sim::{Check, Sim}};
///
/// let configure = |seed| Sim::new(seed).turns_max(10_000);
/// Check::new().seeds(10).configure(configure).run(sched::yield_now);
/// ```
#[must_use = "a check does nothing until `run`"]
pub struct Check {
    seeds: u64,
    configure: Box<dyn Fn(u64) -> Sim>,
}

impl Check {
    /// A hundred seeds, and [`Sim::new`] for each.
    pub fn new() -> Self {
        Self { seeds: 100, configure: Box::new(Sim::new) }
    }

    /// Sets how many seeds run, unless the environment sets it.
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Sets how the simulation of a seed is made.
    pub fn configure(mut self, configure: impl Fn(u64) -> Sim + 'static) -> Self {
        self.configure = Box::new(configure);
        self
    }

    /// Runs the seeds, as [`check`] does.
    ///
    /// # Panics
    ///
    /// As [`check`]; and if `SIM_SEED` or `SIM_SEEDS` is not a number.
    #[track_caller]
    pub fn run(self, body: impl Fn() + 'static) {
        let (first, count) = match (number("SIM_SEED"), number("SIM_SEEDS")) {
            (Some(first), count) => (first, count.unwrap_or(1)),
            (None, count) => (0, count.unwrap_or(self.seeds)),
        };
        let body = Rc::new(body);
        for seed in (0..count).map(|index| first.wrapping_add(index)) {
            if let Err(failure) = self.attempt(seed, BTreeSet::new(), &body) {
                self.report(seed, failure, &body);
            }
        }
    }

    fn attempt(
        &self,
        seed: u64,
        left_out: BTreeSet<usize>,
        body: &Rc<impl Fn() + 'static>,
    ) -> Result<(), Failure> {
        let body = Rc::clone(body);
        self.simulation(seed, left_out).run(move || body())
    }

    /// The simulation of a seed, with the tripwire set unless it is set otherwise.
    fn simulation(&self, seed: u64, left_out: BTreeSet<usize>) -> Sim {
        let sim = (self.configure)(seed);
        Sim { left_out, tripwire: sim.tripwire.or(Some(true)), ..sim }
    }

    #[track_caller]
    fn report(&self, seed: u64, failure: Failure, body: &Rc<impl Fn() + 'static>) -> ! {
        let quiet = Quiet::new();
        let left_out = self.shrink(seed, &failure, body);
        let lines = Rc::new(RefCell::new(String::new()));
        let sink = Rc::clone(&lines);
        let again = self
            .simulation(seed, left_out.clone())
            .trace(move |line| {
                let _ = writeln!(sink.borrow_mut(), "{line}"); // a string takes everything
            })
            .run({
                let body = Rc::clone(body);
                move || body()
            });
        drop(quiet);
        let mut text = format!("the simulation failed: {failure}\n");
        match again {
            Err(again) => {
                if !again.is_like(&failure) {
                    let line = format!("but run again it failed otherwise: {again}");
                    let _ = writeln!(text, "{line}\n{UNDETERMINED}");
                }
                discard(again);
            }
            Ok(()) => {
                let _ = writeln!(text, "but run again it succeeded\n{UNDETERMINED}");
            }
        }
        let planned = failure.planned;
        discard(failure); // before this unwinds: the destructor of a payload may panic
        if planned > 0 {
            let left = planned - left_out.len();
            let _ = writeln!(text, "{left} of the {planned} elements of its plans are needed");
        }
        let caller = thread::current();
        let name = caller.name().unwrap_or_default();
        let _ = writeln!(text, "to run it alone: SIM_SEED={seed} cargo test {name}");
        panic!("{text}--- trace ---\n{}--- end of the trace ---", lines.borrow())
    }

    /// Leaves out halves of the plans, then quarters, and so on down to single elements, as long as
    /// the run still fails in the same way.
    fn shrink(
        &self,
        seed: u64,
        failure: &Failure,
        body: &Rc<impl Fn() + 'static>,
    ) -> BTreeSet<usize> {
        let mut left_out = BTreeSet::new();
        let mut size = failure.planned.div_ceil(2);
        let mut attempts = 0;
        while size > 0 {
            let elements: Vec<usize> =
                (0..failure.planned).filter(|index| !left_out.contains(index)).collect();
            for some in elements.chunks(size) {
                let mut fewer = left_out.clone();
                fewer.extend(some);
                attempts += 1;
                if attempts > ATTEMPTS_MAX {
                    return left_out;
                }
                let attempt = self.attempt(seed, fewer.clone(), body);
                if let Err(other) = attempt {
                    if other.is_like(failure) {
                        left_out = fewer;
                    }
                    discard(other);
                }
            }
            size /= 2;
        }
        left_out
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("seeds", &self.seeds).finish_non_exhaustive()
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

/// While it lives, panics of this thread print nothing: each attempt to leave something out would
/// print the same panic again.
struct Quiet;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

impl Quiet {
    fn new() -> Self {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                if !IS_QUIET.get() {
                    before(info);
                }
            }));
        });
        IS_QUIET.set(true);
        Self
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        IS_QUIET.set(false);
    }
}

const UNDETERMINED: &str = "so the seed does not determine it: does it read the real clock, use \
                            threads, or the order of a `HashMap`?";

/// How often a failing run is tried with fewer elements.
const ATTEMPTS_MAX: u32 = 200;
