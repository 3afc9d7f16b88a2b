//! What the flags of several commands share.

use clap::ValueEnum;

/// Each of `named` once, or all if none is.
pub(crate) fn chosen<T: ValueEnum + PartialEq>(named: Vec<T>) -> Vec<T> {
    if named.is_empty() {
        return T::value_variants().to_vec();
    }
    let mut once = Vec::with_capacity(named.len());
    for item in named {
        if !once.contains(&item) {
            once.push(item);
        }
    }
    once
}

/// Arbitrary, like the bound on the seconds: together they bound a run to some days.
pub(crate) const ROUNDS_MAX: i64 = 100;

/// Arbitrary: most systems grant so many descriptors.
pub(crate) const CONNECTIONS_MAX: i64 = 10_000;
