//! The fibers of a server as text, for an operator.

use std::fmt::Write;
use std::io;

use straightline_sched::FiberInfo;

/// A heading for each shard, and a line for each of its fibers, with its backtrace below it.
pub(crate) fn listing(shards: &[(usize, io::Result<Vec<FiberInfo>>)]) -> String {
    let mut text = String::new();
    for (index, fibers) in shards {
        // Writing to a string cannot fail.
        let _ = match fibers {
            Ok(fibers) => {
                let _ = writeln!(text, "== shard {index}: {} fibers", fibers.len());
                fibers.iter().try_for_each(|fiber| writeln!(text, "{fiber}"))
            }
            Err(error) => writeln!(text, "== shard {index}: {error}"),
        };
    }
    text
}

/// How many backtraces of a shard a listing has. Each takes 15 µs of the shard's time.
pub(crate) const BACKTRACES_MAX: usize = 64;
