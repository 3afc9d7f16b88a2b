//! A fiber's switch hooks run each time that it gives its thread away, and each time that it gets
//! it back. So a thread-local that a hook sets and takes back belongs to the fiber.

use std::cell::{Cell, RefCell};
use std::mem;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use crate::common::{OnDrop, settle, swallow_for_ever, turns};
use straightline_sched::{self as sched, OnSwitch, SwitchHook, on_switch};

type Log = Rc<RefCell<Vec<String>>>;

/// Notes its calls under its name.
struct Noted(&'static str, Log);

impl SwitchHook for Noted {
    fn on_suspend(&self) {
        self.1.borrow_mut().push(format!("-{}", self.0));
    }

    fn on_resume(&self) {
        self.1.borrow_mut().push(format!("+{}", self.0));
    }
}

fn note(name: &'static str, log: &Log) -> OnSwitch {
    on_switch(Rc::new(Noted(name, Rc::clone(log))))
}

/// A hook that calls one closure at a suspend and does nothing at a resume.
struct AtSuspend<F: Fn()>(F);

impl<F: Fn()> SwitchHook for AtSuspend<F> {
    fn on_suspend(&self) {
        (self.0)();
    }

    fn on_resume(&self) {}
}

thread_local! {
    /// The work of the fiber that runs, as a tracing library would keep it.
    static PRESENT: Cell<&'static str> = const { Cell::new("") };
}

/// Makes `PRESENT` follow its fiber.
struct Follows {
    own: Cell<&'static str>,
    outer: Cell<&'static str>,
}

impl SwitchHook for Follows {
    fn on_suspend(&self) {
        self.own.set(PRESENT.replace(self.outer.get()));
    }

    fn on_resume(&self) {
        self.outer.set(PRESENT.replace(self.own.get()));
    }
}

#[test]
fn they_nest_the_oldest_hook_is_the_outermost() {
    sched::run(|| {
        let log = Log::default();
        let _guards = [note("outer", &log), note("inner", &log)];
        assert!(log.borrow().is_empty());
        sched::yield_now();
        assert_eq!(log.take(), ["-inner", "-outer", "+outer", "+inner"]);
        sched::sleep(std::time::Duration::from_micros(1));
        assert_eq!(log.take(), ["-inner", "-outer", "+outer", "+inner"]);
    });
}

#[test]
fn no_other_fiber_runs_between_a_resume_and_the_next_suspend() {
    fn work(name: &'static str) {
        let _guard = on_switch(Rc::new(Follows { own: Cell::new(""), outer: Cell::new("") }));
        let outer = PRESENT.replace(name);
        for _ in 0..10 {
            sched::yield_now();
            assert_eq!(PRESENT.get(), name);
        }
        PRESENT.set(outer);
    }
    sched::run(|| {
        sched::scope(|s| {
            s.spawn(|| work("one"));
            s.spawn(|| work("two"));
            s.spawn(|| {
                for _ in 0..10 {
                    assert_eq!(PRESENT.get(), "");
                    sched::yield_now();
                }
            });
        });
        assert_eq!(PRESENT.get(), "");
    });
}

#[test]
fn the_wait_of_a_scope_for_its_fibers_is_a_switch_too() {
    sched::run(|| {
        let log = Log::default();
        let _guard = note("parent", &log);
        sched::scope(|s| {
            let log = &log;
            s.spawn(move || log.borrow_mut().push("child".into()));
        });
        assert_eq!(log.take(), ["-parent", "child", "+parent"]);
    });
}

#[test]
fn a_hook_is_gone_with_its_guard() {
    sched::run(|| {
        let log = Log::default();
        let (first, second) = (note("first", &log), note("second", &log));
        drop(first);
        sched::yield_now();
        assert_eq!(log.take(), ["-second", "+second"]);
        drop(second);
        sched::yield_now();
        assert!(log.take().is_empty());
    });
}

#[test]
fn one_hook_may_be_set_twice_and_each_guard_takes_back_one_of_the_two() {
    sched::run(|| {
        let log = Log::default();
        let hook: Rc<dyn SwitchHook> = Rc::new(Noted("both", Rc::clone(&log)));
        let first = on_switch(Rc::clone(&hook));
        let second = on_switch(hook);
        sched::yield_now();
        assert_eq!(log.take(), ["-both", "-both", "+both", "+both"]);
        drop(first);
        sched::yield_now();
        assert_eq!(log.take(), ["-both", "+both"]);
        drop(second);
    });
}

#[test]
fn a_guard_that_another_fiber_drops_meanwhile_ends_the_calls() {
    sched::run(|| {
        let log = Log::default();
        let guard: Rc<Cell<Option<OnSwitch>>> = Rc::default();
        let fiber = {
            let (log, guard) = (Rc::clone(&log), Rc::clone(&guard));
            sched::spawn(move || {
                guard.set(Some(note("own", &log)));
                sched::park();
                sched::yield_now();
            })
        };
        settle();
        drop(guard.take());
        fiber.fiber().unpark();
        fiber.join().unwrap();
        assert_eq!(log.take(), ["-own"]);
    });
}

#[test]
fn a_hook_may_drop_its_own_guard() {
    sched::run(|| {
        let log = Log::default();
        let guard: Rc<Cell<Option<OnSwitch>>> = Rc::default();
        let outer = note("outer", &log);
        let own = Rc::clone(&guard);
        guard.set(Some(on_switch(Rc::new(AtSuspend(move || drop(own.take()))))));
        let inner = note("inner", &log);
        turns(2);
        let once = ["-inner", "-outer", "+outer", "+inner"];
        assert_eq!(log.take(), [once, once].concat());
        drop((inner, outer));
    });
}

#[test]
fn an_activation_that_ends_gives_the_thread_away() {
    sched::run(|| {
        let log = Log::default();
        let (own, mut guard, mut runs) = (Rc::clone(&log), None, 0);
        let fiber = sched::spawn_stackless(move || {
            own.borrow_mut().push("runs".into());
            guard.get_or_insert_with(|| note("own", &own));
            runs += 1;
            if runs == 3 {
                guard = None;
                return ControlFlow::Break(());
            }
            sched::wake_later();
            ControlFlow::Continue(())
        });
        fiber.join().unwrap();
        assert_eq!(log.take(), ["runs", "-own", "+own", "runs", "-own", "+own", "runs"]);
    });
}

#[test]
fn destructors_of_a_cancelled_fiber_run_behind_a_resume() {
    sched::run(|| {
        let log = Log::default();
        let own = Rc::clone(&log);
        let fiber = sched::spawn(move || {
            let dropped = Rc::clone(&own);
            let _guard = note("own", &own);
            let _last = OnDrop(move || dropped.borrow_mut().push("destructor".into()));
            sched::park();
        });
        settle();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["-own", "+own", "destructor"]);
    });
}

