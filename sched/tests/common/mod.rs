//! What several tests need: a run that ends even if it hangs, and a closure as a destructor.

#![allow(dead_code)] // each test is a crate of its own and uses some of it

use std::panic::resume_unwind;
use std::time::Duration;

use straightline_sched::{self as sched, JoinError};

/// Runs `body` on a shard of its own. A body that hangs is cancelled, and fails.
pub(crate) fn run<T: 'static>(body: impl FnOnce() -> T + 'static) -> T {
    let result = sched::run(|| unless_it_hangs(body)).expect("a shard can be made");
    result.unwrap_or_else(|error| match error.into_panic() {
        Ok(payload) => resume_unwind(payload),
        Err(error) => panic!("it hangs, or has unwound: {error}"),
    })
}

/// Joins a fiber that runs `body`, but cancels it first if it hangs.
pub(crate) fn unless_it_hangs<T: 'static>(
    body: impl FnOnce() -> T + 'static,
) -> Result<T, JoinError> {
    let me = sched::current();
    let fiber = sched::spawn(move || {
        let _ended = OnDrop(|| me.unpark());
        body()
    });
    sched::park_timeout(HANGS_AFTER);
    fiber.cancel();
    fiber.join()
}

/// Calls something when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Lets every other fiber run that many times.
pub(crate) fn turns(count: u32) {
    (0..count).for_each(|_| sched::yield_now());
}

/// Far longer than any test takes that does not hang, on a busy machine too.
const HANGS_AFTER: Duration = Duration::from_secs(60);
