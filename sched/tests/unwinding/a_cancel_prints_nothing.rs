//! The panic hook is not called for a cancel or for the end of a deadline: neither prints anything.
//!
//! The panic hook belongs to the process, so the test has a process to itself.

use std::panic;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::common::{on_a_shard, own_process::in_a_process, swallow_for_ever};
use straightline_sched as sched;

#[test]
fn the_panic_hook_is_called_for_panics_alone() {
    in_a_process(|| {
        static HOOK_CALLS: AtomicU32 = AtomicU32::new(0);
        panic::set_hook(Box::new(|_| {
            HOOK_CALLS.fetch_add(1, Ordering::Relaxed);
        }));

        on_a_shard(|| {
            let cancelled = sched::spawn(|| sched::sleep(Duration::MAX));
            let abandoned = sched::spawn(|| swallow_for_ever());
            sched::yield_now();
            cancelled.cancel();
            abandoned.cancel();
            assert!(cancelled.join().unwrap_err().is_cancelled());
            assert!(abandoned.join().map(|()| "returned").unwrap_err().is_abandoned());
            let late = sched::deadline(Duration::ZERO, || {
                sched::scope(|s| {
                    (0..3).for_each(|_| drop(s.spawn(sched::park)));
                    sched::sleep(Duration::MAX);
                });
            });
            assert!(late.is_err());
            // The end of the shard cancels the remaining fibers.
            (0..10).for_each(|_| drop(sched::spawn(sched::park)));
            drop(sched::spawn(|| sched::sleep(Duration::MAX)));
            sched::yield_now();
        });
        assert_eq!(HOOK_CALLS.load(Ordering::Relaxed), 0);

        sched::run(|| {
            let panicked = sched::spawn(|| panic!("broken"));
            assert!(panicked.join().unwrap_err().is_panic());
        });
        assert_eq!(HOOK_CALLS.load(Ordering::Relaxed), 1);
    });
}
