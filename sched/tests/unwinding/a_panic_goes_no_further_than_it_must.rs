//! A destructor, a payload or a waker of the user's code that panics harms no other fiber, whatever
//! has to drop or call it.
//!
//! The worst payload is one whose own destructor panics, with another payload of that kind. What
//! a fiber leaves is dropped on the fiber; the rest is dropped by the shard, by a pool, or at the
//! end.

use std::io::Write;
use std::ops::ControlFlow::{Break, Continue};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use crate::common::{Evil, raise_evil, settle, swallow_for_ever, unless_it_hangs};
use straightline_sched::sim;
use straightline_sched::{
    self as sched, Config, Handle, Interest, OffloadConfig, OffloadPool, Reporter, Source,
    fiber_local, shard_local,
};

fiber_local! {
    static LOCAL: Option<Evil> = Some(Evil);
}

/// Each leaves something evil to the fiber, or to the shard, and goes on.
const DEEDS: [(&str, fn()); 13] = [
    ("a panic that is not joined", || drop(sched::spawn(raise_evil))),
    ("a result that is not joined", || drop(sched::spawn(|| Evil))),
    ("a handle that is dropped after the end", || {
        let fiber = sched::spawn(raise_evil);
        settle();
        drop(fiber);
    }),
    ("a closure that never begins", || {
        let evil = Evil;
        sched::spawn(move || drop(evil)).cancel();
    }),
    ("a fiber-local", || drop(sched::spawn(|| LOCAL.with(|evil| assert!(evil.is_some()))))),
    ("a last hook", || {
        let fiber = sched::spawn(|| {
            std::mem::forget(sched::before_park(Rc::new(raise_evil)));
            5
        });
        assert_eq!(fiber.join().expect("it works"), 5, "the hook is not the fiber");
    }),
    ("a hook that was never called", || {
        sched::spawn_episodes(|| {
            let evil = Evil;
            std::mem::forget(sched::before_park(Rc::new(move || {
                assert_eq!(size_of_val(&evil), 0);
            })));
            Break(())
        });
    }),
    ("episodes", || {
        let evil = Evil;
        sched::spawn_episodes(
            move || if size_of_val(&evil) == 0 { Break(()) } else { Continue(()) },
        );
    }),
    ("the panic of an episode", || {
        sched::spawn_episodes(|| {
            raise_evil();
            Break(())
        });
    }),
    ("two children of a scope", || {
        let scope = || {
            sched::scope(|s| {
                s.spawn(raise_evil);
                s.spawn(raise_evil);
            });
        };
        std::mem::forget(catch_unwind(scope).expect_err("it fails"));
    }),
    ("a child of a scope whose body panics", || {
        let scope = || {
            sched::scope(|s| {
                s.spawn(raise_evil);
                s.spawn(|| Evil);
                sched::yield_now();
                panic_quietly();
            });
        };
        assert!(catch_unwind(scope).expect_err("it fails").is::<&str>());
    }),
    ("the value of a scope whose child panics", || {
        let scope = || {
            sched::scope(|s| {
                s.spawn(raise_evil);
                Evil
            })
        };
        match catch_unwind(scope) {
            Ok(_) => unreachable!("a child panicked"),
            Err(payload) => std::mem::forget(payload),
        }
    }),
    ("a sent closure", || {
        let evil = Evil;
        Handle::current().spawn(move || drop(evil)).expect("it works");
    }),
];

fn panic_quietly() {
    resume_unwind(Box::new("of the body"));
}

/// Does it, and looks whether the shard is none the worse.
fn survives(name: &'static str, deed: fn()) {
    let deed = sched::Builder::new().name(name).spawn(deed).expect("it works");
    settle();
    if let Err(error) = deed.join() {
        std::mem::forget(error);
        panic!("{name}: another fiber has the panic");
    }
    assert_eq!(sched::spawn(|| 5).join().expect("it works"), 5, "{name}");
    let stats = sched::stats();
    assert_eq!((stats.fibers_now, stats.stacks_now), (1, 1), "{name}: {stats:?}");
}

#[test]
fn a_shard_survives_whatever_its_fibers_leave() {
    for (name, deed) in DEEDS {
        let survived = unless_it_hangs(move || sched::run(move || survives(name, deed)));
        survived.expect(name);
    }
}

#[test]
fn so_does_a_simulation() {
    for (name, deed) in DEEDS {
        sim::run(1, move || survives(name, deed));
    }
}

#[test]
fn what_a_shard_leaves_that_is_not_joined_does_no_harm() {
    sim::run(1, || {
        drop(sched::spawn_shard("returns", Config::default(), || Evil));
        drop(sched::spawn_shard("panics", Config::default(), raise_evil));
    });
    let held = Arc::new(());
    for panics in [false, true] {
        let held = Arc::clone(&held);
        let root = move || {
            assert!(Arc::strong_count(&held) > 1, "it is held until this returns");
            if panics {
                raise_evil();
            }
            Evil
        };
        let shard = sched::spawn_shard("evil", Config::default(), root).unwrap();
        // If it has ended, its result is the handle's, and is dropped with it as any value is.
        std::mem::forget(catch_unwind(AssertUnwindSafe(|| drop(shard))));
    }
    // The threads are not joined; what they do wrong at their end aborts the process.
    while Arc::strong_count(&held) > 1 {
        std::thread::yield_now();
    }
}

