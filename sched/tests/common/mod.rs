//! What the tests of the synchronisation types share.

// Each test file is a program of its own, and none uses all of it.
#![allow(dead_code)]

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use straightline_sched as sched;

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

/// Far longer than any of it takes.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Longer than any chain of wake-ups in these tests.
const TURNS: usize = 8;
