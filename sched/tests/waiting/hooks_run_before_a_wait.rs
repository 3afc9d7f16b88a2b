//! Before the next wait of a fiber all its hooks run, and each runs once.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{on_a_shard, turns};
use straightline_sched::sync::{Flag, Mutex, after, mpsc, select};
use straightline_sched::{self as sched, BeforePark, before_park};

type Log = Rc<RefCell<Vec<&'static str>>>;

fn note(log: &Log, name: &'static str) -> BeforePark {
    let log = Rc::clone(log);
    before_park(Rc::new(move || log.borrow_mut().push(name)))
}

#[test]
fn each_of_several_runs_once_and_the_newest_first() {
    sched::run(|| {
        let log = Log::default();
        let _guards = [note(&log, "outer"), note(&log, "inner")];
        assert!(log.borrow().is_empty());
        sched::yield_now();
        sched::yield_now();
        sched::sleep(std::time::Duration::from_micros(1));
        assert_eq!(*log.borrow(), ["inner", "outer"]);
    });
}

#[test]
fn a_guard_takes_back_its_own_hook_and_no_other() {
    sched::run(|| {
        let log = Log::default();
        let outer = note(&log, "outer");
        drop(note(&log, "inner"));
        let last = note(&log, "last");
        drop(outer);
        sched::yield_now();
        assert_eq!(log.take(), ["last"]);
        // This hook has run, so the drop of its guard removes no hook.
        let next = note(&log, "next");
        drop(last);
        sched::yield_now();
        assert_eq!(log.take(), ["next"]);
        drop(next);
    });
}

#[test]
fn a_fiber_that_never_waits_runs_them_at_its_end() {
    sched::run(|| {
        let log = Log::default();
        let own = Rc::clone(&log);
        let guards = sched::spawn(move || [note(&own, "outer"), note(&own, "inner")]);
        let guards = guards.join().unwrap();
        assert_eq!(*log.borrow(), ["inner", "outer"]);
        drop(guards);
    });
}

/// A hook that sets itself again, whenever it is called.
fn arm_for_ever(calls: &Rc<Cell<u32>>) {
    let own = Rc::clone(calls);
    std::mem::forget(before_park(Rc::new(move || {
        own.set(own.get() + 1);
        arm_for_ever(&own);
    })));
}

#[test]
fn a_hook_that_sets_itself_again_runs_once_before_each_wait() {
    on_a_shard(|| {
        let (calls, turns) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let (own, others) = (Rc::clone(&calls), Rc::clone(&turns));
        let fiber = sched::spawn(move || {
            arm_for_ever(&own);
            for count in 1..=10 {
                let before = others.get();
                // At most one of the two yields returns early.
                sched::yield_now();
                sched::yield_now();
                assert!(others.get() > before, "the fiber does not wait");
                assert!(own.get() <= 2 * count, "{} before {count}", own.get());
            }
        });
        while !fiber.is_finished() {
            turns.set(turns.get() + 1);
            sched::yield_now();
        }
        fiber.join().unwrap();
        // At the end of the fiber the hook is called once more. The hook that this call sets is not
        // called.
        assert!((10..=21).contains(&calls.get()), "{}", calls.get());
    });
}

#[test]
fn a_hook_that_waits_lets_the_older_ones_run_first() {
    sched::run(|| {
        let log = Log::default();
        let own = Rc::clone(&log);
        let fiber = sched::spawn(move || {
            let _outer = note(&own, "outer");
            let inner = Rc::clone(&own);
            let _waits = before_park(Rc::new(move || {
                inner.borrow_mut().push("begins");
                let _late = note(&inner, "late");
                sched::yield_now();
                sched::yield_now();
                inner.borrow_mut().push("has waited");
            }));
            sched::yield_now();
        });
        fiber.join().unwrap();
        let log = log.take();
        assert_eq!(log[..2], ["begins", "outer"]);
        assert!(log.contains(&"has waited"), "{log:?}");
        assert!(log.iter().filter(|name| **name == "outer").count() == 1, "{log:?}");
    });
}

#[test]
fn a_hook_that_sets_itself_again_stops_no_wait_in_a_line() {
    on_a_shard(|| {
        let calls = Rc::new(Cell::new(0));
        let (sender, receiver) = mpsc::channel(1);
        let (lock, event) = (Rc::new(Mutex::new(0)), Rc::new(Flag::new()));
        let (own, locked, set) = (Rc::clone(&calls), Rc::clone(&lock), Rc::clone(&event));
        let held = lock.lock().expect("the lock is free");
        let fiber = sched::spawn(move || {
            arm_for_ever(&own);
            let message = receiver.recv().expect("a message comes");
            set.wait().expect("the event is set");
            assert_eq!(select(&[&receiver, &after(Duration::from_micros(1))]), Ok(1));
            *locked.lock().expect("the lock is released") += message;
        });
        turns(3);
        sender.send(5).expect("the receiver is alive");
        turns(3);
        event.set();
        sched::sleep(Duration::from_millis(1));
        drop(held);
        fiber.join().expect("the fiber ends");
        assert_eq!(*lock.lock().expect("the lock is free"), 5);
        assert!(calls.get() < 50, "{}", calls.get());
    });
}

#[test]
fn a_fiber_that_sets_a_hook_again_and_again_still_yields() {
    fn checkpoint_often() {
        for _ in 0..200 {
            let _guard = before_park(Rc::new(|| ()));
            sched::checkpoint();
        }
    }
    sched::run(|| {
        for give_way in [sched::yield_now as fn(), checkpoint_often] {
            let has_run = Rc::new(Cell::new(false));
            let runs = Rc::clone(&has_run);
            let other = sched::spawn(move || runs.set(true));
            let _guard = before_park(Rc::new(|| ()));
            give_way();
            assert!(has_run.get());
            other.join().unwrap();
        }
    });
}
