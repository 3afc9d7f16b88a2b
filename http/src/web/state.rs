//! Values of handlers without globals: shared ones, and one for each shard.

use std::fmt;

/// A value for each shard.
pub struct PerShard<T>(std::marker::PhantomData<fn() -> T>);

impl<T> fmt::Debug for PerShard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerShard").finish_non_exhaustive()
    }
}
