//! In a simulation all shards are on one thread, so a value that is not `Send` can reach another
//! shard through a thread-local. There its methods do the same as on their own shard, or return an
//! error.
//!
//! A thread's next run is another shard as well. The values of the last run do no harm in it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use straightline_sched::sim::{self, Device};
use straightline_sched::sync::{OnceCell, after, oneshot, select};
use straightline_sched::{
    self as sched, Config, DeadlineExceeded, Interest, JoinHandle, Lease, ShardJoinHandle, Source,
};

thread_local! {
    static LEFT: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

fn leave<T: 'static>(value: T) {
    LEFT.replace(Some(Box::new(value)));
}

fn find<T: 'static>() -> T {
    *LEFT.take().expect("something was left").downcast().expect("a value of this type")
}

/// Another shard, whose fibers have the same keys as those of the first.
fn other<T: Send + 'static>(root: impl FnOnce() -> T + Send + 'static) -> ShardJoinHandle<T> {
    sched::spawn_shard("other", Config::default(), root).expect("a shard can be made")
}

/// A fiber with the same key as a fiber of the other shard. If a shard confuses the two, this one
/// ends with an error.
fn innocent() -> JoinHandle<u32> {
    sched::spawn(|| {
        sched::sleep(Duration::from_secs(5));
        7
    })
}

fn patient() -> JoinHandle<u32> {
    sched::spawn(|| {
        sched::park();
        5
    })
}

/// Passes the value of `what` to `there`, which the root of another shard runs. The other shard
/// also has an innocent fiber.
fn across<L: 'static>(what: fn() -> L, there: fn(L)) {
    sim::check(move || {
        leave(what());
        let shard = other(move || {
            let innocent = innocent();
            there(find());
            assert_eq!(innocent.join().expect("the fiber returns"), 7);
        });
        shard.join().expect("no panic").expect("a result");
        assert_eq!(sched::spawn(|| 1).join().expect("the fiber returns"), 1);
    });
}

