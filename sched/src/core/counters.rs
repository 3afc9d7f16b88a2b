//! A shard's counters: only its own thread writes them, and every thread may read them.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::watchdog::Pulse;

/// A number that one thread adds to: a plain load and store, no locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    /// Called by the shard's thread only.
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Called by the shard's thread only.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a number of [`Stats`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StatKind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// Defines the counters once, in the form that the shard writes and in the form that a reader gets.
macro_rules! counters {
    ($($(#[$doc:meta])* $kind:ident $name:ident,)*) => {
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Count,)*
        }

        /// The counters of a shard at one moment.
        ///
        /// They count from the shard's start, or are gauges; [`iter`](Self::iter) says which. The
        /// numbers are read one after the other, so they may be a moment apart.
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
            /// The numbers with their names and kinds, for a collector of metrics.
            ///
            /// ```
            /// use straightline_sched as sched;
            ///
            /// sched::run(|| {
            ///     for (name, _kind, value) in sched::stats().iter() {
            ///         println!("straightline_sched_{name} {value}");
            ///     }
            /// });
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, StatKind, u64)> {
                [$((stringify!($name), StatKind::$kind, self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Fibers started.
    Counter spawned,
    /// Fibers that ended, in whatever way.
    Counter ended,
    /// Fibers that were abandoned, see [`Abandoned`](crate::Abandoned); their stacks are lost.
    Counter abandoned,
    /// Refusals because there was no stack, including fibers that wait for one.
    Counter stacks_refused,
    /// Calls of `deadline` that returned `DeadlineExceeded`.
    Counter deadlines_exceeded,
    /// Writes that unwound before they had written anything, or that would have waited in a fiber
    /// that unwinds, and so failed. If a buffer (`BufWriter`) made the write, its content
    /// may be lost without an error.
    Counter writes_unwound,
    /// Turns of the scheduler in which it polled the driver.
    Counter turns,
    /// The duration of the longest turn, without its wait, in nanoseconds.
    Gauge longest_turn_nanos,
    /// Messages from other threads.
    Counter messages,
    /// How often a fiber was given the thread.
    Counter resumed,
    /// Fibers alive.
    Gauge fibers,
    /// Fibers in the run queue when the shard last polled the driver.
    Gauge ready,
    /// Timers set.
    Gauge timers,
    /// Descriptors that are watched.
    Gauge sources,
    /// Fibers that kept their thread for longer than [`Config::stall_limit`](crate::Config).
    Counter stalls,
    /// Places where a fiber waited inside of a closure that ties state to its thread, as far as
    /// [`Config::tripwire`](crate::Config) looked.
    Counter thread_bound_waits,
    /// Panics of destructors and wakers that no caller could handle; the panic hook reported each.
    Counter panics_contained,
    /// Stacks in use. This one and the three after it are as of the last query on the shard
    /// itself, or of its last quiet moment.
    Gauge stacks,
    /// Free stacks that have kept some of their pages.
    Gauge stacks_hot,
    /// Free stacks without memory.
    Gauge stacks_cold,
    /// Bytes of address space of all these stacks.
    Gauge stack_mapped_bytes,
}

impl Counters {
    /// The numbers, including those that are computed from others.
    pub(crate) fn stats(&self, pulse: &Pulse) -> Stats {
        let stats = self.read();
        let fibers = stats.spawned.saturating_sub(stats.ended);
        let (turns, resumed, stalls) = (pulse.turns(), pulse.resumes(), pulse.stalls());
        Stats { turns, resumed, fibers, stalls, ..stats }
    }
}

thread_local! {
    /// The counters of the thread's shard, for code that has no shard at hand; see `local`.
    static OF_THREAD: RefCell<Option<Arc<Counters>>> = const { RefCell::new(None) };
}

/// Sets which shard counts on this thread from now on; `None` for none.
pub(super) fn set_of_thread(counters: Option<Arc<Counters>>) {
    // At the thread's end nothing is counted any more.
    let _ = OF_THREAD.try_with(|of_thread| of_thread.replace(counters));
}

/// Calls `count` with the counters of the thread's shard, if it has one.
pub(super) fn of_thread(count: impl FnOnce(&Counters)) {
    let _ = OF_THREAD.try_with(|of_thread| of_thread.borrow().as_deref().map(count));
}

/// Counts one of [`Stats::writes_unwound`], for types that write to the descriptor of a
/// [`Source`](crate::Source). Outside of [`run`](crate::run) nothing is counted.
///
/// Not a yield point.
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     sched::note_unwound_write();
///     assert_eq!(sched::stats().writes_unwound, 1);
/// });
/// ```
pub fn note_unwound_write() {
    of_thread(|counters| counters.writes_unwound.add(1));
}
