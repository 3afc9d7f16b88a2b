//! One initialiser runs at a time, and all fibers get its value. If it fails, the next initialiser
//! runs.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::{OnDrop, on_a_shard, settle};
use straightline_sched::sync::{Flag, Lazy, OnceCell};
use straightline_sched::{self as sched, Unwinding};

#[test]
fn all_get_the_value_of_the_first() {
    on_a_shard(|| {
        let (cell, runs) = (Rc::new(OnceCell::new()), Rc::new(Cell::new(0)));
        let fibers: Vec<_> = (0..5)
            .map(|number| {
                let (cell, runs) = (Rc::clone(&cell), Rc::clone(&runs));
                sched::spawn(move || {
                    let initialise = || {
                        runs.set(runs.get() + 1);
                        settle();
                        number
                    };
                    *cell.get_or_init(initialise).unwrap()
                })
            })
            .collect();
        assert!(fibers.into_iter().all(|fiber| fiber.join().unwrap() == 0));
        assert_eq!(runs.get(), 1);
        assert_eq!(cell.get(), Some(&0));
    });
}

#[test]
fn the_next_runs_its_own_if_the_first_unwinds() {
    on_a_shard(|| {
        for end in [sched::park, || resume_unwind(Box::new("broken"))] {
            let cell = Rc::new(OnceCell::new());
            let first = sched::spawn({
                let cell = Rc::clone(&cell);
                move || {
                    let initialise = || {
                        sched::yield_now();
                        end();
                        "first"
                    };
                    cell.get_or_init(initialise).is_ok()
                }
            });
            let second = sched::spawn({
                let cell = Rc::clone(&cell);
                move || *cell.get_or_init(|| "second").unwrap()
            });
            settle();
            first.cancel();
            assert!(first.join().is_err());
            assert_eq!(second.join().unwrap(), "second");
            assert_eq!(Rc::into_inner(cell).unwrap().into_inner(), Some("second"));
        }
    });
}

#[test]
fn the_next_runs_its_own_if_the_first_fails() {
    /// An error of user code.
    #[derive(Debug, PartialEq)]
    struct Failed;
    impl From<Unwinding> for Failed {
        fn from(_: Unwinding) -> Self {
            Self
        }
    }
    on_a_shard(|| {
        let cell = Rc::new(OnceCell::new());
        let second = sched::spawn({
            let cell = Rc::clone(&cell);
            move || {
                sched::yield_now();
                cell.get_or_try_init(|| Ok::<_, Failed>(2)).copied()
            }
        });
        let initialise = || {
            settle();
            Err(Failed)
        };
        assert_eq!(cell.get_or_try_init(initialise), Err(Failed));
        assert_eq!(second.join().unwrap(), Ok(2));
    });
}

#[test]
fn a_set_waits_for_the_initialiser() {
    on_a_shard(|| {
        let cell = Rc::new(OnceCell::new());
        let setter = sched::spawn({
            let cell = Rc::clone(&cell);
            move || cell.set("set")
        });
        let initialise = || {
            settle();
            "made"
        };
        assert_eq!(cell.get_or_init(initialise), Ok(&"made"));
        assert_eq!(setter.join().unwrap(), Err("set"));
    });
}

#[test]
fn a_lazy_value_is_made_once_for_fibers_and_threads() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    static IS_REACHED: Flag = Flag::new();
    static LAZY: Lazy<u32> = Lazy::new(|| {
        IS_REACHED.wait().unwrap();
        MADE.fetch_add(1, Ordering::SeqCst)
    });
    on_a_shard(|| {
        let fibers: Vec<_> = (0..5).map(|_| sched::spawn(|| *LAZY)).collect();
        settle();
        let waiting =
            sched::inspect().iter().filter(|it| it.to_string().contains("get_or_init")).count();
        assert_eq!(waiting, 4);
        let threads: Vec<_> = (0..2).map(|_| thread::spawn(|| *LAZY)).collect();
        IS_REACHED.set();
        assert!(fibers.into_iter().all(|fiber| fiber.join().unwrap() == 0));
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 0));
        assert_eq!(LAZY.get(), Ok(&0));
    });
}

#[test]
fn a_lazy_value_is_not_poisoned() {
    static FAIL: AtomicU32 = AtomicU32::new(0);
    static LAZY: Lazy<u32> = Lazy::new(|| {
        sched::yield_now();
        match FAIL.load(Ordering::SeqCst) {
            0 => panic!("not yet"),
            1 => sched::sleep(Duration::MAX),
            number => return number,
        }
        unreachable!("a sleep without an end")
    });
    on_a_shard(|| {
        assert!(sched::spawn(|| *LAZY).join().is_err());
        FAIL.store(1, Ordering::SeqCst);
        assert!(sched::deadline(Duration::from_millis(1), || *LAZY).is_err());
        let first = sched::spawn(|| *LAZY);
        let got = Rc::new(Cell::new(None));
        let in_fiber = Rc::clone(&got);
        let unwinds = sched::spawn(move || {
            let _late = OnDrop(|| in_fiber.set(Some(LAZY.get().copied())));
            sched::park();
        });
        let second = sched::spawn(|| *LAZY);
        settle();
        unwinds.cancel();
        assert!(unwinds.join().is_err());
        assert_eq!(got.get(), Some(Err(Unwinding)));
        FAIL.store(7, Ordering::SeqCst);
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        assert_eq!(second.join().unwrap(), 7);
    });
}
