//! While one fiber unwinds, `std::thread::panicking` is false in every other fiber.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Mutex;

use straightline_sched as sched;

/// Tries to let other fibers run in the middle of an unwind.
struct Lingers;

impl Drop for Lingers {
    fn drop(&mut self) {
        assert!(std::thread::panicking());
        sched::yield_now();
        sched::park();
        drop(sched::spawn(sched::yield_now).join());
    }
}

fn panics() {
    let _lingers = Lingers;
    sched::yield_now();
    panic!("broken");
}

fn waits() {
    let _lingers = Lingers;
    sched::park();
}

/// Runs fibers that unwind in every way, one after the other, and calls `watch` in between.
fn while_others_unwind(watch: impl Fn()) {
    for _ in 0..10 {
        let (panics, cancelled) = (sched::spawn(panics), sched::spawn(waits));
        sched::yield_now();
        watch();
        cancelled.cancel();
        (0..5).for_each(|_| {
            sched::yield_now();
            watch();
        });
        assert!(panics.join().expect_err("a panic").is_panic());
        assert!(cancelled.join().expect_err("the fiber was cancelled").is_cancelled());
    }
}

#[test]
fn no_other_fiber_sees_itself_panicking() {
    sched::run(|| {
        let over = Rc::new(Cell::new(false));
        let witness = sched::spawn({
            let over = Rc::clone(&over);
            move || {
                while !over.get() {
                    assert!(!std::thread::panicking());
                    sched::yield_now();
                }
            }
        });
        while_others_unwind(|| assert!(!std::thread::panicking()));
        over.set(true);
        witness.join().unwrap();
    });
}

#[test]
fn a_lock_that_another_fiber_holds_is_not_poisoned() {
    sched::run(|| {
        let (lock, over) = (Rc::new(Mutex::new(0)), Rc::new(Cell::new(false)));
        let holder = sched::spawn({
            let (lock, over) = (Rc::clone(&lock), Rc::clone(&over));
            move || {
                while !over.get() {
                    let mut guard = lock.lock().expect("no holder has panicked");
                    sched::yield_now();
                    *guard += 1;
                }
            }
        });
        while_others_unwind(|| assert!(!lock.is_poisoned()));
        over.set(true);
        holder.join().unwrap();
        assert!(!lock.is_poisoned());
        assert!(*lock.lock().unwrap() > 0);
    });
}

#[test]
fn a_lock_whose_own_holder_panics_is_poisoned() {
    sched::run(|| {
        let lock = Rc::new(Mutex::new(()));
        let holder = sched::spawn({
            let lock = Rc::clone(&lock);
            move || {
                let _guard = lock.lock().expect("not poisoned yet");
                sched::yield_now();
                panic!("broken");
            }
        });
        assert!(holder.join().unwrap_err().is_panic());
        assert!(lock.is_poisoned());
    });
}

#[test]
fn the_thread_is_clean_after_run() {
    sched::run(|| while_others_unwind(|| ()));
    assert!(!std::thread::panicking());
    sched::run(|| assert!(!std::thread::panicking()));
}
