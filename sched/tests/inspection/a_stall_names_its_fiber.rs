//! The report of a stall names the fiber that keeps its thread, with the cause of the stall and the
//! fiber's backtrace.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use straightline_sched::{
    self as sched, Config, FiberBuilder, Report, Reporter, Stall, StallCause,
};

/// A configuration with a short stall limit, and a receiver of its stalls.
fn watched(on_stall: impl Fn() + Send + Sync + 'static) -> (Config, mpsc::Receiver<Stall>) {
    let (sender, stalls) = mpsc::channel();
    let sender = Mutex::new(sender);
    let slot = Mutex::new(());
    let reporter = Reporter::new(move |report| {
        let _slot = slot.lock().expect("no panic");
        if let Report::Stalled(stall) = report {
            let copy = Stall::clone(stall);
            let _ = sender.lock().expect("no panic").send(copy);
            on_stall();
        }
    });
    let stall_limit = Some(Duration::from_millis(50));
    (Config::default().with_stall_limit(stall_limit).with_reporter(reporter), stalls)
}

#[inline(never)]
fn computes_until(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

#[test]
fn a_fiber_that_computes() {
    let stop = Arc::new(AtomicBool::new(false));
    let (config, stalls) = watched({
        let stop = Arc::clone(&stop);
        move || stop.store(true, Ordering::Relaxed)
    });
    sched::run_with(config, move || {
        let fiber =
            FiberBuilder::new().name("number cruncher").spawn(move || computes_until(&stop));
        fiber.unwrap().join().unwrap();
        assert_eq!(sched::stats().stalls, 1);
    })
    .unwrap();
    let stall = stalls.recv().unwrap();
    assert_eq!(stall.name.as_deref(), Some("number cruncher"));
    assert!(stall.spawned_at.unwrap().file().ends_with("a_stall_names_its_fiber.rs"));
    assert!(stall.held_for >= Duration::from_millis(50));
    if cfg!(target_os = "linux") {
        assert_eq!(stall.cause, StallCause::Computes);
        assert!(stall.to_string().contains("computes_until"), "{stall}");
        // The calls of the signal handler that took the backtrace are left out.
        assert!(!stall.to_string().contains("watchdog"), "{stall}");
    }
    assert!(stall.to_string().contains("fiber `number cruncher` (spawned at"), "{stall}");
}

#[test]
fn a_fiber_that_waits_for_a_lock_of_std() {
    let lock = Arc::new(Mutex::new(()));
    let (release, released) = mpsc::channel();
    let (config, stalls) = watched({
        let release = Mutex::new(release);
        move || {
            let _ = release.lock().unwrap().send(());
        }
    });
    let (locked, is_locked) = mpsc::channel();
    let holder = std::thread::spawn({
        let lock = Arc::clone(&lock);
        move || {
            let _guard = lock.lock().unwrap();
            locked.send(()).unwrap();
            released.recv().unwrap();
        }
    });
    is_locked.recv().unwrap();
    sched::run_with(config, move || {
        let fiber = FiberBuilder::new().name("locker").spawn(move || drop(lock.lock()));
        fiber.unwrap().join().unwrap();
    })
    .unwrap();
    holder.join().unwrap();
    let stall = stalls.recv().unwrap();
    assert_eq!(stall.name.as_deref(), Some("locker"));
    if cfg!(target_os = "linux") {
        assert_eq!(stall.cause, StallCause::ForeignLock);
        assert!(stall.to_string().contains("std::sync"), "{stall}");
    }
}

/// A C function that waits may return early for a signal, and not every caller expects that.
#[cfg(target_os = "linux")]
#[test]
fn a_fiber_in_a_system_call_is_not_interrupted() {
    use rustix::thread::{NanosleepRelativeResult, Timespec, nanosleep};

    let (config, stalls) = watched(|| ());
    let slept = sched::run_with(config, move || {
        let fiber = FiberBuilder::new().name("sleeper").spawn(move || {
            let mut are_whole = true;
            // Sleeps until the stall is reported. The number of sleeps is bounded.
            (0..100).find_map(|_| {
                let slept = nanosleep(&Timespec { tv_sec: 0, tv_nsec: 300_000_000 });
                are_whole &= matches!(slept, NanosleepRelativeResult::Ok);
                let stall = stalls.try_recv().ok()?;
                Some((are_whole, stall))
            })
        });
        fiber.unwrap().join().unwrap()
    });
    let (are_whole, stall) = slept.unwrap().expect("the stall is reported");
    assert!(are_whole, "a sleep was interrupted");
    assert!(matches!(stall.cause, StallCause::SystemCall(Some(_))), "{stall}");
    assert_eq!(stall.name, None, "the fiber was not asked");
    assert!(stall.backtrace.is_empty());
}

#[test]
fn a_fiber_that_yields_is_not_reported() {
    let (config, stalls) = watched(|| ());
    sched::run_with(config, || {
        let end = sched::deadline(Duration::from_millis(300), || {
            loop {
                sched::checkpoint();
            }
        });
        assert!(end.is_err());
        // A shard that waits is not stuck either.
        sched::sleep(Duration::from_millis(200));
    })
    .unwrap();
    assert!(stalls.try_recv().is_err());
}
