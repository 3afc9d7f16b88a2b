//! What a shard counts: written by its own thread alone, readable from every other.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::watch::Pulse;

/// A number that one thread adds to: a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// By the shard's thread only.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// By the shard's thread only.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Defines the counters once: as the shard writes them and as a reader gets them.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Count,)*
        }

        /// What a shard has done and what it holds, at one moment.
        ///
        /// They count from the shard's start; those that say so are gauges. The numbers are read
        /// one after the other, so they may be a moment apart.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Counters {
            fn read(&self) -> Stats {
                Stats { $($name: self.$name.read(),)* }
            }
        }

        impl Stats {
            /// The numbers with their names, for whatever collects metrics.
            ///
            /// ```
            /// use straightline_sched as sched;
            ///
            /// sched::run(|| {
            ///     for (name, value) in sched::stats().iter() {
            ///         println!("straightline_sched_{name} {value}");
            ///     }
            /// })?;
            /// # std::io::Result::Ok(())
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Fibers started.
    spawned,
    /// Fibers that ended, in whatever way.
    ended,
    /// Fibers that were given up, see [`GivenUp`](crate::GivenUp); their stacks are lost.
    given_up,
    /// Refusals for want of a stack, fibers that wait for one included.
    stacks_refused,
    /// Calls of `deadline` that returned `DeadlineExceeded`.
    deadlines_exceeded,
    /// Writes that unwound before they had written anything, or that a fiber which unwinds was
    /// refused because they would have waited. A buffer in front of them (`BufWriter`) may be lost
    /// by each, and says nothing.
    writes_unwound,
    /// Turns of the scheduler that looked outside.
    turns,
    /// Gauge: how long the longest of them took, its waiting excluded, in nanoseconds.
    longest_turn_nanos,
    /// Messages from other threads.
    messages,
    /// Times that a fiber was given the thread.
    resumed,
    /// Gauge: fibers alive.
    fibers_now,
    /// Gauge: fibers in the run queue when the shard last looked outside.
    ready_now,
    /// Gauge: alarms set.
    alarms_now,
    /// Gauge: descriptors that are watched.
    sources_now,
    /// Fibers that kept their thread for longer than [`Config::stall_limit`](crate::Config).
    stalls,
    /// Places where a fiber waited inside of a closure that ties state to its thread, as far as
    /// [`Config::tripwire`](crate::Config) looked.
    thread_bound_waits,
    /// Panics of destructors and wakers that nobody was there to get; the panic hook told of each.
    panics_contained,
    /// Gauge: stacks in use. This one and the three after it are as of the last question on the
    /// shard itself, or of its last quiet moment.
    stacks_now,
    /// Gauge: free stacks that have kept some of their pages.
    stacks_hot,
    /// Gauge: free stacks without memory.
    stacks_cold,
    /// Gauge: bytes of address space that all of these lie in.
    stack_mapped_bytes,
}

impl Counters {
    /// The numbers, with those that follow from others.
    pub(crate) fn stats(&self, pulse: &Pulse) -> Stats {
        let stats = self.read();
        let fibers_now = stats.spawned.saturating_sub(stats.ended);
        let (turns, resumed, stalls) = (pulse.turns(), pulse.resumes(), pulse.stalls());
        Stats { turns, resumed, fibers_now, stalls, ..stats }
    }
}

thread_local! {
    /// Those of the thread's shard, for what has no shard at hand; see `local`.
    static OF_THREAD: RefCell<Option<Arc<Counters>>> = const { RefCell::new(None) };
}

/// From now on the thread's shard is the one that counts there; none, if `None`.
pub(super) fn set_of_thread(counters: Option<Arc<Counters>>) {
    // At the thread's end there is nothing to count any more.
    let _ = OF_THREAD.try_with(|of_thread| of_thread.replace(counters));
}

/// Calls `count` with the counters of the thread's shard, if it has one.
pub(super) fn of_thread(count: impl FnOnce(&Counters)) {
    let _ = OF_THREAD.try_with(|of_thread| of_thread.borrow().as_deref().map(count));
}

/// Counts one of [`Stats::writes_unwound`], for types that write to what a
/// [`Source`](crate::Source) waits for. Outside of [`run`](crate::run) nothing is counted.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     sched::note_unwound_write();
///     assert_eq!(sched::stats().writes_unwound, 1);
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn note_unwound_write() {
    of_thread(|counters| counters.writes_unwound.add(1));
}
