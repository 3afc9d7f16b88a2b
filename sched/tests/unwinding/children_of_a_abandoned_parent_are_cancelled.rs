//! The fibers in the scopes of a fiber that was abandoned are cancelled.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{OnDrop, on_a_shard, swallow_for_ever, turns, unless_it_hangs};
use straightline_sched::{self as sched, Abandoned, Config, JoinHandle, Report, Reporter, Scope};

/// A fiber that opens a scope, starts fibers there with `start`, and swallows every cancel.
fn stubborn_parent(
    start: impl for<'scope> FnOnce(&'scope Scope<'scope, '_>) + 'static,
) -> JoinHandle<()> {
    let fiber = sched::spawn(|| {
        sched::scope(|s| {
            start(s);
            swallow_for_ever();
        });
    });
    turns(5);
    fiber.cancel();
    fiber
}

#[test]
fn they_unwind_and_their_destructors_run() {
    on_a_shard(|| {
        let ended = Rc::new(Cell::new(0));
        let in_fiber = Rc::clone(&ended);
        let parent = stubborn_parent(move |s| {
            for _ in 0..3 {
                let ended = Rc::clone(&in_fiber);
                s.spawn(move || {
                    let _ended = OnDrop(|| ended.set(ended.get() + 1));
                    sched::park();
                });
            }
        });
        assert!(parent.join().unwrap_err().is_abandoned());
        turns(3);
        assert_eq!(ended.get(), 3);
        assert_eq!(sched::stats().fibers, 1, "this fiber");
    });
}

#[test]
fn they_start_no_others() {
    on_a_shard(|| {
        let began = Rc::new(Cell::new(0));
        let in_fiber = Rc::clone(&began);
        let parent = stubborn_parent(move |s| {
            let began = Rc::clone(&in_fiber);
            s.spawn(move || {
                sched::uncancellable(|| sched::sleep(Duration::from_millis(2)));
                let began = Rc::clone(&began);
                s.spawn(move || {
                    began.set(began.get() + 1);
                    sched::park();
                });
            });
        });
        assert!(parent.join().unwrap_err().is_abandoned());
        while sched::stats().fibers > 1 {
            sched::yield_now();
        }
        assert_eq!(began.get(), 0);
    });
}

#[test]
fn what_they_borrow_from_it_stays_where_it_is() {
    on_a_shard(|| {
        let read = Rc::new(Cell::new(0));
        let note = Rc::clone(&read);
        let parent = sched::spawn(move || {
            let lent = vec![7; 1_000]; // on the heap, owned by the parent's frame
            sched::scope(|s| {
                s.spawn(|| {
                    sched::uncancellable(|| sched::sleep(Duration::from_millis(2)));
                    note.set(lent.iter().sum::<i32>());
                });
                swallow_for_ever();
            });
        });
        turns(3);
        parent.cancel();
        assert!(parent.join().unwrap_err().is_abandoned());
        // Other fibers use stacks meanwhile, but not the stack of the parent.
        (0..50).for_each(|_| {
            sched::spawn(|| std::hint::black_box([0_u8; 4_096])).join().map(drop).unwrap();
        });
        while sched::stats().fibers > 1 {
            sched::yield_now();
        }
        assert_eq!(read.get(), 7_000);
    });
}

#[test]
fn the_report_names_the_fiber() {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&reports);
    let reporter = Reporter::new(move |report| {
        if let Report::Abandoned(fiber, Abandoned::Swallows) = report {
            sink.lock().unwrap().push((fiber.name.clone(), fiber.is_cancelled, report.to_string()));
        }
    });
    let root = || {
        let stubborn = || -> () { swallow_for_ever() };
        let fiber = sched::FiberBuilder::new().name("stubborn").spawn(stubborn).unwrap();
        sched::yield_now();
        fiber.cancel();
        let caught = catch_unwind(AssertUnwindSafe(|| fiber.join()));
        assert!(caught.unwrap().unwrap_err().is_abandoned());
    };
    unless_it_hangs(move || sched::run_with(Config::default().with_reporter(reporter), root))
        .unwrap();
    let reports = reports.lock().unwrap();
    let [(name, is_cancelled, text)] = &**reports else { panic!("one report, not {reports:?}") };
    assert_eq!((name.as_deref(), is_cancelled), (Some("stubborn"), &true));
    assert!(text.starts_with("fiber `stubborn` (spawned at sched/tests/"), "{text}");
}
