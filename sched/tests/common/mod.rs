//! What the tests share.

// Each test file is a program of its own, and none uses all of it.
#![allow(dead_code)]

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use straightline_sched::{self as sched, JoinError};

/// Runs `body` on a thread of its own, and gives up on it if it hangs.
pub(crate) fn unless_it_hangs<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    let runner = thread::spawn(move || tell.send(body()));
    match told.recv_timeout(HANGS_AFTER) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(RecvTimeoutError::Disconnected) => match runner.join() {
            Err(payload) => resume_unwind(payload),
            Ok(_) => unreachable!("it ended without a value"),
        },
    }
}

/// Runs `root` on a shard of its own, and gives up on it if it hangs.
pub(crate) fn on_a_shard<T: Send + 'static>(root: impl FnOnce() -> T + Send + 'static) -> T {
    unless_it_hangs(|| sched::run(root).expect("a shard can be made"))
}

/// Lets every fiber get as far as it can without the caller.
pub(crate) fn settle() {
    (0..TURNS).for_each(|_| sched::yield_now());
}

/// Counts the values that are there.
#[derive(Clone, Default)]
pub(crate) struct Census {
    alive: Arc<AtomicUsize>,
}

/// A value that is counted; it is dropped once, or the count is wrong.
pub(crate) struct Counted<T> {
    pub(crate) value: T,
    census: Census,
}

impl Census {
    pub(crate) fn count<T>(&self, value: T) -> Counted<T> {
        self.alive.fetch_add(1, Ordering::SeqCst);
        Counted { value, census: self.clone() }
    }

    pub(crate) fn alive(&self) -> usize {
        self.alive.load(Ordering::SeqCst)
    }
}

impl<T: Clone> Clone for Counted<T> {
    fn clone(&self) -> Self {
        self.census.count(self.value.clone())
    }
}

impl<T> Drop for Counted<T> {
    fn drop(&mut self) {
        self.census.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Runs `body` on a shard of its own. A body that hangs is cancelled, and fails.
pub(crate) fn run<T: 'static>(body: impl FnOnce() -> T + 'static) -> T {
    let result = sched::run(|| joined_unless_it_hangs(body)).expect("a shard can be made");
    result.unwrap_or_else(|error| match error.into_panic() {
        Ok(payload) => resume_unwind(payload),
        Err(error) => panic!("it hangs, or has unwound: {error}"),
    })
}

/// Joins a fiber that runs `body`, but cancels it first if it hangs.
pub(crate) fn joined_unless_it_hangs<T: 'static>(
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

/// Far longer than any of it takes.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Longer than any chain of wake-ups in these tests.
const TURNS: usize = 8;
