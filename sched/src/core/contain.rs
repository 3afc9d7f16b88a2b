//! Code of the user's that runs where nothing of the user's may unwind: destructors and wakers that
//! the scheduler, a pool's thread or the end of a fiber has to call.
//!
//! A panic there has nobody to go to. The panic hook has told of it, the shard counts it, and it
//! goes no further. Its payload has a destructor as well, which may panic too, and so on: after a
//! few of those the last payload is leaked.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::counters;
use crate::fiber::unwind;

/// Calls `act`. What it unwinds with goes no further.
pub(crate) fn contain(act: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(act)) {
        // A cancel or a deadline comes again at the fiber's next yield point.
        if unwind::reason(&*payload).is_none() {
            counters::of_thread(|counters| counters.panics_contained.add(1));
        }
        discard_payload(payload);
    }
}

/// Drops a value of the user's. What its destructor unwinds with goes no further.
///
/// A container whose elements are the user's values is to be taken apart before: a second
/// destructor that panics, while the first one's panic unwinds through the container, aborts.
pub(crate) fn discard<T>(value: T) {
    contain(move || drop(value));
}

#[cold]
fn discard_payload(payload: unwind::Payload) {
    let mut dropped = Err(payload);
    for _ in 0..PAYLOADS_MAX {
        let Err(payload) = dropped else { return };
        dropped = catch_unwind(AssertUnwindSafe(move || drop(payload)));
    }
    mem::forget(dropped);
}

/// How many payloads are dropped of which each one's destructor panics with the next. Arbitrary:
/// honest code has none.
const PAYLOADS_MAX: u32 = 8;
