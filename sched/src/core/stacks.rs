//! The shard's dealings with its pool of stacks, and the question what fibers use of them.

use std::io;
use std::time::Duration;

use super::shard::Shard;
use crate::fiber::FiberCell;
use crate::fiber::stack::FiberStack;

impl Shard {
    /// A stack of that size, of the shard's own where `None`.
    pub(super) fn take_stack(&self, stack_bytes: Option<usize>) -> io::Result<FiberStack> {
        let mut stacks = self.stacks.borrow_mut();
        let taken = match stack_bytes {
            None => stacks.take_default(),
            Some(stack_bytes) => stacks.take(stack_bytes),
        };
        taken.inspect_err(|_| self.counters.stacks_refused.add(1))
    }

    /// Makes sure that the next stack of the shard's own size is not refused.
    pub(super) fn reserve_stack(&self) -> io::Result<()> {
        let mut stacks = self.stacks.borrow_mut();
        let stack_bytes = stacks.default_bytes();
        stacks.reserve(stack_bytes).inspect_err(|_| self.counters.stacks_refused.add(1))
    }

    /// Takes the stack of a fiber, or of an episode, that has ended.
    pub(super) fn give_stack(&self, stack: FiberStack, fiber: &FiberCell) {
        let stack_bytes = stack.bytes();
        if let Some(used_bytes) = self.stacks.borrow_mut().give(stack) {
            self.census.borrow_mut().record(fiber.birth.spawned_at, stack_bytes, used_bytes);
        }
    }

    pub(super) fn publish_stacks(&self) {
        let gauges = self.stacks.borrow().gauges();
        self.counters.stacks_now.set(gauges.in_use as u64);
        self.counters.stacks_hot.set(gauges.hot as u64);
        self.counters.stacks_cold.set(gauges.cold as u64);
        self.counters.stack_mapped_bytes.set(gauges.mapped_bytes as u64);
    }

    /// Gives back memory of stacks that are not used, often if the shard is about to wait, else now
    /// and then; returns how long it may then wait, which is less while there is more to give back.
    /// The monitor has it begin, so that a turn without a reason asks no more than whether it has.
    #[cold]
    pub(super) fn trim_stacks(&self, timeout: Option<Duration>) -> Option<Duration> {
        let mut stacks = self.stacks.borrow_mut();
        let (now, busy) = (self.tick.get(), timeout == Some(Duration::ZERO));
        if now >= self.trim_at.get() {
            let interval = if busy { TRIM_INTERVAL_BUSY } else { TRIM_INTERVAL };
            self.trim_at.set(now.saturating_add(interval));
            stacks.trim();
            // While the shard works there is always something: the monitor asks again later.
            let beats = self.pulse.beats();
            let is_quiet = beats - self.trimmed_at.replace(beats) < BEATS_MAX_QUIET;
            self.trimming.set(stacks.wants_trim() && is_quiet);
        }
        if busy || !self.trimming.get() {
            return timeout;
        }
        let left = self.trim_at.get().saturating_since(now);
        Some(timeout.map_or(left, |timeout| timeout.min(left)))
    }
}

/// How often stacks are trimmed at most. Arbitrary: a trim takes up to a millisecond, and a spike's
/// memory comes back within a second or two.
const TRIM_INTERVAL: Duration = Duration::from_millis(100);

/// The same for a shard without a pause: a thousandth of its time.
const TRIM_INTERVAL_BUSY: Duration = Duration::from_secs(1);

/// As few between two trims are a quiet shard's. Arbitrary: some hundred fibers' turns.
const BEATS_MAX_QUIET: u64 = 1_000;
