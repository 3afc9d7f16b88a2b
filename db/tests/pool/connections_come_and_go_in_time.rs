//! The times of connections: their making, their rest, their age, their repair.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use straightline_db::{Error, PoolConfig, Pooled};
use straightline_sched::{self as sched, fiber_local, sim};

use crate::fake::{World, pool};

const SOON: Duration = Duration::from_millis(10);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_connection_that_is_idle_for_too_long_is_closed() {
    sim::check(|| {
        let world = World::new();
        let config = PoolConfig::default().idle_timeout(Some(MINUTE)).lifetime_max(None);
        let pool = pool(&world, &config);
        let three = [(); 3].map(|()| pool.get().unwrap());
        drop(three);
        for _ in 0..10 {
            sched::sleep(MINUTE / 2);
            pool.get().unwrap().ask(SOON); // one of them is used
        }
        assert_eq!(world.open.get(), 1);
        assert_eq!((pool.stats().idle, pool.stats().expired), (1, 2));
        sched::sleep(MINUTE + SOON);
        assert_eq!(world.open.get(), 0);
        pool.get().unwrap().ask(SOON);
        assert_eq!(pool.stats().created, 4);
    });
}

#[test]
fn a_connection_that_is_too_old_is_closed_and_not_handed_out() {
    sim::check(|| {
        let world = World::new();
        let config = PoolConfig::default().idle_timeout(None).lifetime_max(Some(MINUTE));
        let pool = pool(&world, &config.connections_max(1));
        let first = pool.get().unwrap().number;
        sched::sleep(MINUTE * 8 / 10);
        assert_eq!(pool.get().unwrap().number, first, "a tenth is taken off by chance, not more");
        sched::sleep(MINUTE * 2 / 10 + SOON);
        assert_eq!((world.open.get(), pool.stats().expired), (0, 1));
        // In use, it is closed when it comes back.
        let connection = pool.get().unwrap();
        sched::sleep(MINUTE * 2);
        drop(connection);
        assert_eq!((world.open.get(), pool.stats().expired), (0, 2));
    });
}

#[test]
fn a_connect_that_outlasts_its_handler_is_not_in_vain() {
    sim::check(|| {
        let world = World::new();
        world.connect.set(Some(Duration::from_secs(1)));
        let pool = pool(&world, &PoolConfig::default());
        let late = sched::deadline(Duration::from_millis(100), || pool.get());
        assert!(late.is_err());
        sched::sleep(Duration::from_secs(1));
        assert_eq!(pool.stats().idle, 1);
        let soon = sched::deadline(Duration::from_millis(100), || pool.get().map(drop));
        assert!(matches!(soon, Ok(Ok(()))));
    });
}

#[test]
fn a_connect_has_a_timeout() {
    sim::check(|| {
        let world = World::new();
        world.connect.set(Some(Duration::from_secs(3_600)));
        let config = PoolConfig::default().connect_timeout(Duration::from_secs(2));
        let pool = pool(&world, &config);
        let start = sched::now();
        let error = pool.get().unwrap_err();
        assert!(matches!(error, Error::ConnectTimeout { .. }), "{error:?}");
        assert!((2_000..2_010).contains(&(sched::now() - start).as_millis()));
        assert_eq!(pool.stats().connect_failures, 1);
    });
}

#[test]
fn what_a_user_leaves_is_cleaned_before_the_next_one_comes() {
    sim::check(|| {
        let world = World::new();
        let pool = pool(&world, &PoolConfig::default().connections_max(1));
        pool.get().unwrap().is_dirty = true;
        pool.get().unwrap().ask(SOON); // which checks that it is clean
        // An unwind between two questions.
        let late = sched::deadline(SOON, || {
            let mut connection = pool.get().unwrap();
            connection.is_dirty = true;
            sched::sleep(MINUTE);
        });
        assert!(late.is_err());
        pool.get().unwrap().ask(SOON);
        assert_eq!((pool.stats().cleaned, pool.stats().created), (2, 1));
        // A cleaning that fails, and one that hangs: the connection is closed.
        for (clean, created) in [(None, 2), (Some(MINUTE), 3)] {
            world.clean.set(clean);
            pool.get().unwrap().is_dirty = true;
            let start = sched::now();
            pool.get().unwrap().ask(SOON);
            assert!(sched::now() - start < Duration::from_secs(4), "the timeout of the care");
            assert_eq!(pool.stats().created, created);
        }
        assert_eq!(pool.stats().clean_failures, 2);
    });
}

#[test]
fn unwound_work_is_stopped_without_waiting_in_the_unwind() {
    sim::check(|| {
        let world = World::new();
        world.abort.set(Some(Duration::from_secs(2)));
        let pool = pool(&world, &PoolConfig::default().connections_max(1));
        let start = sched::now();
        let late = sched::deadline(Duration::from_secs(1), || pool.get().unwrap().ask(MINUTE));
        assert!(late.is_err());
        assert!((1_000..1_010).contains(&(sched::now() - start).as_millis()), "not later");
        assert_eq!(world.open.get(), 1, "its place is taken until the work was stopped");
        let other = pool.get().unwrap();
        assert!((sched::now() - start).as_secs() >= 3);
        assert_eq!((world.open.get(), pool.stats().aborts, other.number), (1, 1, 2));
        drop(other);
        world.abort.set(Some(MINUTE)); // it hangs
        let late = sched::deadline(Duration::from_secs(1), || pool.get().unwrap().ask(MINUTE));
        assert!(late.is_err());
        sched::sleep(Duration::from_secs(3) + SOON);
        assert_eq!((world.open.get(), pool.stats().abort_failures), (0, 1));
    });
}

#[test]
fn a_connection_that_ended_while_it_was_idle_is_replaced_unseen() {
    sim::check(|| {
        let world = World::new();
        let pool = pool(&world, &PoolConfig::default());
        let two = [(); 2].map(|()| pool.get().unwrap());
        world.ended.borrow_mut().extend(two.iter().map(|connection| connection.number));
        let [one, other] = two;
        drop(one); // found when it comes back
        drop(other);
        let third = pool.get().unwrap().number;
        world.ended.borrow_mut().push(third); // found when it is handed out
        assert_eq!(pool.get().unwrap().number, 4);
        let fourth = pool.get().unwrap();
        Pooled::close(fourth); // its user says so
        assert_eq!((pool.stats().broken, world.open.get()), (4, 0));
    });
}

#[test]
fn the_pool_keeps_nothing_of_a_request() {
    fiber_local! {
        static inherited REQUEST: RefCell<Option<Rc<()>>> = RefCell::new(None);
    }
    sim::check(|| {
        let world = World::new();
        let pool = pool(&world, &PoolConfig::default());
        let request = Rc::new(());
        let here = Rc::downgrade(&request);
        let handler = sched::spawn({
            let pool = pool.clone();
            move || {
                REQUEST.with(|local| local.replace(Some(request)));
                pool.get().unwrap().ask(SOON);
            }
        });
        handler.join().unwrap();
        sched::sleep(SOON);
        assert_eq!(pool.stats().idle, 1, "its connection stays");
        assert!(here.upgrade().is_none(), "a fiber of the pool has inherited a value of it");
    });
}
