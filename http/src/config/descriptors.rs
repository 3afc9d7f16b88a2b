//! How many descriptors the process may open, and how many connections that allows.
//!
//! Many systems start a process with a soft limit of 1,024, made for programs that wait with
//! `select`, and with a hard limit of a hundred times as much or more. A program may raise its soft
//! limit to the hard limit by itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use straightline_sched::sim;

/// The limit, and whether it was raised.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Descriptors {
    /// How many descriptors the process may open; `None` for any number.
    pub(crate) limit: Option<u64>,
    /// The limit before it was raised.
    pub(crate) raised_from: Option<u64>,
}

/// Raises the soft limit as far as possible, if `raise` says so.
pub(crate) fn raise_limit(raise: bool) -> Descriptors {
    let limits = getrlimit(Resource::Nofile);
    let before = Descriptors { limit: limits.current, raised_from: None };
    let wanted = attainable(limits);
    if !raise || sim::is_simulated() || wanted == limits.current {
        return before;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: limits.maximum }) {
        Ok(()) => Descriptors { limit: wanted, raised_from: limits.current },
        // Some systems report no hard limit although they have one.
        Err(_) => before,
    }
}

/// How many connections a server accepts: three quarters of its descriptors, so that handlers have
/// some for files and for connections of their own.
pub(crate) fn connections_for(limit: Option<u64>) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX) / 4 * 3
}

/// How many descriptors the process may open once it has raised its limit.
pub(crate) fn attainable_limit() -> Option<u64> {
    attainable(getrlimit(Resource::Nofile))
}

/// The hard limit, but not more than is useful, and not less than the soft limit.
fn attainable(limits: Rlimit) -> Option<u64> {
    let current = limits.current?;
    Some(limits.maximum.unwrap_or(u64::MAX).min(RAISED_MAX).max(current))
}

/// The kernel's own default bound (`fs.nr_open`). A limit beyond it bounds nothing.
const RAISED_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_to_the_hard_one_within_reason() {
        let limits = |current, maximum| attainable(Rlimit { current, maximum });
        assert_eq!(limits(Some(1_024), Some(4_096)), Some(4_096));
        assert_eq!(limits(Some(1_024), Some(1 << 30)), Some(1 << 20));
        assert_eq!(limits(Some(1_024), None), Some(1 << 20));
        assert_eq!(limits(Some(1 << 25), Some(1 << 30)), Some(1 << 25));
        assert_eq!(limits(None, None), None);
        assert_eq!(
            (connections_for(Some(4_096)), connections_for(None)),
            (3_072, usize::MAX / 4 * 3)
        );
    }
}
