//! The shard of the running thread.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;

use super::counters;
use super::shard::Shard;

thread_local! {
    static CURRENT: Cell<*const Shard> = const { Cell::new(ptr::null()) };
}

/// Makes `shard` the thread's shard until the guard is dropped.
///
/// # Panics
///
/// If the thread has one already.
pub(crate) fn enter(shard: &Shard) -> Entered<'_> {
    CURRENT.with(|current| {
        assert!(current.get().is_null(), "straightline: `run` called inside `run`");
        current.set(ptr::from_ref(shard));
    });
    counters::set_of_thread(Some(Arc::clone(&shard.counters)));
    Entered { _shard: shard }
}

/// Whether the thread has a shard.
pub(crate) fn is_on_a_shard() -> bool {
    current().is_some()
}

/// The number of the thread's shard, unique in the process.
///
/// # Panics
///
/// If the thread has none.
pub(crate) fn shard_id() -> u64 {
    with(|shard| shard.id)
}

/// As [`shard_id`], on any thread.
pub(crate) fn try_shard_id() -> Option<u64> {
    current().map(|shard| shard.id)
}

/// Calls `body` with the thread's shard.
///
/// # Panics
///
/// If the thread has none: a blocking call of this crate was made outside `run`.
#[inline]
#[track_caller]
pub(crate) fn with<R>(body: impl FnOnce(&Shard) -> R) -> R {
    match current() {
        Some(shard) => body(shard),
        None => panic!(
            "straightline: a call outside of a fiber; make it inside of `sched::run` or of a \
             request handler"
        ),
    }
}

/// As [`with`], for code that also runs outside of shards.
#[inline]
pub(super) fn try_with<R>(body: impl FnOnce(&Shard) -> R) -> Option<R> {
    current().map(body)
}

/// The reference does not live as long as its type says. Only this file may use it: `with` lends it
/// to its closure.
#[inline]
fn current() -> Option<&'static Shard> {
    let shard = CURRENT.get();
    // SAFETY: the pointer is null or was set by `enter` from a reference whose guard has not been
    // dropped yet, because dropping it sets null. The shard does not move while it is borrowed by
    // the guard, and thread-locals are seen by their own thread alone. A fiber that holds the
    // reference while it is parked ends (or is abandoned for good) before the guard is dropped.
    unsafe { shard.as_ref() }
}

pub(crate) struct Entered<'s> {
    _shard: &'s Shard,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.set(ptr::null());
        counters::set_of_thread(None);
    }
}
