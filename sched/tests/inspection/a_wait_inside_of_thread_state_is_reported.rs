//! The tripwire: some closures and initialisers tie state to their thread. If a fiber waits inside
//! of one, a report names the fiber, with its backtrace. Each place is reported once.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, LazyLock, Mutex, Once, OnceLock};
use std::time::Duration;

use crate::common::{own_process::child_with, unless_it_hangs};
use straightline_sched::sim::{Check, FailureKind, Sim};
use straightline_sched::sync::{OnceCell, mpsc, select};
use straightline_sched::{
    self as sched, Config, FiberBuilder, Report, Reporter, Stats, fiber_local, sim, sync,
};

/// The reports of the tripwire about `body`, which runs on a shard of its own, and the shard's
/// counters.
fn reports_of(body: impl FnOnce() + Send + 'static) -> (Vec<(&'static str, String)>, Stats) {
    unless_it_hangs(move || {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&reports);
        let reporter = Reporter::new(move |report| {
            let Report::ThreadBoundWait(wait) = report else { panic!("{report}") };
            sink.lock().expect("no panic").push((wait.inside, report.to_string()));
        });
        let config =
            Config::default().with_tripwire(true).with_reporter(reporter).with_stall_limit(None);
        let stats = sched::run_with(config, || {
            FiberBuilder::new()
                .name("suspect")
                .spawn(body)
                .expect("a stack")
                .join()
                .expect("the fiber ends");
            sched::stats()
        });
        let reports = std::mem::take(&mut *reports.lock().expect("no panic"));
        (reports, stats.expect("a shard"))
    })
}

/// Asserts that a fiber that calls `waits` three times is reported once, and that the report says
/// inside of what it waits.
#[track_caller]
fn assert_reported(inside: &str, place: &str, waits: fn()) {
    let (reports, stats) = reports_of(move || (0..3).for_each(|_| waits()));
    assert_eq!(reports.len(), 1, "{reports:#?}");
    let (reported_inside, text) = &reports[0];
    assert_eq!(*reported_inside, inside, "{text}");
    assert!(text.contains(inside), "{text}");
    assert!(text.contains("fiber `suspect` (spawned at"), "{text}");
    assert!(text.contains(place), "no {place} in {text}");
    assert_eq!(stats.thread_bound_waits, 1);
}

/// Lets other fibers run. The number differs in each caller, so that the compiler does not merge
/// two callers.
fn pause(number: u32) {
    black_box(number);
    sched::sleep(Duration::from_micros(1));
}

/// Waits, and returns a value.
fn wait() -> u32 {
    pause(0);
    7
}

thread_local! {
    static MADE_WITH_A_WAIT: u32 = wait();
    static READY: Cell<u32> = const { Cell::new(7) };
}

#[test]
fn in_the_initialiser_of_a_thread_local() {
    #[inline(never)]
    fn uses_a_client() {
        assert_eq!(MADE_WITH_A_WAIT.with(|value| *value), 7);
    }
    assert_reported("the initialiser of a `thread_local!`", "uses_a_client", uses_a_client);
}

#[test]
fn in_a_closure_of_a_thread_local() {
    #[inline(never)]
    fn waits_with() {
        READY.with(|_| pause(1));
    }
    #[inline(never)]
    fn waits_try_with() {
        READY.try_with(|_| pause(2)).unwrap();
    }
    assert_reported("`LocalKey::with`", "waits_with", waits_with);
    assert_reported("`LocalKey::with`", "waits_try_with", waits_try_with);
}

#[test]
fn in_the_initialiser_of_a_lazy_lock() {
    static LAZY: LazyLock<u32> = LazyLock::new(wait);
    #[inline(never)]
    fn forces() {
        assert_eq!(*LAZY, 7);
    }
    assert_reported("the initialiser of a `LazyLock`", "forces", forces);
}

#[test]
fn in_the_initialiser_of_a_once_lock() {
    static LOCK: OnceLock<u32> = OnceLock::new();
    #[inline(never)]
    fn initialises() {
        assert_eq!(*LOCK.get_or_init(wait), 7);
    }
    assert_reported("the initialiser of a `OnceLock`", "initialises", initialises);
}

#[test]
fn in_a_once() {
    static ONCE: Once = Once::new();
    #[inline(never)]
    fn calls_once() {
        ONCE.call_once(|| pause(0));
    }
    assert_reported("`Once::call_once`", "calls_once", calls_once);
}

#[test]
fn in_a_scoped_key() {
    scoped_tls::scoped_thread_local!(static SCOPED: u32);
    #[inline(never)]
    fn waits_in_set() {
        SCOPED.set(&7, || pause(0));
    }
    #[inline(never)]
    fn waits_in_with() {
        SCOPED.set(&7, || SCOPED.with(|_| pause(1)));
    }
    assert_reported("`ScopedKey` of the crate `scoped-tls`", "waits_in_set", waits_in_set);
    assert_reported("`ScopedKey` of the crate `scoped-tls`", "waits_in_with", waits_in_with);
}

#[test]
fn in_the_scope_of_a_logger() {
    #[inline(never)]
    fn logs() {
        slog_scope::scope(&slog_scope::logger(), || pause(0));
    }
    let _guard = slog_scope::set_global_logger(slog_scope::logger());
    assert_reported("the crate `slog-scope`", "logs", logs);
}

