//! How much of their stacks fibers use, by the place where they were spawned.
//!
//! A trial run that measures this shows which stack sizes are right: see
//! [`stack_usage`](crate::stack_usage).

use std::collections::HashMap;
use std::panic::Location;

/// How much of their stacks the fibers that were spawned at one place used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackUsage {
    /// The call of [`spawn`](crate::spawn), or another call that began the fiber.
    pub spawned_at: &'static Location<'static>,
    /// The size of their stacks in bytes; the greatest, if they had several.
    pub stack_bytes: usize,
    /// The greatest use of one of them, in bytes, a multiple of the page.
    pub max_used_bytes: usize,
    /// How many were measured. For a fiber that runs in activations each activation counts.
    pub fibers: u64,
}

/// A shard's measurements.
#[derive(Default)]
pub(crate) struct StackUsages {
    uses: HashMap<&'static Location<'static>, StackUsage>,
}

impl StackUsages {
    pub(crate) fn record(
        &mut self,
        spawned_at: &'static Location<'static>,
        stack_bytes: usize,
        used_bytes: usize,
    ) {
        let nothing = StackUsage { spawned_at, stack_bytes: 0, max_used_bytes: 0, fibers: 0 };
        let entry = self.uses.entry(spawned_at).or_insert(nothing);
        entry.stack_bytes = entry.stack_bytes.max(stack_bytes);
        entry.max_used_bytes = entry.max_used_bytes.max(used_bytes);
        entry.fibers += 1;
    }

    /// The greatest use first; equal ones in the order of their places.
    pub(crate) fn sorted(&self) -> Vec<StackUsage> {
        let mut uses: Vec<_> = self.uses.values().cloned().collect();
        uses.sort_unstable_by(|a, b| {
            b.max_used_bytes.cmp(&a.max_used_bytes).then(a.spawned_at.cmp(b.spawned_at))
        });
        uses
    }
}