#[test]
fn a_fiber_that_is_abandoned_is_suspended_for_the_last_time() {
    // The thread of an abandoned fiber never ends, so it is not joined.
    let log = crate::common::unless_it_hangs(|| {
        sched::run(|| {
            let log = Log::default();
            let own = Rc::clone(&log);
            let fiber = sched::spawn(move || {
                let _guard = note("own", &own);
                swallow_for_ever();
            });
            settle();
            fiber.cancel();
            assert!(fiber.join().unwrap_err().is_abandoned());
            let calls = log.take();
            assert_eq!(Rc::strong_count(&log), 3, "the hook and the frame stay as they are");
            calls
        })
    });
    assert_eq!(log, ["-own", "+own", "-own"]);
}

#[test]
fn a_hook_whose_guard_was_forgotten_ends_with_its_fiber() {
    sched::run(|| {
        let log = Log::default();
        let own = Rc::clone(&log);
        sched::spawn(move || {
            mem::forget(note("own", &own));
            sched::yield_now();
        })
        .join()
        .unwrap();
        assert_eq!(log.take(), ["-own", "+own", "-own"]);
        assert_eq!(Rc::strong_count(&log), 1, "the hook was dropped");
    });
}

#[test]
fn a_panic_of_a_hook_goes_no_further() {
    sched::run(|| {
        let log = Log::default();
        let outer = note("outer", &log);
        let broken =
            on_switch(Rc::new(AtSuspend(|| std::panic::resume_unwind(Box::new("broken")))));
        let inner = note("inner", &log);
        sched::yield_now();
        assert_eq!(log.take(), ["-inner", "-outer", "+outer", "+inner"]);
        assert_eq!(sched::stats().panics_contained, 1);
        drop((inner, broken, outer));
    });
}

#[test]
fn a_hook_neither_waits_nor_spawns_nor_sets_hooks() {
    fn panic_of(act: impl FnOnce()) -> String {
        let payload = catch_unwind(AssertUnwindSafe(act)).expect_err("it is refused");
        payload.downcast_ref::<&str>().expect("a text").to_string()
    }
    sched::run(|| {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let lock = Rc::new(sched::sync::Mutex::new(()));
        let taken = lock.lock().unwrap();
        let (texts, contended) = (Rc::clone(&seen), Rc::clone(&lock));
        let guard = on_switch(Rc::new(AtSuspend(move || {
            let mut texts = texts.borrow_mut();
            texts.push(panic_of(sched::yield_now));
            texts.push(panic_of(|| sched::sleep(std::time::Duration::ZERO)));
            texts.push(panic_of(|| drop(sched::spawn(|| ()))));
            texts.push(panic_of(|| drop(sched::spawn_stackless(|| ControlFlow::Break(())))));
            texts.push(panic_of(|| drop(on_switch(Rc::new(AtSuspend(|| ()))))));
            texts.push(panic_of(|| sched::scope(|_| ())));
            assert!(contended.lock().is_err(), "a lock that another fiber holds");
            assert!(sched::block_on(std::future::pending::<()>()).is_err());
        })));
        sched::yield_now();
        drop(guard);
        drop(taken);
        let seen = seen.take();
        assert_eq!(seen.len(), 6);
        for text in seen {
            assert!(text.contains("a switch hook can neither wait nor spawn"), "{text}");
        }
        assert_eq!(sched::stats().panics_contained, 0, "all of it was seen above");
    });
}

#[test]
fn a_backtrace_of_a_waiting_fiber_is_no_switch() {
    sched::run(|| {
        let log = Log::default();
        let own = Rc::clone(&log);
        let fiber = sched::spawn(move || {
            let _guard = note("own", &own);
            sched::park();
        });
        settle();
        assert!(sched::inspect_with_backtraces(10).len() > 1);
        assert_eq!(log.take(), ["-own"]);
        fiber.cancel();
        drop(fiber.join());
    });
}
