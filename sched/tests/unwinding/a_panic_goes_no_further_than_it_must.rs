//! If a destructor, a payload or a waker of user code panics, no other fiber is harmed, wherever it
//! is dropped or called.
//!
//! The worst payload is one whose own destructor panics with another payload of the same type. A
//! fiber drops the values that it leaves. The shard, a pool or the end of the shard drops the
//! others.

use std::io::Write;
use std::ops::ControlFlow::{Break, Continue};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::common::{
    PanicsInDrop, raise_panics_in_drop, settle, swallow_for_ever, unless_it_hangs,
};
use straightline_sched::sim;
use straightline_sched::{
    self as sched, Config, Interest, OffloadConfig, OffloadPool, Reporter, ShardHandle, Source,
    fiber_local, shard_local,
};

fiber_local! {
    static LOCAL: Option<PanicsInDrop> = Some(PanicsInDrop);
}

/// Each action leaves a value whose destructor panics to the fiber or to the shard, and returns.
const ACTIONS: [(&str, fn()); 13] = [
    ("a panic that is not joined", || drop(sched::spawn(raise_panics_in_drop))),
    ("a result that is not joined", || drop(sched::spawn(|| PanicsInDrop))),
    ("a handle that is dropped after the end", || {
        let fiber = sched::spawn(raise_panics_in_drop);
        settle();
        drop(fiber);
    }),
    ("a closure that never begins", || {
        let value = PanicsInDrop;
        sched::spawn(move || drop(value)).cancel();
    }),
    ("a fiber-local", || drop(sched::spawn(|| LOCAL.with(|value| assert!(value.is_some()))))),
    ("a last hook", || {
        let fiber = sched::spawn(|| {
            std::mem::forget(sched::before_park(Rc::new(raise_panics_in_drop)));
            5
        });
        assert_eq!(fiber.join().expect("the fiber returns"), 5, "the hook is not the fiber");
    }),
    ("a hook that was never called", || {
        sched::spawn_stackless(|| {
            let value = PanicsInDrop;
            std::mem::forget(sched::before_park(Rc::new(move || {
                assert_eq!(size_of_val(&value), 0);
            })));
            Break(())
        });
    }),
    ("activations", || {
        let value = PanicsInDrop;
        sched::spawn_stackless(
            move || if size_of_val(&value) == 0 { Break(()) } else { Continue(()) },
        );
    }),
    ("the panic of an activation", || {
        sched::spawn_stackless(|| {
            raise_panics_in_drop();
            Break(())
        });
    }),
    ("two children of a scope", || {
        let scope = || {
            sched::scope(|s| {
                s.spawn(raise_panics_in_drop);
                s.spawn(raise_panics_in_drop);
            });
        };
        std::mem::forget(catch_unwind(scope).expect_err("a panic"));
    }),
    ("a child of a scope whose body panics", || {
        let scope = || {
            sched::scope(|s| {
                s.spawn(raise_panics_in_drop);
                s.spawn(|| PanicsInDrop);
                sched::yield_now();
                panic_quietly();
            });
        };
        assert!(catch_unwind(scope).expect_err("a panic").is::<&str>());
    }),
    ("the value of a scope whose child panics", || {
        let scope = || {
            sched::scope(|s| {
                s.spawn(raise_panics_in_drop);
                PanicsInDrop
            })
        };
        match catch_unwind(scope) {
            Ok(_) => unreachable!("a child panicked"),
            Err(payload) => std::mem::forget(payload),
        }
    }),
    ("a sent closure", || {
        let value = PanicsInDrop;
        ShardHandle::current().spawn(move || drop(value)).expect("the shard runs");
    }),
];

fn panic_quietly() {
    resume_unwind(Box::new("of the body"));
}

/// Runs `action` on a fiber, and checks that the shard still works.
fn survives(name: &'static str, action: fn()) {
    let action = sched::FiberBuilder::new().name(name).spawn(action).expect("a stack");
    settle();
    if let Err(error) = action.join() {
        std::mem::forget(error);
        panic!("{name}: the panic has reached another fiber");
    }
    assert_eq!(sched::spawn(|| 5).join().expect("the fiber returns"), 5, "{name}");
    let stats = sched::stats();
    assert_eq!((stats.fibers, stats.stacks), (1, 1), "{name}: {stats:?}");
}

#[test]
fn a_shard_survives_whatever_its_fibers_leave() {
    for (name, action) in ACTIONS {
        let survived = unless_it_hangs(move || {
            sched::run_with(sched::Config::default(), move || survives(name, action))
        });
        survived.expect(name);
    }
}