#[test]
fn a_simulation_whose_events_are_evil_ends() {
    let evil = Evil;
    sim::run(1, move || {
        sim::after(Duration::from_secs(3_600), move || drop(evil));
    });
    let failure = sim::Sim::new(1).run(|| {
        sim::after(Duration::ZERO, raise_evil);
        sim::after(Duration::ZERO, raise_evil);
        sched::sleep(Duration::from_secs(1));
    });
    std::mem::forget(failure.unwrap_err());
}

#[test]
fn a_reporter_with_an_evil_panic_is_survived() {
    give_up_one(Reporter::new(|_| raise_evil()), || ());
}

/// Has a fiber given up that begins with `begin`. On a thread of its own, which never ends.
fn give_up_one(reporter: Reporter, begin: fn()) {
    let told = unless_it_hangs(move || {
        sched::run_with(Config { reporter, ..Config::default() }, move || {
            let stubborn = sched::spawn(move || {
                begin();
                swallow_for_ever();
            });
            sched::yield_now();
            stubborn.cancel();
            stubborn.join().is_err_and(|error| error.is_given_up())
        })
    });
    assert!(told.expect("a shard can be made"), "it was not given up");
}

#[test]
fn what_a_given_up_fiber_owns_is_never_dropped() {
    give_up_one(Reporter::new(|_| ()), || {
        LOCAL.with(|evil| assert!(evil.is_some()));
        std::mem::forget(sched::before_park(Rc::new(sched::yield_now)));
    });
}

shard_local! {
    static OF_SHARD: Option<Evil> = Some(Evil);
    static OTHER_OF_SHARD: Option<Evil> = Some(Evil);
}

#[test]
fn evil_shard_locals_and_values_of_a_simulation_do_no_harm() {
    let make = || {
        assert!(OF_SHARD.with(Option::is_some).unwrap());
        assert!(OTHER_OF_SHARD.with(Option::is_some).unwrap());
    };
    sched::run(make).unwrap();
    let ended_at = sim::run(1, move || {
        make();
        sim::local(|| Evil);
        sim::local(|| Some(Evil));
        sched::spawn_shard("other", Config::default(), make).unwrap().join().unwrap().unwrap();
        sim::elapsed()
    });
    assert!(ended_at < Duration::from_secs(1), "the values' fiber was given up");
}

#[test]
fn a_pool_keeps_its_threads_whatever_its_jobs_leave() {
    unless_it_hangs(|| {
        let config = OffloadConfig { threads_max: 1, ..OffloadConfig::default() };
        let pool = Arc::new(OffloadPool::new(config));
        sched::run(move || {
            for panics in [true, false] {
                // The caller leaves while the job runs: the pool has its result.
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
                                raise_evil();
                            }
                            Evil
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
        })
        .unwrap();
    });
}

#[test]
fn a_pool_that_closes_refuses_every_job_whatever_they_hold() {
    unless_it_hangs(|| {
        let config = OffloadConfig { threads_max: 1, ..OffloadConfig::default() };
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
                    let (pool, evil) = (Arc::clone(&pool), Evil);
                    sched::spawn(move || {
                        pool.run(move || drop(evil)).map_err(|error| error.is_closed())
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
        })
        .unwrap();
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

/// Registers one for either direction, as a future's poll does.
fn register(source: &Source<UnixStream>, waker: &Waker) {
    let poll = source.poll_ready(Interest::Read, &mut Context::from_waker(waker));
    assert!(poll.is_pending());
}

#[test]
fn a_shard_survives_wakers_that_panic_or_take_it_for_a_fiber() {
    type Deed = fn();
    let wakers: [(&str, Deed, Deed); 5] = [
        ("a wake that panics", raise_evil, || ()),
        ("a drop that panics", || (), raise_evil),
        ("both", raise_evil, raise_evil),
        ("one that spawns", || drop(sched::spawn(|| ())), || ()),
        ("one that asks for the fiber", || drop(sched::current()), || ()),
    ];
    for (name, on_wake, on_drop) in wakers {
        let survived = sched::run(move || {
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
        // In the place of another one, with the source, and in an unwind.
        register(&source, &waker(|| (), raise_evil));
        register(&source, &waker(|| (), raise_evil));
        drop(source);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let (_near, far) = UnixStream::pair().unwrap();
            let source = Source::new(far);
            register(&source, &waker(|| (), raise_evil));
            panic_quietly();
        }));
        assert!(unwound.unwrap_err().is::<&str>());
        // At the end of the shard, which has several.
        for _ in 0..3 {
            let (near, far) = UnixStream::pair().unwrap();
            let source = Source::new(far);
            register(&source, &waker(|| (), raise_evil));
            std::mem::forget((near, source));
        }
    })
    .unwrap();
}
