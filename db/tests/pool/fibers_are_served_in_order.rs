//! The queue of a pool: its order, its limits, its timeout.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use straightline_db::{Error, PoolConfig};
use straightline_sched::{self as sched, sim};

use crate::fake::{World, pool};

const SOON: Duration = Duration::from_millis(10);

#[test]
fn the_fiber_that_has_waited_longest_comes_first() {
    sim::check(|| {
        let world = World::new();
        let pool = pool(&world, &PoolConfig::default().connections_max(2));
        let served = Rc::new(RefCell::new(Vec::new()));
        let fibers: Vec<_> = (0..20)
            .map(|number| {
                let (pool, served) = (pool.clone(), Rc::clone(&served));
                let fiber = sched::spawn(move || {
                    let mut connection = pool.get().unwrap();
                    served.borrow_mut().push(number);
                    connection.ask(SOON);
                });
                // It stands in the queue before the next one does, whatever the seed.
                sched::sleep(Duration::from_millis(1));
                fiber
            })
            .collect();
        // Two of them give up: the others keep their order.
        for leaving in [7, 12] {
            fibers[leaving].cancel();
        }
        for (number, fiber) in fibers.into_iter().enumerate() {
            assert_eq!(fiber.join().is_err(), [7, 12].contains(&number), "{number}");
        }
        let expected = (0..20).filter(|number| ![7, 12].contains(number));
        assert!(served.borrow().iter().copied().eq(expected), "{:?}", served.borrow());
        assert_eq!(world.open_max.get(), 2);
    });
}

#[test]
fn so_many_fibers_wait_and_one_more_is_refused() {
    sim::check(|| {
        let world = World::new();
        for waiting_max in [0, 1, 5] {
            let config = PoolConfig::default().connections_max(1).waiting_max(waiting_max + 1);
            let pool = pool(&world, &config);
            let taken = pool.get().unwrap();
            let waiting: Vec<_> = (0..waiting_max)
                .map(|_| {
                    let pool = pool.clone();
                    sched::spawn(move || pool.get().map(drop))
                })
                .collect();
            sched::sleep(SOON);
            // One below the limit may wait, and at the limit none.
            let pool_of_last = pool.clone();
            let last = sched::spawn(move || pool_of_last.get().map(drop));
            sched::sleep(SOON);
            assert_eq!(pool.stats().waiting, waiting_max as u64 + 1);
            let refused = pool.get().unwrap_err();
            assert!(matches!(refused, Error::TooManyWaiting { .. }), "{refused:?}");
            assert_eq!(pool.stats().refused, 1);
            drop(taken);
            for fiber in waiting.into_iter().chain([last]) {
                fiber.join().unwrap().unwrap();
            }
        }
    });
}

#[test]
fn a_wait_ends_at_the_timeout_or_at_the_deadline() {
    sim::check(|| {
        let world = World::new();
        let config = PoolConfig::default().connections_max(1);
        let pool = pool(&world, &config.acquire_timeout(Duration::from_secs(3)));
        let taken = pool.get().unwrap();
        let start = sched::now();
        let error = pool.get().unwrap_err();
        assert!(matches!(error, Error::AcquireTimeout { waiting: 0, .. }), "{error:?}");
        let waited = sched::now() - start;
        assert!((3_000..3_010).contains(&waited.as_millis()), "{waited:?}");
        let start = sched::now();
        assert!(sched::deadline(Duration::from_secs(1), || pool.get()).is_err());
        let waited = sched::now() - start;
        assert!((1_000..1_010).contains(&waited.as_millis()), "{waited:?}");
        drop(taken);
        assert!(pool.get().is_ok(), "neither has left anything in the queue");
        assert_eq!((pool.stats().waiting, pool.stats().acquire_timeouts), (0, 1));
    });
}

#[test]
fn a_closed_pool_lets_its_fibers_go() {
    sim::check(|| {
        let world = World::new();
        let pool = pool(&world, &PoolConfig::default().connections_max(1));
        let taken = pool.get().unwrap();
        let waiting = sched::spawn({
            let pool = pool.clone();
            move || pool.get().map(drop)
        });
        sched::sleep(SOON);
        pool.close();
        assert!(matches!(waiting.join().unwrap(), Err(Error::Closed)));
        assert!(matches!(pool.get(), Err(Error::Closed)));
        assert_eq!(world.open.get(), 1, "what is handed out stays");
        drop(taken);
        assert_eq!(world.open.get(), 0);
    });
}

#[test]
fn a_connect_that_fails_is_told_to_one_fiber_and_the_next_one_tries_again() {
    sim::check(|| {
        let world = World::new();
        world.connect.set(None);
        let pool = pool(&world, &PoolConfig::default().connections_max(2));
        let fibers: Vec<_> = (0..10)
            .map(|_| {
                let pool = pool.clone();
                sched::spawn(move || pool.get().map(drop))
            })
            .collect();
        for fiber in fibers {
            let error = fiber.join().unwrap().unwrap_err();
            assert_eq!(error.to_string(), "cannot connect to nowhere: refused");
        }
        assert_eq!(pool.stats().connect_failures, 10);
        world.connect.set(Some(SOON));
        assert!(pool.get().is_ok());
    });
}
