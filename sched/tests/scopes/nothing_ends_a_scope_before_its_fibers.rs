//! Whatever disturbs a scope's last wait, the wait lasts until the scope's fibers have ended.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use crate::common::{OnDrop, own_process::child, run, turns};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use straightline_sched::{self as sched, DeadlineExceeded, FiberBuilder, JoinHandle};

/// The payload of the panic of a scope's body. It is raised without the panic hook, so nothing is
/// printed.
struct Broken;

/// Waits for a while, and cannot be cancelled.
fn a_while() {
    sched::uncancellable(|| sched::sleep(Duration::from_millis(5)));
}

/// Opens a scope whose body panics. Returns whether the scope's fiber had ended when the scope
/// ended.
fn is_waited_for() -> bool {
    let over = Cell::new(false);
    let began = Cell::new(false);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        sched::scope(|s| {
            s.spawn(|| {
                began.set(true);
                let _over = OnDrop(|| over.set(true));
                a_while();
            });
            while !began.get() {
                sched::yield_now();
            }
            resume_unwind(Box::new(Broken));
        })
    }));
    assert!(caught.is_err_and(|payload| payload.is::<Broken>()));
    over.get()
}

#[test]
fn not_any_number_of_sections_around_it() {
    fn nest(depth: u32, body: &dyn Fn()) {
        match depth {
            0 => body(),
            _ => sched::uncancellable(|| nest(depth - 1, body)),
        }
    }
    run(|| {
        // At one of these depths a counter of 16 bits would be zero during the scope's wait.
        for depth in [65_535, 65_536] {
            let waited = Rc::new(Cell::new(false));
            let note = Rc::clone(&waited);
            let deep = FiberBuilder::new().stack_bytes(1 << 28);
            let body = move || nest(depth, &|| note.set(is_waited_for()));
            let fiber = deep.spawn(body).expect("there is room for a large stack");
            turns(1);
            fiber.cancel();
            fiber.join().expect("all of it was uncancellable");
            assert!(waited.get(), "{depth} sections");
        }
    });
}

type Foreign = Coroutine<(), (), ()>;

/// Suspends its coroutine in the middle of an unwind, so that the thread's count of panics stays
/// above zero.
struct SuspendsInDrop<'y>(&'y Yielder<(), ()>);

impl Drop for SuspendsInDrop<'_> {
    fn drop(&mut self) {
        self.0.suspend(());
    }
}

/// A coroutine that is suspended in the middle of an unwind. It ends if it is resumed.
fn unwinding() -> Foreign {
    let mut foreign = Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _suspends = SuspendsInDrop(yielder);
            resume_unwind(Box::new(Broken));
        }));
        assert!(caught.is_err());
    });
    assert!(matches!(foreign.resume(()), CoroutineResult::Yield(())));
    assert!(std::thread::panicking(), "the coroutine still unwinds");
    foreign
}

#[test]
fn not_a_coroutine_that_is_suspended_while_it_unwinds() {
    run(|| {
        let waited = sched::spawn(|| {
            let over = Cell::new(false);
            let foreign = RefCell::new(None);
            sched::scope(|s| {
                s.spawn(|| {
                    let _over = OnDrop(|| over.set(true));
                    a_while();
                });
                sched::yield_now();
                foreign.replace(Some(unwinding()));
            });
            let waited = over.get();
            foreign.take().expect("the coroutine is set").resume(());
            waited
        });
        assert!(waited.join().unwrap(), "the scope ended before its fiber");
    });
}

/// Other fibers are not affected: they and their scopes wait as usual.
#[test]
fn not_such_a_coroutine_in_another_fiber() {
    run(|| {
        let foreign = Rc::new(RefCell::new(None));
        let kept = Rc::clone(&foreign);
        sched::spawn(move || drop(kept.replace(Some(unwinding())))).join().unwrap();
        assert!(std::thread::panicking(), "the coroutine still unwinds");
        let fibers = [0, 1].map(|_| {
            sched::spawn(|| {
                let asleep = sched::deadline(Duration::from_millis(2), || {
                    sched::sleep(Duration::MAX);
                });
                (asleep, is_waited_for(), sched::scope(|s| s.spawn(|| 5).join().unwrap()))
            })
        });
        for fiber in fibers {
            assert_eq!(fiber.join().unwrap(), (Err(DeadlineExceeded), true, 5));
        }
        let foreign = foreign.take();
        foreign.expect("the coroutine is set").resume(());
        assert!(!std::thread::panicking());
    });
}

