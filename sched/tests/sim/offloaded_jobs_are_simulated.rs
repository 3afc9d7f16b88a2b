//! In a simulation an offloaded job takes virtual time, and is bounded as on a system.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::common::unless_it_hangs;
use straightline_sched::sim::{self, Sim};
use straightline_sched::{self as sched, OffloadConfig, OffloadPool};

const COST: Duration = Duration::from_secs(1);

fn with_cost(root: impl FnOnce() + 'static) {
    Sim::new(1).offload_cost(COST..=COST).run(root).expect("the simulation succeeds");
}

#[test]
fn a_job_takes_its_time_and_others_run_meanwhile() {
    with_cost(|| {
        let other = sched::spawn(sim::elapsed);
        assert_eq!(sched::offload(|| 5).unwrap(), 5);
        assert!(sim::elapsed() >= COST);
        assert!(other.join().unwrap() < COST);
    });
}

#[test]
fn a_job_runs_outside_of_all_fibers() {
    with_cost(|| {
        let outside = || std::panic::catch_unwind(sched::current).is_err();
        assert!(sched::offload(outside).unwrap());
    });
}

#[test]
fn a_panic_of_a_job_is_its_callers() {
    with_cost(|| {
        let caller = sched::spawn(|| sched::offload(|| panic!("of the job")));
        let payload = caller.join().unwrap_err().into_panic().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"of the job"));
    });
}

#[test]
fn a_deadline_ends_the_wait_and_the_job_goes_on() {
    with_cost(|| {
        let ran = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&ran);
        let job = move || flag.store(true, Ordering::Relaxed);
        let late = sched::deadline(COST / 2, || sched::offload(job));
        assert!(late.is_err() && !ran.load(Ordering::Relaxed));
        sched::sleep(COST);
        assert!(ran.load(Ordering::Relaxed));
    });
}

#[test]
fn a_pool_runs_as_many_at_once_as_it_has_threads() {
    with_cost(|| {
        let config = OffloadConfig::default().with_max_threads(2).with_max_queue(3);
        let pool = Rc::new(OffloadPool::new(config));
        let ran = Arc::new(AtomicU32::new(0));
        let callers: Vec<_> = (0..6)
            .map(|_| {
                let (pool, ran) = (Rc::clone(&pool), Arc::clone(&ran));
                sched::spawn(move || pool.run(move || ran.fetch_add(1, Ordering::Relaxed)).is_ok())
            })
            .collect();
        sched::sleep(COST / 2);
        assert_eq!((pool.stats().threads, pool.stats().queued), (2, 3));
        for done in [2, 4, 5] {
            sched::sleep(COST);
            assert_eq!(ran.load(Ordering::Relaxed), done);
        }
        let served = callers.into_iter().map(|caller| caller.join().unwrap());
        assert_eq!(served.filter(|served| *served).count(), 5);
        let stats = pool.stats();
        assert_eq!((stats.threads, stats.lost, stats.refused), (0, 0, 1));
    });
}

#[test]
fn a_job_that_offloads_in_turn_does_not_stop_the_simulation() {
    unless_it_hangs(|| {
        with_cost(|| {
            let config = OffloadConfig::default().with_max_threads(1);
            let pool = Arc::new(OffloadPool::new(config));
            let inner = Arc::clone(&pool);
            let job = move || inner.run(|| sched::offload(|| 5)).unwrap().unwrap();
            assert_eq!(pool.run(job).unwrap(), 5);
            assert_eq!(sim::elapsed().as_secs(), COST.as_secs());
            let inner = Arc::clone(&pool);
            let closed = pool.run(move || {
                inner.close();
                inner.run(|| ()).unwrap_err().is_closed()
            });
            assert!(closed.unwrap());
        });
    });
}