#[test]
fn in_a_scope_of_threads() {
    #[inline(never)]
    fn has_threads() {
        std::thread::scope(|_| pause(0));
    }
    assert_reported("`std::thread::scope`", "has_threads", has_threads);
}

#[test]
fn each_place_is_reported() {
    #[inline(never)]
    fn one() {
        READY.with(|_| pause(1));
    }
    #[inline(never)]
    fn another() {
        READY.with(|_| pause(2));
    }
    let (reports, stats) = reports_of(|| {
        for _ in 0..10 {
            one();
            another();
        }
    });
    assert_eq!(reports.len(), 2, "{reports:#?}");
    assert_eq!(stats.thread_bound_waits, 2);
}

fiber_local! {
    static OWN: u32 = wait();
}

/// All kinds of waits, none of them inside of thread state.
fn waits_cleanly() {
    thread_local! {
        static CLIENT: OnceCell<Rc<u32>> = const { OnceCell::new() };
    }
    let uses_client = || {
        let client = CLIENT.with(|cell| cell.get_or_init(|| Rc::new(wait())).cloned());
        assert_eq!(client.as_deref(), Ok(&7));
    };
    sched::yield_now();
    wait();
    OWN.with(|_| wait());
    sched::scope(|s| {
        (0..3).for_each(|_| drop(s.spawn(uses_client)));
        wait();
    });
    let (lock, cell) = (Rc::new(sync::Mutex::new(0)), RefCell::new(0));
    let guard = lock.lock().expect("nothing unwinds");
    let waiter = sched::spawn({
        let lock = Rc::clone(&lock);
        move || *lock.lock().expect("nothing unwinds")
    });
    wait();
    drop(guard);
    waiter.join().expect("the fiber ends");
    let (sender, receiver) = mpsc::channel(1);
    sched::spawn(move || sender.send(wait()));
    assert_eq!(select(&[&receiver]), Ok(0));
    sched::offload(|| ()).expect("a thread");
    let _borrow = cell.borrow_mut();
    READY.with(|value| value.set(7));
    sched::with_own_locals(|| pause(0));
    let _ = sched::deadline(Duration::from_secs(60), wait);
}

#[test]
fn a_clean_fiber_is_not_reported() {
    let (reports, stats) = reports_of(waits_cleanly);
    assert_eq!(reports, []);
    assert_eq!(stats.thread_bound_waits, 0);
    sim::check(waits_cleanly);
}

#[test]
fn what_is_below_the_shard_is_not_the_fibers() {
    static AROUND: LazyLock<usize> = LazyLock::new(|| {
        std::thread::scope(|_| {
            READY.with(|_| {
                let config = Config::default().with_tripwire(true);
                let count = sched::run_with(config, || {
                    wait();
                    sched::stats().thread_bound_waits
                });
                count.unwrap().try_into().unwrap()
            })
        })
    });
    assert_eq!(*AROUND, 0);
}

#[test]
fn a_check_fails_by_it() {
    let body = || READY.with(|_| pause(0));
    let failure = catch_unwind(AssertUnwindSafe(|| sim::check(body))).unwrap_err();
    let text = failure.downcast_ref::<String>().unwrap();
    assert!(text.contains("a wait inside of `LocalKey::with`"), "{text}");
    assert!(!text.contains("run again"), "{text}");
    Check::new().configure(|seed| Sim::new(seed).tripwire(false)).run(body);
    Sim::new(1).run(body).unwrap();
    let failure = Sim::new(1).tripwire(true).run(body).unwrap_err();
    assert!(matches!(failure.kind(), FailureKind::ThreadBoundWait(_)), "{failure}");
}

/// The first fiber waits inside of the initialiser. Then the second fiber blocks the thread, and
/// the watchdog reports that. The tripwire has reported the first fiber before, and so the reason.
#[test]
fn a_lazy_lock_that_blocks_the_thread_is_reported_before() {
    static CLIENT: LazyLock<u32> = LazyLock::new(|| {
        sched::sleep(Duration::from_millis(1));
        7
    });
    fn connects() -> u32 {
        *CLIENT
    }
    let output = child_with(&[("STRAIGHTLINE_TRIPWIRE", "1")], || {
        let reporter = Reporter::new(|report| {
            eprintln!("straightline: {report}");
            if let Report::Stalled(_) = report {
                std::process::exit(0); // the thread is blocked for ever
            }
        });
        // The environment sets the tripwire.
        let stall_limit = Some(Duration::from_millis(50));
        let config = Config::default().with_reporter(reporter).with_stall_limit(stall_limit);
        let _ = sched::run_with(config, || {
            sched::yield_now();
            let first = sched::spawn(connects);
            let second = sched::spawn(connects);
            (first.join(), second.join())
        });
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    let reason = stderr.find("inside of the initialiser of a `LazyLock`");
    let stall = stderr.find("waits for a lock that is not a fiber's");
    assert!(reason.is_some_and(|reason| stall.is_some_and(|stall| reason < stall)), "{stderr}");
    assert!(stderr.contains("connects"), "{stderr}");
}
