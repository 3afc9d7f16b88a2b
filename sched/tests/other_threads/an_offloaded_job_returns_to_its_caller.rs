//! A job runs on a thread of the pool. Only its caller waits, and the caller gets the job's value
//! or panic.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;

use straightline_sched::{self as sched, OffloadConfig, OffloadPool};

#[test]
fn the_job_runs_on_a_named_thread_of_the_pool_and_its_caller_gets_the_value() {
    sched::run(|| {
        let config = OffloadConfig::default().with_name("files");
        let pool = OffloadPool::new(config);
        let (thread, name) = pool
            .run(|| (thread::current().id(), thread::current().name().map(str::to_owned)))
            .unwrap();
        assert_ne!(thread, thread::current().id());
        assert_eq!(name.as_deref(), Some("files"));
    });
}

#[test]
fn other_fibers_run_meanwhile() {
    sched::run(|| {
        let (go, gone) = mpsc::channel();
        let turns = Rc::new(Cell::new(0));
        let other = sched::spawn({
            let turns = Rc::clone(&turns);
            move || {
                for _ in 0..100 {
                    turns.set(turns.get() + 1);
                    sched::yield_now();
                }
                go.send("released").unwrap(); // the job waits for a fiber of the caller's thread
            }
        });
        assert_eq!(sched::offload(move || gone.recv().unwrap()).unwrap(), "released");
        assert_eq!(turns.get(), 100);
        other.join().unwrap();
    });
}

#[test]
fn a_panic_of_the_job_is_its_callers() {
    sched::run(|| {
        let fiber = sched::spawn(|| sched::offload(|| std::panic::panic_any(7_u32)));
        let payload = fiber.join().map(drop).unwrap_err().into_panic().unwrap();
        assert_eq!(payload.downcast_ref::<u32>(), Some(&7));
        // The thread and the pool have survived the panic.
        assert_eq!(sched::offload(|| 1).unwrap(), 1);
    });
}

#[test]
fn a_thread_without_fibers_waits_itself() {
    let pool = OffloadPool::new(OffloadConfig::default());
    assert_eq!(pool.run(|| "value").unwrap(), "value");
    let payload = catch_unwind(AssertUnwindSafe(|| pool.run(|| std::panic::panic_any("no"))));
    assert_eq!(payload.unwrap_err().downcast_ref::<&str>(), Some(&"no"));
    assert_eq!(pool.stats().completed, 2);
}

#[test]
fn many_fibers_of_many_shards_get_their_own_results() {
    let shards: Vec<_> = (0..3_u64)
        .map(|shard| {
            thread::spawn(move || {
                sched::run(move || {
                    let fibers: Vec<_> = (0..200)
                        .map(|n| (n, sched::spawn(move || sched::offload(move || (shard, n * n)))))
                        .collect();
                    for (n, fiber) in fibers {
                        assert_eq!(fiber.join().unwrap().unwrap(), (shard, n * n));
                    }
                });
            })
        })
        .collect();
    shards.into_iter().for_each(|shard| shard.join().unwrap());
}

#[test]
fn wakeups_that_mean_something_else_do_not_end_the_wait() {
    sched::run(|| {
        let (go, gone) = mpsc::channel();
        let caller = sched::spawn(move || sched::offload(move || gone.recv().unwrap()));
        for _ in 0..10 {
            caller.fiber().unpark();
            sched::yield_now();
        }
        assert!(!caller.is_finished());
        go.send(5).unwrap();
        assert_eq!(caller.join().unwrap().unwrap(), 5);
    });
}

#[test]
fn an_unwinding_fiber_runs_no_job() {
    struct Offloads(mpsc::Sender<bool>);
    impl Drop for Offloads {
        fn drop(&mut self) {
            let refused = sched::offload(|| ()).is_err_and(|error| error.is_unwinding());
            self.0.send(refused).unwrap();
        }
    }
    sched::run(|| {
        let (sender, receiver) = mpsc::channel();
        let fiber = sched::spawn(move || {
            let _guard = Offloads(sender);
            sched::park();
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert!(receiver.recv().unwrap());
    });
}
