//! When `run` returns, every fiber has ended, and all values of the fibers have been dropped.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use straightline_sched::{self as sched, Interest, Source};

#[test]
fn run_returns_what_its_root_returns() {
    assert_eq!(sched::run(|| String::from("value")), "value");
    let config = sched::Config::default().with_stack_bytes(64 * 1024);
    assert_eq!(sched::run_with(config, || vec![1, 2]).unwrap(), [1, 2]);
}

/// Starts one fiber for every state of a fiber. Each holds a clone of `alive`.
fn leave_fibers_behind(alive: &Rc<()>) {
    fn holding<T: 'static>(alive: &Rc<()>, body: impl FnOnce() -> T + 'static) {
        let held = Rc::clone(alive);
        sched::spawn(move || {
            let result = body();
            drop(held);
            result
        });
    }
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    holding(alive, sched::park);
    holding(alive, || sched::sleep(Duration::MAX));
    holding(alive, || sched::spawn(sched::park).join());
    holding(alive, || {
        loop {
            sched::yield_now();
        }
    });
    holding(alive, move || {
        let (_near, source) = (near, Source::new(far));
        source.wait(Interest::Read)
    });
    let held = Rc::clone(alive);
    drop(sched::spawn_stackless(move || {
        let _ = &held;
        ControlFlow::Continue(())
    }));
    (0..3).for_each(|_| sched::yield_now());
    holding(alive, || unreachable!("this fiber never begins"));
}

#[test]
fn fibers_that_are_left_drop_what_they_hold() {
    let alive = Rc::new(());
    sched::run({
        let alive = Rc::clone(&alive);
        move || leave_fibers_behind(&alive)
    });
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn a_panic_of_the_root_is_runs_after_the_same_cleaning() {
    let alive = Rc::new(());
    let root = {
        let alive = Rc::clone(&alive);
        move || {
            leave_fibers_behind(&alive);
            panic!("the root broke")
        }
    };
    let payload =
        catch_unwind(AssertUnwindSafe(|| sched::run_with(sched::Config::default(), root)))
            .unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"the root broke"));
    assert_eq!(Rc::strong_count(&alive), 1);
    assert_eq!(sched::run(|| "again"), "again");
}

#[test]
fn fibers_that_destructors_spawn_at_the_end_are_dropped_too() {
    struct Respawns(u32, Rc<Cell<u32>>);
    impl Drop for Respawns {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            if let Some(left) = self.0.checked_sub(1) {
                let next = Self(left, Rc::clone(&self.1));
                sched::spawn(move || drop(next));
            }
        }
    }
    let drops = Rc::new(Cell::new(0));
    let last = Respawns(5, Rc::clone(&drops));
    sched::run(move || {
        sched::spawn(move || {
            let _last = last;
            sched::park();
        });
        sched::yield_now();
    });
    assert_eq!(drops.get(), 6);
    assert_eq!(Rc::strong_count(&drops), 1);
}

#[test]
fn a_handle_that_leaves_run_knows_that_its_fiber_was_cancelled() {
    let (parked, finished) = sched::run(|| {
        let (parked, finished) = (sched::spawn(sched::park), sched::spawn(|| 5));
        sched::yield_now();
        (parked, finished)
    });
    parked.cancel();
    assert!(parked.is_finished());
    assert!(parked.join().unwrap_err().is_cancelled());
    assert_eq!(finished.join().unwrap(), 5);
}

#[test]
fn a_message_that_comes_too_late_to_run_is_dropped_before_run_returns() {
    let alive = std::sync::Arc::new(());
    sched::run({
        let alive = std::sync::Arc::clone(&alive);
        move || sched::ShardHandle::current().spawn(move || drop(alive))
    })
    .unwrap();
    assert_eq!(std::sync::Arc::strong_count(&alive), 1);
}

#[test]
fn a_message_that_comes_too_late_to_run_may_block_in_its_destructor() {
    struct Sleeps;
    impl Drop for Sleeps {
        fn drop(&mut self) {
            sched::sleep(Duration::from_secs(3_600));
        }
    }
    let alive = Rc::new(());
    let held = Rc::clone(&alive);
    let sleeps = Sleeps;
    let ended = catch_unwind(AssertUnwindSafe(|| {
        sched::run_with(sched::Config::default(), move || {
            sched::spawn(move || {
                sched::park();
                drop(held);
            });
            sched::yield_now();
            sched::ShardHandle::current().spawn(move || drop(sleeps))
        })
    }));
    assert_eq!(Rc::strong_count(&alive), 1);
    ended.expect("nothing panicked").unwrap().unwrap();
}
