//! The names of routes, kept for the life of the process.
//!
//! Routers make these names from the patterns of a program, so their number is bounded by the
//! program's source: a router that each shard makes for itself gets the same names again.

use std::collections::BTreeSet;

use parking_lot::Mutex;

/// The one copy of a name.
pub(crate) fn kept_name(name: &str) -> &'static str {
    let mut names = NAMES.lock();
    if let Some(kept) = names.get(name) {
        return kept;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    kept
}

static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once() {
        let (first, second) = (kept_name("/kept/{once}"), kept_name(&"/kept/{once}".to_owned()));
        assert!(std::ptr::eq(first, second));
    }
}