#[test]
fn a_simulation_survives_whatever_its_fibers_leave() {
    for (name, action) in ACTIONS {
        sim::run(1, move || survives(name, action));
    }
}

#[test]
fn what_a_shard_leaves_that_is_not_joined_does_no_harm() {
    sim::run(1, || {
        drop(sched::spawn_shard("returns", Config::default(), || PanicsInDrop));
        drop(sched::spawn_shard("panics", Config::default(), raise_panics_in_drop));
    });
    let held = Arc::new(());
    for panics in [false, true] {
        let held = Arc::clone(&held);
        let root = move || {
            assert!(Arc::strong_count(&held) > 1, "the closure holds it until this returns");
            if panics {
                raise_panics_in_drop();
            }
            PanicsInDrop
        };
        let shard = sched::spawn_shard("panics in drop", Config::default(), root).unwrap();
        // If the shard has ended, the handle owns its result. The drop of the handle drops the
        // result like any other value.
        std::mem::forget(catch_unwind(AssertUnwindSafe(|| drop(shard))));
    }
    // The threads are not joined. A panic at the end of a thread would abort the process.
    while Arc::strong_count(&held) > 1 {
        std::thread::yield_now();
    }
}

#[test]
fn a_simulation_whose_events_panic_in_drop_ends() {
    let value = PanicsInDrop;
    sim::run(1, move || {
        sim::after(Duration::from_secs(3_600), move || drop(value));
    });
    let failure = sim::Sim::new(1).run(|| {
        sim::after(Duration::ZERO, raise_panics_in_drop);
        sim::after(Duration::ZERO, raise_panics_in_drop);
        sched::sleep(Duration::from_secs(1));
    });
    std::mem::forget(failure.unwrap_err());
}

#[test]
fn a_reporter_whose_payload_panics_in_drop_is_survived() {
    abandon_one(Reporter::new(|_| raise_panics_in_drop()), || ());
}

/// Runs a fiber that calls `begin` first and is then abandoned. It runs on a thread of its own,
/// which never ends.
fn abandon_one(reporter: Reporter, begin: fn()) {
    let is_abandoned = unless_it_hangs(move || {
        sched::run_with(Config::default().with_reporter(reporter), move || {
            let stubborn = sched::spawn(move || {
                begin();
                swallow_for_ever();
            });
            sched::yield_now();
            stubborn.cancel();
            stubborn.join().is_err_and(|error| error.is_abandoned())
        })
    });
    assert!(is_abandoned.expect("a shard can be made"), "the fiber was not abandoned");
}

#[test]
fn what_a_abandoned_fiber_owns_is_never_dropped() {
    abandon_one(Reporter::new(|_| ()), || {
        LOCAL.with(|value| assert!(value.is_some()));
        std::mem::forget(sched::before_park(Rc::new(sched::yield_now)));
    });
}

shard_local! {
    static OF_SHARD: Option<PanicsInDrop> = Some(PanicsInDrop);
    static OTHER_OF_SHARD: Option<PanicsInDrop> = Some(PanicsInDrop);
}

#[test]
fn shard_locals_and_values_of_a_simulation_that_panic_in_drop_do_no_harm() {
    let make = || {
        assert!(OF_SHARD.with(Option::is_some).unwrap());
        assert!(OTHER_OF_SHARD.with(Option::is_some).unwrap());
    };
    sched::run(make);
    let ended_at = sim::run(1, move || {
        make();
        sim::local(|| PanicsInDrop);
        sim::local(|| Some(PanicsInDrop));
        sched::spawn_shard("other", Config::default(), make).unwrap().join().unwrap().unwrap();
        sim::elapsed()
    });
    assert!(ended_at < Duration::from_secs(1), "the values' fiber was abandoned");
}

