//! The end of the process by its own decision, behind a last line on standard error.

use std::process;
use std::time::Duration;

use straightline_sched::stderr;

use super::events::Event;
use super::plain::Plain;

/// Prints the event, and aborts the process.
pub(crate) fn abort(event: &Event<'_>) -> ! {
    // A logger may write on a thread of its own, which would not run any more.
    stderr().put_through(format!("straightline: aborting: {}\n", Plain(event)), LAST_LINE_TIME);
    process::abort();
}

/// How long the write of the last line before an abort may take. Arbitrary: it may have to wait
/// behind backtraces.
const LAST_LINE_TIME: Duration = Duration::from_millis(500);
