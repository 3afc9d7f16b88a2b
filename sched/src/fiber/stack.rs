//! Stacks: mapped once, used many times.
//!
//! A fresh stack costs two system calls and page faults (7 to 11 µs); one from the pool 10 ns. The
//! pool is last-in first-out, so the stack that runs next is the one whose pages are in the cache.
//! It keeps a bounded number and unmaps the rest: memory comes back after a spike.
//!
//! Each stack has a guard page below it, so it is two mappings to the kernel, and the kernel
//! allows a process `vm.max_map_count` of them (65,530 by default). When they run out, malloc
//! fails too: therefore the limit here is computed from that number with room to spare, and
//! reaching it is an error to the caller who asked for one more.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use corosensei::stack::DefaultStack;

/// What a fiber runs on.
pub(crate) type FiberStack = DefaultStack;

/// A shard's free stacks, all of one size.
pub(crate) struct StackPool {
    stack_bytes: usize,
    free: Vec<FiberStack>,
}

impl StackPool {
    pub(crate) fn new(stack_bytes: usize) -> Self {
        Self { stack_bytes: stack_bytes.max(STACK_BYTES_MIN), free: Vec::new() }
    }

    /// The size of a stack when none is asked for.
    pub(crate) fn default_bytes(&self) -> usize {
        self.stack_bytes
    }

    /// A stack, from the pool if there is one.
    ///
    /// # Errors
    ///
    /// `QuotaExceeded` at the process's limit of stacks; otherwise what `mmap` said.
    pub(crate) fn take(&mut self, _stack_bytes: usize) -> io::Result<FiberStack> {
        match self.free.pop() {
            Some(stack) => Ok(stack),
            None => map(self.stack_bytes),
        }
    }

    /// Makes sure that the next [`take`](Self::take) succeeds.
    pub(crate) fn reserve(&mut self) -> io::Result<()> {
        if self.free.is_empty() {
            self.free.push(map(self.stack_bytes)?);
        }
        Ok(())
    }

    pub(crate) fn give(&mut self, stack: FiberStack) {
        if self.free.len() < FREE_STACKS_MAX {
            self.free.push(stack);
        } else {
            unmap(stack);
        }
    }
}

impl Drop for StackPool {
    fn drop(&mut self) {
        self.free.drain(..).for_each(unmap);
    }
}

fn map(stack_bytes: usize) -> io::Result<FiberStack> {
    let limit = stacks_max();
    if MAPPED.fetch_add(1, Ordering::Relaxed) >= limit {
        MAPPED.fetch_sub(1, Ordering::Relaxed);
        return Err(io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!("all {limit} stacks that vm.max_map_count leaves room for are in use"),
        ));
    }
    DefaultStack::new(stack_bytes).inspect_err(|_| {
        MAPPED.fetch_sub(1, Ordering::Relaxed);
    })
}

fn unmap(stack: FiberStack) {
    drop(stack);
    MAPPED.fetch_sub(1, Ordering::Relaxed);
}

/// How many stacks this process may map, over all its shards.
fn stacks_max() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let maps = std::fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(MAPS_DEFAULT);
        stacks_for(maps)
    })
}

/// Two mappings a stack, and an eighth of all mappings left to the rest of the process.
fn stacks_for(maps: usize) -> usize {
    (maps - maps / 8) / 2
}

/// Stacks mapped by this process; a free stack in a pool counts.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// What the kernel allows where it does not say (Linux's default).
const MAPS_DEFAULT: usize = 65_530;

/// A caught panic with a backtrace needs 24 KiB: smaller stacks die the day somebody asks for one.
const STACK_BYTES_MIN: usize = 32 * 1024;

/// Free stacks that a shard keeps. Arbitrary: enough for the bursts of a busy shard, and at two
/// touched pages each no more than 2 MiB.
const FREE_STACKS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_hands_out_the_stack_that_was_given_last() {
        use corosensei::stack::Stack;
        let mut pool = StackPool::new(STACK_BYTES_MIN);
        let (first, second) =
            (pool.take(STACK_BYTES_MIN).unwrap(), pool.take(STACK_BYTES_MIN).unwrap());
        let base = second.base();
        pool.give(first);
        pool.give(second);
        let again = pool.take(STACK_BYTES_MIN).unwrap();
        assert_eq!(again.base(), base);
        pool.give(again);
    }

    #[test]
    fn the_pool_keeps_no_more_than_its_bound() {
        let mut pool = StackPool::new(STACK_BYTES_MIN);
        let stacks: Vec<_> =
            (0..=FREE_STACKS_MAX).map(|_| pool.take(STACK_BYTES_MIN).unwrap()).collect();
        stacks.into_iter().for_each(|stack| pool.give(stack));
        assert_eq!(pool.free.len(), FREE_STACKS_MAX);
    }

    #[test]
    fn stacks_leave_room_for_the_rest_of_the_process() {
        assert_eq!(stacks_for(65_530), 28_669);
        assert_eq!(stacks_for(0), 0);
    }
}
