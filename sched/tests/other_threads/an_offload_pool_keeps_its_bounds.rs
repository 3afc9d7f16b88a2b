//! A pool bounds its threads, its waiting jobs and its lost threads. It refuses a job that does not
//! fit.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::common::run;
use quickcheck::{QuickCheck, TestResult};
use straightline_sched::{self as sched, JoinHandle, OffloadConfig, OffloadError, OffloadPool};

/// Jobs wait at the gate until it is opened. If a test fails, their threads stay, and do no harm.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<(Mutex<bool>, Condvar)>,
}

impl Gate {
    fn open(&self) {
        *self.open.0.lock().expect("no panics") = true;
        self.open.1.notify_all();
    }

    fn pass(&self) {
        let open = self.open.0.lock().expect("no panics");
        drop(self.open.1.wait_while(open, |open| !*open).expect("no panics"));
    }
}

/// Waits for a change that a thread of the pool makes without a notification.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sched::sleep(Duration::from_millis(1));
    }
}

fn pool(max_threads: usize, max_queue: usize, max_lost_threads: usize) -> Rc<OffloadPool> {
    let idle_timeout = Duration::from_secs(60);
    let name = "bounded".to_owned();
    let config = OffloadConfig::default()
        .with_max_threads(max_threads)
        .with_max_queue(max_queue)
        .with_max_lost_threads(max_lost_threads)
        .with_idle_timeout(idle_timeout)
        .with_name(name);
    Rc::new(OffloadPool::new(config))
}

type Caller = JoinHandle<Result<(), OffloadError>>;

/// A fiber that waits for a job that waits for the gate.
fn gated(pool: &Rc<OffloadPool>, gate: &Gate) -> Caller {
    let (pool, gate) = (Rc::clone(pool), gate.clone());
    sched::spawn(move || pool.run(move || gate.pass()))
}

fn cancel(caller: Caller) {
    caller.cancel();
    assert!(caller.join().expect_err("the fiber was cancelled").is_cancelled());
}

fn model(threads: u8, queue: u8, lost_max: u8, jobs: u8, leavers: Vec<u8>) -> TestResult {
    let threads = usize::from(threads % 4) + 1;
    let (queue, lost_max) = (usize::from(queue % 5), usize::from(lost_max % 4));
    let jobs = usize::from(jobs % 12);
    run(move || {
        let (pool, gate) = (pool(threads, queue, lost_max), Gate::default());
        let mut callers: Vec<_> = (0..jobs).map(|_| gated(&pool, &gate)).collect();
        sched::yield_now();
        // The pool accepts the first jobs, up to its limits.
        let fit = jobs.min(threads + queue);
        for caller in callers.split_off(fit) {
            assert!(caller.join().expect("ended").expect_err("refused").is_full());
        }
        assert!(callers.iter().all(|caller| !caller.is_finished()));
        until(|| pool.stats().idle == 0);
        let (mut running, mut lost) = (fit.min(threads), 0);
        assert_eq!(pool.stats().queued, fit - running);
        for leaver in leavers {
            if callers.is_empty() {
                break;
            }
            let leaver = usize::from(leaver) % callers.len();
            lost += usize::from(leaver < running);
            cancel(callers.remove(leaver));
            // A lost thread is replaced, up to the limit, and the next job in the queue begins.
            let serving = (threads + lost.min(lost_max)).saturating_sub(lost);
            running = callers.len().min(serving);
            until(|| pool.stats().idle == 0);
            let stats = pool.stats();
            assert_eq!((stats.lost, stats.queued), (lost, callers.len() - running), "{stats:?}");
            assert!(stats.threads <= threads + lost.min(lost_max), "{stats:?}");
        }
        gate.open();
        callers.into_iter().for_each(|caller| caller.join().expect("ended").expect("accepted"));
        until(|| pool.stats().lost == 0);
        let stats = pool.stats();
        assert_eq!(stats.refused, (jobs - fit) as u64);
        assert_eq!(stats.queued, 0);
        assert!(stats.threads <= threads + lost_max);
    });
    TestResult::passed()
}

