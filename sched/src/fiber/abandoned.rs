//! Why a fiber was abandoned: a word that the switch, the scheduler and the reports share.

use std::fmt;

/// Why a fiber was abandoned: it never runs again, and its frames stay where they are for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abandoned {
    /// It went on after it had been cancelled, or past its deadline, although its calls raised or
    /// failed.
    Swallows,
    /// It was in an [`uncancellable`](crate::uncancellable) section ten seconds after the end of
    /// its shard.
    Uncancellable,
    /// A fiber of one of its scopes was abandoned, and a scope does not end before its fibers.
    WithChild,
}

impl fmt::Display for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Swallows => {
                "it went on after it had been cancelled; pass on what `catch_unwind` returns when \
                 `is_cancel` says so"
            }
            Self::Uncancellable => {
                "it was in an `uncancellable` section for too long after the end of its shard"
            }
            Self::WithChild => "a fiber of one of its scopes was, and a scope waits for its fibers",
        })
    }
}