#[test]
fn a_pool_keeps_its_threads_whatever_its_jobs_leave() {
    unless_it_hangs(|| {
        let config = OffloadConfig::default().with_max_threads(1);
        let pool = Arc::new(OffloadPool::new(config));
        sched::run(move || {
            for panics in [true, false] {
                // The caller leaves while the job runs, so the pool owns the result of the job.
                let (begun, go_on) =
                    (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
                let caller = sched::spawn({
                    let (pool, begun) = (Arc::clone(&pool), Arc::clone(&begun));
                    let go_on = Arc::clone(&go_on);
                    move || {
                        let job = move || {
                            begun.store(true, Ordering::Relaxed);
                            while !go_on.load(Ordering::Relaxed) {
                                std::thread::yield_now();
                            }
                            if panics {
                                raise_panics_in_drop();
                            }
                            PanicsInDrop
                        };
                        std::mem::forget(pool.run(job));
                    }
                });
                while !begun.load(Ordering::Relaxed) {
                    sched::yield_now();
                }
                caller.cancel();
                assert!(caller.join().unwrap_err().is_cancelled());
                go_on.store(true, Ordering::Relaxed);
                while pool.stats().lost > 0 {
                    sched::yield_now();
                }
                assert_eq!(pool.run(|| 5).unwrap(), 5);
            }
        });
    });
}

#[test]
fn a_pool_that_closes_refuses_every_job_whatever_they_hold() {
    unless_it_hangs(|| {
        let config = OffloadConfig::default().with_max_threads(1);
        let pool = Arc::new(OffloadPool::new(config));
        sched::run(move || {
            let open = Arc::new(AtomicBool::new(false));
            let busy = sched::spawn({
                let (pool, open) = (Arc::clone(&pool), Arc::clone(&open));
                move || {
                    pool.run(move || {
                        while !open.load(Ordering::Relaxed) {
                            std::thread::yield_now();
                        }
                    })
                }
            });
            sched::yield_now();
            while pool.stats().idle > 0 {
                sched::yield_now();
            }
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let (pool, value) = (Arc::clone(&pool), PanicsInDrop);
                    sched::spawn(move || {
                        pool.run(move || drop(value)).map_err(|error| error.is_closed())
                    })
                })
                .collect();
            sched::yield_now();
            pool.close();
            for caller in callers {
                assert_eq!(caller.join().unwrap(), Err(true));
            }
            open.store(true, Ordering::Relaxed);
            busy.join().unwrap().unwrap();
        });
    });
}

/// A waker that runs other code when it wakes and when it is dropped.
struct Tasks {
    wakes: AtomicU32,
    on_wake: fn(),
    on_drop: fn(),
}

impl Wake for Tasks {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
        (self.on_wake)();
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        (self.on_drop)();
    }
}

fn waker(on_wake: fn(), on_drop: fn()) -> Waker {
    Waker::from(Arc::new(Tasks { wakes: AtomicU32::new(0), on_wake, on_drop }))
}

/// Registers the waker for both directions, as the poll of a future does.
fn register(source: &Source<UnixStream>, waker: &Waker) {
    let poll = source.poll_ready(Interest::Read, &mut Context::from_waker(waker));
    assert!(poll.is_pending());
}

#[test]
fn a_shard_survives_wakers_that_panic_or_take_it_for_a_fiber() {
    type Deed = fn();
    let wakers: [(&str, Deed, Deed); 5] = [
        ("a wake that panics", raise_panics_in_drop, || ()),
        ("a drop that panics", || (), raise_panics_in_drop),
        ("both", raise_panics_in_drop, raise_panics_in_drop),
        ("one that spawns", || drop(sched::spawn(|| ())), || ()),
        ("one that asks for the fiber", || drop(sched::current()), || ()),
    ];
    for (name, on_wake, on_drop) in wakers {
        let survived = sched::run_with(sched::Config::default(), move || {
            let (mut near, far) = UnixStream::pair().unwrap();
            let source = Rc::new(Source::new(far));
            let other = sched::spawn({
                let source = Rc::clone(&source);
                move || source.wait(Interest::Read)
            });
            sched::yield_now();
            register(&source, &waker(on_wake, on_drop));
            near.write_all(b"!").unwrap();
            other.join().unwrap().unwrap();
            settle();
        });
        survived.expect(name);
    }
}

#[test]
fn a_waker_whose_drop_panics_does_no_harm_wherever_it_is_left() {
    sched::run(|| {
        let (_near, far) = UnixStream::pair().unwrap();
        let source = Source::new(far);
        // The waker is dropped when another one replaces it, with its source, and in an unwind.
        register(&source, &waker(|| (), raise_panics_in_drop));
        register(&source, &waker(|| (), raise_panics_in_drop));
        drop(source);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let (_near, far) = UnixStream::pair().unwrap();
            let source = Source::new(far);
            register(&source, &waker(|| (), raise_panics_in_drop));
            panic_quietly();
        }));
        assert!(unwound.unwrap_err().is::<&str>());
        // The end of the shard drops several wakers.
        for _ in 0..3 {
            let (near, far) = UnixStream::pair().unwrap();
            let source = Source::new(far);
            register(&source, &waker(|| (), raise_panics_in_drop));
            std::mem::forget((near, source));
        }
    });
}
