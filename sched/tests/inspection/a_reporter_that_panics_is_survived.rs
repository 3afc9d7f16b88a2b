//! A reporter is code of the user. If the reporter panics or waits, its shard goes on: the shard
//! still abandons a fiber that swallows its cancels, and reports the next stall.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::common::{swallow_for_ever, unless_it_hangs};
use straightline_sched::sync::{Flag, Mutex};
use straightline_sched::{self as sched, Config, Report, Reporter};

/// A reporter that panics at each report, and the number of reports.
fn panicking() -> (Reporter, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let reporter = Reporter::new({
        let count = Arc::clone(&count);
        move |report: &Report| {
            count.fetch_add(1, Ordering::SeqCst);
            // Does not call the panic hook, which would print the panic.
            std::panic::resume_unwind(Box::new(report.to_string()));
        }
    });
    (reporter, count)
}

#[test]
fn a_stubborn_fiber_is_abandoned_all_the_same() {
    let (reporter, count) = panicking();
    let abandoned = unless_it_hangs(move || {
        sched::run_with(Config::default().with_reporter(reporter), || {
            let stubborn = sched::spawn(|| swallow_for_ever());
            sched::yield_now();
            stubborn.cancel();
            assert!(stubborn.join().map(|()| "returned").unwrap_err().is_abandoned());
            sched::stats().abandoned
        })
        .unwrap()
    });
    assert_eq!((abandoned, count.load(Ordering::SeqCst)), (1, 1));
}

/// Each of these calls would wait for ever: it waits for a fiber of the shard, and the shard waits
/// for the reporter.
#[test]
fn a_reporter_does_not_wait() {
    let lock = Arc::new(Mutex::new(()));
    let in_reporter = Arc::clone(&lock);
    let tried = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tried);
    let waits: [Box<dyn Fn() + Send + Sync>; 5] = [
        Box::new(sched::park),
        Box::new(|| sched::sleep(Duration::MAX)),
        Box::new(move || assert!(in_reporter.lock().is_err())),
        Box::new(|| assert!(Flag::new().wait().is_err())),
        Box::new(|| sched::scope(|s| drop(s.spawn(|| ()).join()))),
    ];
    let reporter = Reporter::new(move |report| {
        if let Report::Abandoned(..) = report {
            for wait in &waits {
                count.fetch_add(1, Ordering::SeqCst);
                let _ = catch_unwind(AssertUnwindSafe(wait));
            }
        }
    });
    let abandoned = unless_it_hangs(move || {
        sched::run_with(Config::default().with_reporter(reporter), move || {
            let _held = lock.lock();
            for _ in 0..2 {
                let stubborn = sched::spawn(|| swallow_for_ever());
                sched::yield_now();
                stubborn.cancel();
                assert!(stubborn.join().map(|()| "returned").unwrap_err().is_abandoned());
            }
            sched::stats().abandoned
        })
        .unwrap()
    });
    assert_eq!((abandoned, tried.load(Ordering::SeqCst)), (2, 10));
}

#[test]
fn every_stall_is_found() {
    let (reporter, count) = panicking();
    let stall_limit = Some(Duration::from_millis(20));
    unless_it_hangs(move || {
        sched::run_with(
            Config::default().with_stall_limit(stall_limit).with_reporter(reporter),
            move || {
                for stall in 1..=2 {
                    while count.load(Ordering::SeqCst) < stall {
                        std::hint::spin_loop();
                    }
                    sched::yield_now();
                }
            },
        )
        .unwrap();
    });
}