#[test]
fn a_pool_does_as_its_model() {
    let check: fn(u8, u8, u8, u8, Vec<u8>) -> TestResult = model;
    QuickCheck::new().tests(60).quickcheck(check);
}

#[test]
fn the_queue_takes_its_limit_and_not_one_more() {
    run(|| {
        let (pool, gate) = (pool(1, 2, 0), Gate::default());
        let callers: Vec<_> = (0..3).map(|_| gated(&pool, &gate)).collect();
        sched::yield_now();
        let error = pool.run(|| ()).unwrap_err();
        assert!(error.is_full());
        assert!(!error.is_closed() && !error.is_out_of_threads() && !error.is_unwinding());
        assert_eq!(io::Error::from(error).kind(), ErrorKind::ResourceBusy);
        gate.open();
        callers.into_iter().for_each(|caller| caller.join().unwrap().unwrap());
        pool.run(|| ()).unwrap();
        assert_eq!(pool.stats().refused, 1);
    });
}

#[test]
fn a_job_that_has_not_begun_never_does_when_its_caller_leaves() {
    run(|| {
        let (pool, gate) = (pool(1, 1, 0), Gate::default());
        let first = gated(&pool, &gate);
        sched::yield_now();
        until(|| pool.stats().idle == 0);
        let dropped = Arc::new(());
        let second = sched::spawn({
            let (pool, dropped) = (Rc::clone(&pool), Arc::clone(&dropped));
            move || pool.run(move || drop(dropped))
        });
        sched::yield_now();
        assert_eq!(pool.stats().queued, 1);
        cancel(second);
        assert_eq!(Arc::strong_count(&dropped), 1, "its closure is gone");
        assert_eq!((pool.stats().queued, pool.stats().lost), (0, 0));
        gate.open();
        first.join().unwrap().unwrap();
        assert_eq!(pool.stats().completed, 1);
    });
}

#[test]
fn without_a_replacement_the_pool_refuses_until_a_lost_thread_is_back() {
    run(|| {
        let (pool, gate) = (pool(1, 0, 1), Gate::default());
        for lost in 1..=2 {
            let caller = gated(&pool, &gate);
            sched::yield_now();
            until(|| pool.stats().idle == 0);
            cancel(caller);
            assert_eq!(pool.stats().lost, lost);
        }
        assert!(pool.run(|| ()).unwrap_err().is_full());
        gate.open();
        until(|| pool.stats().lost == 0);
        assert_eq!(pool.run(|| 3).unwrap(), 3);
        assert_eq!(pool.stats().completed, 3, "the lost jobs have ended, too");
        until(|| pool.stats().threads == 1);
    });
}

#[test]
fn closing_drops_what_has_not_begun_and_lets_the_rest_end() {
    run(|| {
        let (pool, gate) = (pool(1, 5, 0), Gate::default());
        let running = gated(&pool, &gate);
        sched::yield_now();
        until(|| pool.stats().idle == 0);
        let waiting: Vec<_> = (0..5).map(|_| gated(&pool, &gate)).collect();
        sched::yield_now();
        pool.close();
        for caller in waiting {
            assert!(caller.join().unwrap().unwrap_err().is_closed());
        }
        assert!(pool.run(|| ()).unwrap_err().is_closed());
        assert!(!running.is_finished());
        gate.open();
        running.join().unwrap().unwrap();
        until(|| pool.stats().threads == 0);
    });
}

#[test]
fn a_thread_with_nothing_to_do_ends() {
    run(|| {
        let idle_timeout = Duration::from_millis(1);
        let config = OffloadConfig::default().with_idle_timeout(idle_timeout);
        let pool = OffloadPool::new(config);
        for round in 1..=3 {
            pool.run(|| ()).unwrap();
            until(|| pool.stats().threads == 0);
            assert_eq!((pool.stats().idle, pool.stats().completed), (0, round));
        }
    });
}

