//! Systems where a stuck thread cannot be sampled: the stall is reported without a backtrace.

use std::io;
use std::time::Duration;

use super::found::Describe;
use super::stall::{Activity, Sample, StallCause};

pub(super) fn this_thread() -> i32 {
    0
}

pub(super) fn threads() -> Option<Vec<i32>> {
    None
}

pub(super) fn is_main_thread() -> bool {
    false
}

pub(super) fn activity(_thread: i32) -> Activity {
    Activity { cause: StallCause::Unknown, user_ticks: None, is_restarted: false }
}

pub(super) fn set_describe(_describe: Describe) {}

#[allow(clippy::unnecessary_wraps)] // as the other systems'
pub(super) fn sample(_thread: i32, _timeout: Duration) -> io::Result<Option<Sample>> {
    Ok(None)
}