/// Nothing is raised in a destructor that waits either, although the scheduler cannot know that the
/// fiber unwinds.
#[test]
fn a_cancel_unwinds_beside_such_a_coroutine_too() {
    run(|| {
        let foreign = Rc::new(RefCell::new(None));
        let kept = Rc::clone(&foreign);
        sched::spawn(move || drop(kept.replace(Some(unwinding())))).join().unwrap();
        let unwound = Rc::new(Cell::new(false));
        let note = Rc::clone(&unwound);
        let fiber = sched::spawn(move || {
            let _unwound = OnDrop(|| {
                turns(3);
                note.set(true);
            });
            sched::park();
        });
        turns(1);
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert!(unwound.get());
        foreign.take().expect("the coroutine is set").resume(());
    });
}

/// A coroutine moves to another fiber in the middle of a scope. The scope then cannot wait, because
/// it is not on its own fiber.
#[test]
fn a_scope_that_ends_on_another_fiber_ends_the_process() {
    let output = child(|| {
        run(|| {
            let foreign = sched::spawn(|| {
                let mut foreign: Foreign = Coroutine::new(|yielder: &Yielder<(), ()>, ()| {
                    let lent = Cell::new(1);
                    sched::scope(|s| {
                        s.spawn(|| {
                            loop {
                                lent.set(lent.get() + 1);
                                sched::uncancellable(sched::yield_now);
                            }
                        });
                        yielder.suspend(());
                    });
                });
                assert!(matches!(foreign.resume(()), CoroutineResult::Yield(())));
                foreign
            });
            let mut foreign = foreign.join().unwrap();
            foreign.resume(());
            panic_any("the scope has ended");
        });
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !stderr.contains("has ended"), "{stderr}");
    assert!(stderr.contains("straightline: a scope ends on another fiber"), "{stderr}");
}

thread_local! {
    static KEPT: RefCell<Vec<Foreign>> = const { RefCell::new(Vec::new()) };
}

/// A coroutine carries the caller out of the shard's run in the middle of each of these calls. It
/// is resumed or dropped after the shard has ended, and in the run of another shard.
#[test]
fn what_others_carry_beyond_the_end_of_a_shard_does_no_harm() {
    fn around(call: usize, body: &dyn Fn()) {
        match call {
            0 => sched::uncancellable(body),
            1 => drop(sched::deadline(Duration::from_secs(3_600), body)),
            2 => drop(sched::Lease::new().hold(Duration::from_secs(3_600), body)),
            3 => sched::scope(|s| {
                s.spawn(|| ()).join().unwrap();
                body();
            }),
            4 => drop(sched::try_scope(|_| {
                body();
                Err::<(), _>("of no use")
            })),
            5 => sched::with_own_locals(body),
            6 => sched::scope(|s| {
                s.cancel();
                let in_drop = OnDrop(body);
                s.spawn(move || drop(in_drop));
            }),
            _ => sched::scope(|s| {
                let in_drop = OnDrop(body);
                let huge = FiberBuilder::new().stack_bytes(usize::MAX);
                huge.spawn_scoped(s, move || drop(in_drop)).map(drop).unwrap_err();
            }),
        }
    }
    let begin = || {
        for call in 0..8 {
            let mut foreign: Foreign = Coroutine::new(move |yielder: &Yielder<(), ()>, ()| {
                around(call, &|| yielder.suspend(()));
            });
            foreign.resume(());
            KEPT.with_borrow_mut(|kept| kept.push(foreign));
        }
    };
    let go_on = || {
        for mut foreign in KEPT.take() {
            assert!(matches!(foreign.resume(()), CoroutineResult::Return(())));
        }
    };
    sched::run(begin);
    go_on();
    sched::run(begin);
    drop(KEPT.take());
    sched::run(begin);
    sched::run(move || sched::spawn(go_on).join().unwrap());
    sched::run(move || {
        sched::spawn(begin).join().unwrap();
        sched::spawn(go_on).join().unwrap();
    });
}

/// The handle of the innermost fiber is the last owner of all these scopes.
#[test]
fn what_is_left_of_many_nested_scopes_is_dropped_one_by_one() {
    fn nest(depth: u32) -> JoinHandle<()> {
        sched::scope(|s| match depth {
            0 => s.spawn(|| ()),
            _ => s.spawn(|| nest(depth - 1)).join().unwrap(),
        })
    }
    let output = child(|| {
        run(|| {
            let innermost = nest(3_000);
            let small = FiberBuilder::new().stack_bytes(32 * 1024);
            small.spawn(|| drop(innermost)).unwrap().join().unwrap();
        });
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
}