#[test]
fn a_result_that_is_not_taken_may_panic_as_it_is_dropped() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("dropped"));
        }
    }
    run(|| {
        let (pool, gate) = (pool(1, 1, 0), Gate::default());
        let caller = sched::spawn({
            let (pool, gate) = (Rc::clone(&pool), gate.clone());
            move || {
                pool.run(move || {
                    gate.pass();
                    Panics
                })
            }
        });
        sched::yield_now();
        until(|| pool.stats().idle == 0);
        caller.cancel();
        assert!(caller.join().is_err_and(|error| error.is_cancelled()));
        gate.open();
        until(|| pool.stats().lost == 0);
        assert_eq!(pool.run(|| 1).unwrap(), 1);
    });
}

/// Runs a job that runs another job of the same pool, and so on, `depth` jobs deep. Returns the
/// depth that was reached.
fn nested(pool: &Arc<OffloadPool>, depth: usize) -> Result<usize, OffloadError> {
    let own = Arc::clone(pool);
    pool.run(move || match depth {
        0 => Ok(0),
        _ => nested(&own, depth - 1).map(|depth| depth + 1),
    })?
}

fn shared_pool(max_threads: usize) -> Arc<OffloadPool> {
    Arc::new(OffloadPool::new(OffloadConfig::default().with_max_threads(max_threads)))
}

#[test]
fn jobs_of_jobs_are_run_while_a_thread_is_left_for_them() {
    for threads in 1..=4 {
        run(move || {
            let pool = shared_pool(threads);
            assert_eq!(nested(&pool, threads - 1).unwrap(), threads - 1);
            let error = nested(&pool, threads).unwrap_err();
            assert!(error.is_deadlock(), "{error}");
            assert!(error.to_string().contains("use another pool"), "{error}");
            assert_eq!(io::Error::from(error).kind(), ErrorKind::Deadlock);
            // No job waits any more.
            assert_eq!(nested(&pool, threads - 1).unwrap(), threads - 1);
            assert_eq!(pool.stats().refused, 1);
        });
    }
}

#[test]
fn jobs_that_all_begin_to_wait_at_once_do_not_wait_for_ever() {
    run(|| {
        let pool = shared_pool(3);
        for _ in 0..50 {
            let callers: Vec<_> = (0..8)
                .map(|_| {
                    let pool = Arc::clone(&pool);
                    sched::spawn(move || nested(&pool, 1))
                })
                .collect();
            for caller in callers {
                match caller.join().unwrap() {
                    Ok(depth) => assert_eq!(depth, 1),
                    Err(error) => assert!(error.is_deadlock(), "{error}"),
                }
            }
        }
        until(|| pool.stats().idle == pool.stats().threads);
        let stats = pool.stats();
        assert_eq!((stats.queued, stats.lost), (0, 0), "{stats:?}");
    });
}

#[test]
fn a_thread_that_is_one_too_many_stays_while_the_others_wait() {
    run(|| {
        let (pool, gate, waits) = (shared_pool(1), Gate::default(), Gate::default());
        // A lost thread, and its replacement, whose job waits for a third thread.
        let (own, job) = (Arc::clone(&pool), gate.clone());
        let leaver = sched::spawn(move || own.run(move || job.pass()));
        until(|| pool.stats().threads == 1 && pool.stats().idle == 0);
        cancel(leaver);
        let (own, begun) = (Arc::clone(&pool), waits.clone());
        let caller = sched::spawn(move || {
            let inner = Arc::clone(&own);
            own.run(move || {
                begun.pass();
                nested(&inner, 0)
            })
        });
        until(|| pool.stats().threads == 2 && pool.stats().idle == 0);
        waits.open();
        until(|| pool.stats().queued == 1);
        gate.open();
        assert_eq!(caller.join().unwrap().unwrap().unwrap(), 0);
    });
}
