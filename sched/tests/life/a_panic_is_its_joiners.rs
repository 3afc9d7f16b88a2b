//! A panic ends the fiber that panicked and is its joiner's error. The other fibers go on.

use std::cell::Cell;
use std::error::Error;
use std::panic::{panic_any, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::OnDrop;
use straightline_sched as sched;

#[test]
fn a_panic_is_the_joiners_error() {
    sched::run(|| {
        let error = sched::spawn(|| panic!("broken")).join().unwrap_err();
        assert!(error.is_panic());
        assert!(!error.is_cancelled());
        assert_eq!(error.to_string(), "the fiber panicked: broken");
    });
}

#[test]
fn the_error_carries_the_payload() {
    sched::run(|| {
        let error = sched::spawn(|| panic_any(42_u64)).join().unwrap_err();
        let payload = error.into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&42_u64));
        let number = 7;
        let error = sched::spawn(move || panic!("number {number}")).join().unwrap_err();
        let payload = error.into_panic().unwrap();
        assert_eq!(payload.downcast_ref::<String>().map(String::as_str), Some("number 7"));
    });
}

#[test]
fn a_payload_can_be_passed_on_to_the_next_joiner() {
    sched::run(|| {
        let outer = sched::spawn(|| {
            let error = sched::spawn(|| panic!("deep below")).join().unwrap_err();
            resume_unwind(error.into_panic().unwrap())
        });
        let error: sched::JoinError = outer.join().map(|()| "returned").unwrap_err();
        assert_eq!(error.to_string(), "the fiber panicked: deep below");
    });
}

#[test]
fn a_cancelled_fiber_has_no_payload() {
    sched::run(|| {
        let fiber = sched::spawn(sched::park);
        fiber.cancel();
        let error = fiber.join().unwrap_err().into_panic().unwrap_err();
        assert!(error.is_cancelled());
        assert!(error.to_string().starts_with("the fiber was cancelled"));
    });
}

#[test]
fn the_source_of_an_error_is_what_ended_the_fiber_or_forbade_the_wait() {
    sched::run(|| {
        let is_known = Cell::new(false);
        let late = sched::deadline(Duration::from_millis(1), || {
            sched::scope(|s| {
                let fiber = s.spawn(sched::park); // it inherits the deadline
                sched::uncancellable(|| {
                    let error = fiber.join().unwrap_err();
                    let source = error.source();
                    is_known.set(source.is_some_and(<dyn Error>::is::<sched::DeadlineExceeded>));
                });
            });
        });
        assert_eq!((late, is_known.get()), (Ok(()), true));

        let seen = Rc::new(Cell::new(None));
        let tells = Rc::clone(&seen);
        let fiber = sched::spawn(move || {
            let permits = sched::sync::Semaphore::new(0);
            let _last =
                OnDrop(move || {
                    let other = sched::spawn(sched::park);
                    let errors: [Box<dyn Error>; 3] = [
                        Box::new(other.join().unwrap_err()),
                        Box::new(permits.acquire(1).map(drop).unwrap_err()),
                        Box::new(sched::offload(|| ()).unwrap_err()),
                    ];
                    tells.set(Some(errors.map(|error| {
                        error.source().is_some_and(<dyn Error>::is::<sched::Unwinding>)
                    })));
                });
            sched::park();
        });
        sched::yield_now();
        fiber.cancel();
        drop(fiber.join());
        assert_eq!(seen.get(), Some([true; 3]));
    });
}

#[test]
fn a_join_error_is_an_error_like_any_other() {
    sched::run(|| {
        let error = sched::spawn(|| panic!("broken")).join().unwrap_err();
        let error: Box<dyn Error + Send + Sync> = error.into();
        assert!(error.to_string().contains("broken"));
    });
}

#[test]
fn the_other_fibers_go_on() {
    sched::run(|| {
        let before = sched::spawn(|| {
            sched::sleep(Duration::from_millis(1));
            "before"
        });
        drop(sched::spawn(|| panic!("this one is not joined")));
        let joined = sched::spawn(|| panic!("this one is joined"));
        let after = sched::spawn(|| {
            sched::yield_now();
            "after"
        });
        assert!(joined.join().unwrap_err().is_panic());
        assert_eq!(before.join().unwrap(), "before");
        assert_eq!(after.join().unwrap(), "after");
    });
}

#[test]
fn a_panic_runs_the_destructors_of_its_fiber() {
    struct Count(Rc<Cell<u32>>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    sched::run(|| {
        let drops = Rc::new(Cell::new(0));
        let (captured, local) = (Count(Rc::clone(&drops)), Rc::clone(&drops));
        let fiber = sched::spawn(move || {
            let _captured = captured;
            let _local = Count(local);
            sched::yield_now();
            panic!("broken");
        });
        assert!(fiber.join().unwrap_err().is_panic());
        assert_eq!(drops.get(), 2);
    });
}

#[test]
fn a_destructor_that_panics_after_the_body_ends_its_fiber_alone() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("broken destructor");
        }
    }
    sched::run(|| {
        drop(sched::spawn(|| Bomb)); // the result is not taken
        let never_begun = sched::spawn({
            let bomb = Bomb;
            move || drop(bomb)
        });
        never_begun.cancel();
        assert!(never_begun.join().unwrap_err().is_cancelled());
        assert_eq!(sched::spawn(|| "fine").join().unwrap(), "fine");
    });
}