#[test]
fn a_cancel_from_another_shard_ends_that_fiber_and_no_other() {
    across(patient, |fiber| {
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_cancel_by_an_event_ends_the_fiber() {
    sim::check(|| {
        let fiber = Rc::new(patient());
        let handle = Rc::clone(&fiber);
        sim::after(Duration::from_secs(1), move || {
            handle.cancel();
            handle.fiber().unpark();
        });
        while !fiber.is_finished() {
            sched::sleep(Duration::from_secs(1));
        }
    });
}

#[test]
fn a_join_from_another_shard_returns_there() {
    across(innocent, |fiber| {
        let before = sched::current();
        assert_eq!(fiber.join().unwrap(), 7);
        assert_eq!(format!("{before:?}"), format!("{:?}", sched::current()));
    });
}

#[test]
fn a_join_from_another_shard_has_an_end_by_a_deadline() {
    across(patient, |fiber| {
        for _ in 0..3 {
            let late = sched::deadline(Duration::from_secs(1), || {
                assert!(select(&[&fiber]).is_err(), "the fiber is parked");
            });
            assert_eq!(late, Err(DeadlineExceeded));
        }
        let cancelling = fiber.fiber();
        let late = sched::deadline(Duration::from_secs(1), || drop(fiber.join()));
        assert_eq!(late, Err(DeadlineExceeded));
        cancelling.unpark();
    });
}

#[test]
fn an_unpark_from_another_shard_arrives() {
    across(patient, |fiber| {
        fiber.fiber().unpark();
        assert_eq!(fiber.join().unwrap(), 5);
    });
}

#[test]
fn a_select_waits_for_the_end_of_a_fiber_of_another_shard() {
    across(patient, |fiber| {
        assert_eq!(select(&[&fiber, &after(Duration::from_secs(1))]), Ok(1));
        fiber.cancel();
        assert_eq!(select(&[&fiber, &after(Duration::from_secs(3_600))]), Ok(0));
    });
}

#[test]
fn shards_that_join_each_others_roots_are_no_circle() {
    // The two roots have the same key, so each would seem to wait for itself.
    across(
        || sched::spawn(|| sched::sleep(Duration::from_secs(1))),
        |fiber| {
            let waiter = sched::spawn(move || fiber.join().is_ok());
            assert!(waiter.join().unwrap());
        },
    );
}

#[test]
fn the_panic_of_a_child_that_another_shard_drops_reaches_its_scope() {
    sim::check(|| {
        fn child() {
            std::panic::resume_unwind(Box::new("of the child"));
        }
        let mut shard = None;
        let scope = || {
            sched::scope(|s| {
                leave(s.spawn(child));
                s.spawn(|| sched::sleep(Duration::from_secs(3_600)));
                shard = Some(other(|| {
                    let innocent = innocent();
                    let fiber: JoinHandle<()> = find();
                    while !fiber.is_finished() {
                        sched::sleep(Duration::from_millis(1));
                    }
                    drop(fiber);
                    assert_eq!(innocent.join().unwrap(), 7);
                }));
            });
        };
        let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(scope)).unwrap_err();
        shard.unwrap().join().unwrap().unwrap();
        assert_eq!(payload.downcast_ref(), Some(&"of the child"));
        assert!(sim::elapsed() < Duration::from_secs(60));
    });
}

#[test]
fn a_lease_can_be_ended_from_another_shard() {
    sim::check(|| {
        let lease = Lease::new();
        leave(lease.clone());
        let shard = other(|| {
            let innocent = innocent();
            sched::sleep(Duration::from_secs(1));
            find::<Lease>().end();
            assert_eq!(innocent.join().unwrap(), 7);
        });
        assert_eq!(lease.hold(Duration::from_secs(3_600), sched::park), Err(DeadlineExceeded));
        assert!(sim::elapsed() < Duration::from_secs(60));
        shard.join().unwrap().unwrap();
    });
}

#[test]
fn a_source_says_that_it_is_another_shards() {
    sim::check(|| {
        let source = Rc::new(Source::new(Device::new("flag")));
        assert!(source.arm(Interest::Read).unwrap());
        leave(Rc::clone(&source));
        let shard = other(|| {
            let own = Source::new(Device::new("own"));
            assert!(own.arm(Interest::Read).unwrap()); // has the same key
            let source: Rc<Source<Device>> = find();
            assert_eq!(source.arm(Interest::Read).unwrap_err().kind(), ErrorKind::Other);
            assert!(source.wait(Interest::Write).is_err());
            source.clear(Interest::Read);
            assert!(!source.is_read_closed());
            assert_eq!(sched::stats().sources, 1);
            leave(source);
        });
        shard.join().unwrap().unwrap();
        drop(find::<Rc<Source<Device>>>());
        assert!(source.arm(Interest::Read).unwrap(), "the source still belongs to this shard");
    });
}

#[test]
fn a_source_that_another_shard_drops_is_forgotten_by_its_own() {
    sim::check(|| {
        let source = Source::new(Device::new("flag"));
        assert!(source.arm(Interest::Read).unwrap());
        leave(source);
        let shard = other(|| {
            let own = Source::new(Device::new("own"));
            assert!(own.arm(Interest::Read).unwrap()); // has the same key
            drop(find::<Source<Device>>());
            assert_eq!(sched::stats().sources, 1);
            assert!(own.arm(Interest::Read).unwrap());
        });
        shard.join().unwrap().unwrap();
        sched::sleep(Duration::from_millis(1));
        assert_eq!(sched::stats().sources, 0);
    });
}

#[test]
fn a_cell_is_made_by_one_shard_for_all() {
    sim::check(|| {
        let cell = Rc::new(OnceCell::new());
        leave(Rc::clone(&cell));
        let shard = other(|| {
            let cell: Rc<OnceCell<u32>> = find();
            *cell.get_or_init(|| 1).unwrap()
        });
        let made = *cell
            .get_or_init(|| {
                sched::sleep(Duration::from_millis(1));
                1
            })
            .unwrap();
        assert_eq!(shard.join().unwrap().unwrap(), made);
    });
}

#[test]
fn what_is_left_of_a_shard_that_has_ended_does_nothing() {
    sim::check(|| {
        let shard = other(|| {
            leave(patient());
            sched::yield_now();
        });
        shard.join().unwrap().unwrap();
        let innocent = innocent();
        let fiber: JoinHandle<u32> = find();
        fiber.cancel();
        fiber.fiber().unpark();
        assert_eq!(select(&[&fiber]), Ok(0));
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(innocent.join().unwrap(), 7);
    });
}

#[test]
fn what_is_left_of_a_threads_last_run_does_nothing_in_the_next() {
    let (sender, receiver) = oneshot::channel();
    sched::run(move || {
        let lease = Lease::new();
        leave((patient(), lease.clone(), sched::spawn(|| Cell::new(5_u32))));
        let held = sched::spawn(move || lease.hold(Duration::MAX, sched::park));
        sched::yield_now();
        let _ = sender.send(held.is_finished());
    });
    assert_eq!(receiver.recv(), Ok(false));
    let (patient, lease, value): (JoinHandle<u32>, Lease, JoinHandle<Cell<u32>>) = find();
    // Between two runs the thread has no shard.
    patient.cancel();
    patient.fiber().unpark();
    sched::run(move || {
        let innocent = sched::spawn(sched::park);
        sched::yield_now();
        patient.cancel();
        patient.fiber().unpark();
        lease.end();
        (0..10).for_each(|_| sched::yield_now());
        assert!(!innocent.is_finished());
        assert!(patient.join().unwrap_err().is_cancelled());
        assert_eq!(value.join().unwrap().get(), 5);
    });
}
