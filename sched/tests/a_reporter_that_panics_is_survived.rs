//! A reporter is other people's code. If it panics, what it was told of goes on as ever: a fiber
//! that swallows its cancels is given up, and the next stall is found.

use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use straightline_sched::{self as sched, Config, Report, Reporter};

/// Panics at each report, and counts them.
fn panicking() -> (Reporter, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let reporter = Reporter::new({
        let count = Arc::clone(&count);
        move |report: &Report| {
            count.fetch_add(1, Ordering::SeqCst);
            // Without the hook, which would print it.
            std::panic::resume_unwind(Box::new(report.to_string()));
        }
    });
    (reporter, count)
}

/// Runs `body` on a thread of its own, and fails if that does not end.
fn unless_it_hangs<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(body()));
    receiver.recv_timeout(Duration::from_secs(30)).expect("it came to an end")
}

#[test]
fn a_stubborn_fiber_is_given_up_all_the_same() {
    let (reporter, count) = panicking();
    let given_up = unless_it_hangs(move || {
        sched::run_with(Config { reporter, ..Config::default() }, || {
            let stubborn = sched::spawn(|| {
                loop {
                    let _ = catch_unwind(sched::park);
                }
            });
            sched::yield_now();
            stubborn.cancel();
            assert!(stubborn.join().unwrap_err().is_cancelled());
            sched::stats().given_up
        })
        .unwrap()
    });
    assert_eq!((given_up, count.load(Ordering::SeqCst)), (1, 1));
}

#[test]
fn every_stall_is_found() {
    let (reporter, count) = panicking();
    let stall_limit = Some(Duration::from_millis(20));
    unless_it_hangs(move || {
        sched::run_with(Config { stall_limit, reporter, ..Config::default() }, move || {
            for stall in 1..=2 {
                while count.load(Ordering::SeqCst) < stall {
                    std::hint::spin_loop();
                }
                sched::yield_now();
            }
        })
        .unwrap();
    });
}
