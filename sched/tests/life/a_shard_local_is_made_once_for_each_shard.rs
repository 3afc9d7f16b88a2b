//! A shard-local is made once for each shard, although its initialiser may wait. It lives as long
//! as a fiber uses it, and is dropped on a fiber at the shard's end.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::common::{OnDrop, on_a_shard, settle, unless_it_hangs};
use straightline_sched::sync::Flag;
use straightline_sched::{self as sched, Config, FiberInfo, Unwinding, shard_local, sim};

#[test]
fn its_expression_may_wait_and_others_wait_for_it() {
    static MADE: AtomicU32 = AtomicU32::new(0);
    static IS_REACHED: Flag = Flag::new();
    shard_local! {
        static CLIENT: u32 = {
            IS_REACHED.wait().unwrap();
            MADE.fetch_add(1, Ordering::SeqCst)
        };
    }
    on_a_shard(|| {
        let fibers: Vec<_> = (0..8).map(|_| sched::spawn(|| CLIENT.get().unwrap())).collect();
        settle();
        let listed = sched::inspect();
        let waits = |fiber: &&FiberInfo| fiber.to_string().contains("OnceCell::get_or_init");
        assert_eq!(listed.iter().filter(waits).count(), 7);
        IS_REACHED.set();
        let values: Vec<_> = fibers.into_iter().map(|fiber| fiber.join().unwrap()).collect();
        assert!(values.iter().all(|value| Rc::ptr_eq(value, &values[0])));
        assert_eq!(MADE.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn each_shard_has_its_own_one_after_the_other_too() {
    shard_local! {
        static COUNT: Cell<u32> = Cell::new(0);
    }
    let count = || {
        COUNT.with(|count| count.set(count.get() + 1)).unwrap();
        sched::yield_now();
        COUNT.with(Cell::get).unwrap()
    };
    for _ in 0..3 {
        assert_eq!(sched::run(count), 1);
    }
    sim::check(move || {
        let shards: Vec<_> = (0..3)
            .map(|_| sched::spawn_shard("other", Config::default(), count).unwrap())
            .collect();
        assert_eq!(count(), 1);
        for shard in shards {
            assert_eq!(shard.join().unwrap().unwrap(), 1);
        }
        assert_eq!(count(), 2);
    });
}

#[test]
fn the_next_fiber_tries_again_if_making_it_unwinds() {
    static FAIL: AtomicU32 = AtomicU32::new(0);
    shard_local! {
        static FRAGILE: u32 = {
            sched::yield_now();
            match FAIL.load(Ordering::SeqCst) {
                0 => panic!("not yet"),
                1 => sched::sleep(Duration::MAX),
                number => return number,
            }
            unreachable!()
        };
    }
    on_a_shard(|| {
        assert!(sched::spawn(|| FRAGILE.get()).join().is_err());
        FAIL.store(1, Ordering::SeqCst);
        assert!(sched::deadline(Duration::from_millis(1), || FRAGILE.get()).is_err());
        let first = sched::spawn(|| FRAGILE.get());
        let second = sched::spawn(|| FRAGILE.with(|value| *value));
        settle();
        FAIL.store(7, Ordering::SeqCst);
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        assert_eq!(second.join().unwrap(), Ok(7));
    });
}

#[test]
fn a_fiber_that_unwinds_does_not_wait_for_its_maker() {
    static IS_REACHED: Flag = Flag::new();
    shard_local! {
        static SLOW: u32 = {
            IS_REACHED.wait().unwrap();
            7
        };
    }
    on_a_shard(|| {
        let got = Rc::new(Cell::new(None));
        let in_fiber = Rc::clone(&got);
        let unwinds = sched::spawn(move || {
            let _late = OnDrop(|| in_fiber.set(Some(SLOW.with(|value| *value))));
            sched::park();
        });
        let maker = sched::spawn(|| SLOW.get());
        settle();
        unwinds.cancel();
        assert!(unwinds.join().is_err());
        assert_eq!(got.get(), Some(Err(Unwinding)));
        IS_REACHED.set();
        assert_eq!(maker.join().unwrap().as_deref(), Ok(&7));
    });
}

#[test]
fn one_that_asks_for_itself_panics() {
    shard_local! {
        static CIRCLE: u32 = *CIRCLE.get().unwrap() + 1;
    }
    on_a_shard(|| assert!(catch_unwind(AssertUnwindSafe(|| CIRCLE.get())).is_err()));
}

/// Records its drop. The destructor waits and uses other shard-locals.
struct Noted(&'static str);

static ENDS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

impl Drop for Noted {
    fn drop(&mut self) {
        sched::sleep(Duration::from_millis(1));
        BASE.with(|()| ()).expect("nothing unwinds at the end");
        ENDS.lock().expect("no panic in this test").push(self.0);
    }
}

shard_local! {
    static BASE: () = ();
    static OUTER: (Rc<Noted>, Noted) = (INNER.get().expect("nothing unwinds"), Noted("outer"));
    static INNER: Noted = Noted("inner");
    static PANICS: OnDrop<fn()> = OnDrop(|| panic!("a destructor of a shard-local"));
}

#[test]
fn they_are_dropped_at_the_end_on_a_fiber_the_youngest_first() {
    let outlives = unless_it_hangs(|| {
        let value = sched::run_with(sched::Config::default(), || {
            let held = Rc::new(RefCell::new(Vec::new()));
            sched::spawn(move || {
                held.borrow_mut().push(OUTER.get().unwrap());
                PANICS.get().unwrap();
                let _last = OnDrop(|| {
                    ENDS.lock().unwrap().push("fiber");
                    OUTER.with(|_| ()).unwrap();
                });
                sched::park();
            });
            settle();
            BASE.get().unwrap()
        });
        Rc::strong_count(&value.unwrap())
    });
    assert_eq!(outlives, 1, "the root's is the last one");
    assert_eq!(*ENDS.lock().unwrap(), ["fiber", "outer", "inner"]);
}

#[test]
fn one_whose_destructor_does_not_end_ends_with_its_shard() {
    struct Endless;
    impl Drop for Endless {
        fn drop(&mut self) {
            loop {
                sched::sleep(Duration::from_secs(3_600));
            }
        }
    }
    shard_local! {
        static ENDLESS: Endless = Endless;
    }
    // In virtual time, because the shard's end takes ten seconds. On a thread of its own, because
    // the fiber that drops the shard-local is abandoned.
    unless_it_hangs(|| sim::run(1, || assert!(ENDLESS.get().is_ok())));
}

#[test]
fn one_that_makes_itself_anew_at_its_end_does_no_harm() {
    static DROPS: AtomicU32 = AtomicU32::new(0);
    struct Phoenix;
    impl Drop for Phoenix {
        fn drop(&mut self) {
            DROPS.fetch_add(1, Ordering::SeqCst);
            PHOENIX.get().unwrap();
        }
    }
    shard_local! {
        static PHOENIX: Phoenix = Phoenix;
    }
    on_a_shard(|| drop(PHOENIX.get()));
    assert_eq!(DROPS.load(Ordering::SeqCst), 4);
}

#[test]
#[should_panic(expected = "outside of a fiber")]
fn there_are_none_outside_of_a_fiber() {
    shard_local! {
        static NONE: u32 = 7;
    }
    let _ = NONE.get();
}
