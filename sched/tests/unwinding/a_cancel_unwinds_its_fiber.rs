//! A cancelled fiber unwinds where it waits, whatever it waits for, and its destructors run.

use std::cell::{Cell, RefCell};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use straightline_sched::{self as sched, Interest, JoinHandle, Source};

/// Records its name when it is dropped.
struct Note(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Drop for Note {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

#[test]
fn destructors_run_from_the_inside_out() {
    sched::run(|| {
        let notes = Rc::default();
        let fiber = sched::spawn({
            let notes = Rc::clone(&notes);
            move || {
                let _outer = Note("outer", Rc::clone(&notes));
                let _middle = Note("middle", Rc::clone(&notes));
                let _inner = Note("inner", notes);
                sched::park();
            }
        });
        sched::yield_now();
        assert!(notes.borrow().is_empty());
        fiber.cancel();
        assert!(notes.borrow().is_empty(), "a cancel does not run anything by itself");
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(*notes.borrow(), ["inner", "middle", "outer"]);
    });
}

#[test]
fn a_fiber_that_has_not_begun_never_does() {
    sched::run(|| {
        let notes = Rc::default();
        let note = Note("dropped", Rc::clone(&notes));
        let begun = Rc::new(Cell::new(false));
        let fiber = sched::spawn({
            let begun = Rc::clone(&begun);
            move || {
                begun.set(true);
                drop(note);
            }
        });
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert!(!begun.get());
        assert_eq!(*notes.borrow(), ["dropped"]);
    });
}

#[test]
fn what_a_fiber_that_never_began_holds_is_dropped_on_a_fiber() {
    struct Waits(Rc<Cell<bool>>);
    impl Drop for Waits {
        fn drop(&mut self) {
            sched::spawn({
                let dropped = Rc::clone(&self.0);
                move || dropped.set(true)
            });
            sched::yield_now();
        }
    }
    sched::run(|| {
        let dropped = Rc::new(Cell::new(false));
        let (first, second) = (Waits(Rc::clone(&dropped)), Waits(Rc::clone(&dropped)));
        let fiber = sched::spawn(move || drop((first, second)));
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        sched::yield_now();
        assert!(dropped.get());
        assert_eq!(Rc::strong_count(&dropped), 1);
    });
}

fn ends_when_cancelled<T: 'static>(fiber: JoinHandle<T>) {
    (0..3).for_each(|_| sched::yield_now());
    assert!(!fiber.is_finished());
    fiber.cancel();
    fiber.cancel();
    let error = fiber.join().map(drop).expect_err("the fiber was cancelled");
    assert!(error.is_cancelled());
}

#[test]
fn a_cancel_ends_every_kind_of_wait() {
    sched::run(|| {
        ends_when_cancelled(sched::spawn(sched::park));
        ends_when_cancelled(sched::spawn(|| sched::park_timeout(Duration::MAX)));
        ends_when_cancelled(sched::spawn(|| sched::sleep(Duration::from_secs(3_600))));
        ends_when_cancelled(sched::spawn(|| sched::spawn(sched::park).join()));
        ends_when_cancelled(sched::spawn(|| {
            loop {
                sched::yield_now();
            }
        }));
        ends_when_cancelled(sched::spawn(|| {
            loop {
                sched::checkpoint();
            }
        }));
    });
}

#[test]
fn a_cancel_ends_the_wait_for_a_descriptor() {
    sched::run(|| {
        let (near, far) = UnixStream::pair().unwrap();
        let source = Rc::new(Source::new(far));
        let waiter = sched::spawn({
            let source = Rc::clone(&source);
            move || source.wait(Interest::Read)
        });
        ends_when_cancelled(waiter);
        assert_eq!(Rc::strong_count(&source), 1);
        drop(near);
    });
}

#[test]
fn a_cancel_of_a_finished_fiber_changes_nothing() {
    sched::run(|| {
        let fiber = sched::spawn(|| 5);
        sched::yield_now();
        fiber.cancel();
        assert_eq!(fiber.join().unwrap(), 5);
    });
}

#[test]
fn a_fiber_that_returns_before_its_next_yield_point_keeps_its_value() {
    sched::run(|| {
        let own = Rc::new(Cell::new(None::<JoinHandle<u32>>));
        let fiber = sched::spawn({
            let own = Rc::clone(&own);
            move || {
                let handle = own.take().unwrap();
                handle.cancel();
                own.set(Some(handle));
                5
            }
        });
        own.set(Some(fiber));
        sched::yield_now();
        assert_eq!(own.take().unwrap().join().unwrap(), 5);
    });
}

#[test]
fn a_destructor_may_cancel_the_next_fiber() {
    struct Owns(JoinHandle<()>);
    impl Drop for Owns {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    sched::run(|| {
        let alive = Rc::new(());
        let mut last = None;
        for _ in 0..100 {
            let (next, alive) = (last.take().map(Owns), Rc::clone(&alive));
            last = Some(sched::spawn(move || {
                let _held = (next, alive);
                sched::park();
            }));
        }
        sched::yield_now();
        assert_eq!(Rc::strong_count(&alive), 101);
        let last = last.unwrap();
        last.cancel();
        assert!(last.join().unwrap_err().is_cancelled());
        while Rc::strong_count(&alive) > 1 {
            sched::yield_now();
        }
    });
}
