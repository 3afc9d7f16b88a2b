//! A thread runs one shard at a time. Shards may run one after the other on a thread or at the same
//! time on several threads, but never nested.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use straightline_sched as sched;

#[test]
fn a_thread_may_run_one_shard_after_the_other() {
    for round in 0..100 {
        let value = sched::run_with(sched::Config::default(), move || {
            sched::spawn(move || round).join().unwrap()
        });
        assert_eq!(value.unwrap(), round);
    }
}

#[test]
fn a_run_inside_of_run_panics_and_the_outer_one_goes_on() {
    sched::run(|| {
        let nested = sched::spawn(|| sched::run_with(sched::Config::default(), || ()));
        let error = nested.join().unwrap_err();
        assert!(error.to_string().contains("`run` called inside `run`"), "{error}");
        sched::sleep(Duration::from_millis(1));
        assert_eq!(sched::spawn(|| "fine").join().unwrap(), "fine");
    });
}

#[test]
fn a_blocking_call_outside_of_run_says_so() {
    let calls: [(&str, fn()); 9] = [
        ("park", sched::park),
        ("park_timeout", || sched::park_timeout(Duration::ZERO)),
        ("sleep", || sched::sleep(Duration::ZERO)),
        ("yield_now", sched::yield_now),
        ("wake_later", sched::wake_later),
        ("spawn", || drop(sched::spawn(|| ()))),
        ("current", || drop(sched::current())),
        ("ShardHandle::current", || drop(sched::ShardHandle::current())),
        ("now", || assert!(sched::turn_start().elapsed() < Duration::MAX)),
    ];
    for (name, call) in calls {
        let payload = catch_unwind(call).unwrap_err();
        let message = payload.downcast_ref::<&str>().unwrap();
        assert!(message.contains("outside of a fiber"), "{name}: {message}");
    }
    // The thread can still run a shard.
    assert_eq!(sched::run(|| sched::spawn(|| 5).join().unwrap()), 5);
}

#[test]
fn a_thread_started_by_a_fiber_is_outside_of_run() {
    sched::run(|| {
        let result = thread::spawn(sched::park).join();
        assert!(result.is_err());
    });
}

#[test]
fn a_thread_whose_root_panicked_may_run_again() {
    for _ in 0..3 {
        let root = || -> u32 { panic!("broken") };
        assert!(
            catch_unwind(AssertUnwindSafe(|| sched::run_with(sched::Config::default(), root)))
                .is_err()
        );
    }
    assert_eq!(sched::run(|| 5), 5);
}

#[test]
fn shards_on_several_threads_do_not_meet() {
    let shard = |number: u32| {
        move || {
            sched::run_with(sched::Config::default(), move || {
                let fibers: Vec<_> = (0..100)
                    .map(|index| {
                        sched::spawn(move || {
                            sched::sleep(Duration::from_millis(u64::from(index % 5)));
                            assert_eq!(thread::current().name(), Some(&*number.to_string()));
                            number * index
                        })
                    })
                    .collect();
                fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum::<u32>()
            })
        }
    };
    let threads: Vec<_> = (0..4)
        .map(|number| thread::Builder::new().name(number.to_string()).spawn(shard(number)).unwrap())
        .collect();
    for (number, thread) in (0..).zip(threads) {
        assert_eq!(thread.join().unwrap().unwrap(), number * 4_950);
    }
}

#[test]
fn shards_can_play_ping_pong() {
    const ROUNDS: u32 = 200;

    /// Counts a stroke and sends the next one to the other shard, until there are enough strokes.
    fn strike(
        from: sched::ShardHandle,
        to: sched::ShardHandle,
        strokes: Arc<AtomicU32>,
        done: sched::Fiber,
    ) {
        if strokes.fetch_add(1, Ordering::Relaxed) + 1 == ROUNDS {
            done.unpark();
            return;
        }
        let sent = to.clone().spawn(move || strike(to, from, strokes, done));
        assert!(sent.is_ok(), "the other shard still runs");
    }

    sched::run(|| {
        let here = sched::ShardHandle::current();
        let done = sched::current();
        let strokes = Arc::new(AtomicU32::new(0));
        let other = thread::spawn({
            let strokes = Arc::clone(&strokes);
            move || {
                sched::run_with(sched::Config::default(), move || {
                    let there = sched::ShardHandle::current();
                    strike(there, here, Arc::clone(&strokes), done);
                    while strokes.load(Ordering::Relaxed) < ROUNDS {
                        sched::sleep(Duration::from_millis(1));
                    }
                })
            }
        });
        while strokes.load(Ordering::Relaxed) < ROUNDS {
            sched::park();
        }
        other.join().unwrap().unwrap();
    });
}
