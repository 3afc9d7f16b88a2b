//! How much of their stacks fibers use, by the place where they were spawned.
//!
//! A trial run with a census shows which stack sizes are right: see
//! [`stack_census`](crate::stack_census).

use std::collections::HashMap;
use std::panic::Location;

/// How much of their stacks the fibers that were spawned at one place used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StackUse {
    /// The call of [`spawn`](crate::spawn), or another call that began the fiber.
    pub spawned_at: &'static Location<'static>,
    /// The size of their stacks in bytes; the greatest, if they had several.
    pub stack_bytes: usize,
    /// The greatest use of one of them, in bytes, a multiple of the page.
    pub used_bytes_max: usize,
    /// How many were measured. For a fiber that runs in episodes each episode counts.
    pub fibers: u64,
}

/// A shard's measurements.
#[derive(Default)]
pub(crate) struct Census {
    uses: HashMap<&'static Location<'static>, StackUse>,
}

impl Census {
    pub(crate) fn record(
        &mut self,
        spawned_at: &'static Location<'static>,
        stack_bytes: usize,
        used_bytes: usize,
    ) {
        let nothing = StackUse { spawned_at, stack_bytes: 0, used_bytes_max: 0, fibers: 0 };
        let entry = self.uses.entry(spawned_at).or_insert(nothing);
        entry.stack_bytes = entry.stack_bytes.max(stack_bytes);
        entry.used_bytes_max = entry.used_bytes_max.max(used_bytes);
        entry.fibers += 1;
    }

    /// The greatest use first; equal ones in the order of their places.
    pub(crate) fn sorted(&self) -> Vec<StackUse> {
        let mut uses: Vec<_> = self.uses.values().cloned().collect();
        uses.sort_unstable_by(|a, b| {
            b.used_bytes_max.cmp(&a.used_bytes_max).then(a.spawned_at.cmp(b.spawned_at))
        });
        uses
    }
}
