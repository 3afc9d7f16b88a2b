//! Calls of the user's code from places where it must not unwind: destructors and wakers that the
//! scheduler, a thread of a pool, or the end of a fiber has to call.
//!
//! No caller could handle a panic there. The panic hook has reported it, the shard counts it, and
//! it goes no further. Its payload has a destructor as well, which may panic too, and so on: after
//! a few of those the last payload is leaked.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::counters;
use crate::fiber::unwind;

/// Calls `act`. A panic or cancel that it raises goes no further.
pub(crate) fn contain(act: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(act)) {
        // A cancel or a deadline comes again at the fiber's next yield point.
        if unwind::reason(&*payload).is_none() {
            counters::of_thread(|counters| counters.panics_contained.add(1));
        }
        discard_payload(payload);
    }
}

/// Drops a value of the user. A panic or cancel that its destructor raises goes no further.
///
/// The caller must take a container of such values apart before: if a second destructor panics
/// while the panic of the first unwinds through the container, the process aborts.
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

/// How many payloads are dropped if the destructor of each panics with the next. Arbitrary: honest
/// code has none.
const PAYLOADS_MAX: u32 = 8;
