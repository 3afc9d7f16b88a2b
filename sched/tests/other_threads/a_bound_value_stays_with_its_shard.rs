//! A `ShardBound` is `Send` and `Sync`, and its value is used and dropped on its own shard alone.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};

use crate::common::{Census, Counted, OnDrop, on_a_shard, unless_it_hangs};
use straightline_sched::{self as sched, Config, ShardBound, sim, sync};

/// Neither `Send` nor `Sync`.
type Local = Rc<Cell<u32>>;

fn bound(value: u32) -> ShardBound<Local> {
    ShardBound::new(Rc::new(Cell::new(value)))
}

fn on_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(body).join().expect("the thread returns")
}

fn panic_of(act: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(act)).expect_err("it is refused");
    payload.downcast_ref::<String>().expect("a formatted text").clone()
}

#[test]
fn it_is_send_and_sync_whatever_it_holds() {
    fn check<T: Send + Sync + Unpin>() {}
    check::<ShardBound<Local>>();
    check::<ShardBound<*mut u8>>();
    check::<ShardBound<Pin<Box<dyn Future<Output = Local>>>>>();
    check::<Box<dyn Fn() + Send + Sync>>();
}

#[test]
fn it_is_used_as_its_value_at_home() {
    on_a_shard(|| {
        let mut bound = bound(1);
        bound.set(2);
        assert_eq!(bound.try_get().map(|value| value.get()), Ok(2));
        *bound = Rc::new(Cell::new(3));
        assert!(bound.is_here());
        assert_eq!(format!("{bound:?}"), "ShardBound(Cell { value: 3 })");
        let other = bound.clone();
        other.set(4);
        assert_eq!(bound.get(), 4, "a clone of the Rc");
        let fiber = sched::spawn(move || other.get());
        assert_eq!(fiber.join().expect("the fiber returns"), 4);
        assert_eq!(bound.try_into_inner().expect("at home").get(), 4);
    });
}

#[test]
fn every_use_on_a_plain_thread_is_refused() {
    on_a_shard(|| {
        let bound = bound(1);
        let bound = on_a_thread(move || {
            let mut bound = bound;
            assert!(!bound.is_here());
            assert!(bound.try_get().is_err());
            assert!(bound.try_get_mut().is_err());
            assert_eq!(format!("{bound:?}"), "ShardBound(\"..\")");
            for text in [
                panic_of(|| bound.set(2)),
                panic_of(|| *bound = Rc::default()),
                panic_of(|| drop(bound.clone())),
            ] {
                assert!(text.contains("is used on a thread without a shard"), "{text}");
            }
            bound.try_into_inner().expect_err("not at home")
        });
        assert_eq!(bound.get(), 1);
    });
}

#[test]
fn another_shard_is_refused_by_its_number() {
    on_a_shard(|| {
        let bound = Arc::new(bound(1));
        let theirs = Arc::clone(&bound);
        let other = sched::spawn_shard("other", Config::default(), move || {
            let error = theirs.try_get().expect_err("another shard").to_string();
            assert!(error.contains("that belongs to shard"), "{error}");
            assert!(error.contains("is used on shard"), "{error}");
        });
        let ended = other.expect("a shard can be made").join().expect("the root returns");
        ended.expect("the shard ends");
        assert_eq!(bound.get(), 1);
    });
}

#[test]
fn the_next_shard_of_the_thread_is_another_one() {
    unless_it_hangs(|| {
        let bound = sched::run(|| bound(1));
        assert!(bound.try_get().is_err(), "between two shards");
        sched::run(move || assert!(bound.try_get().is_err(), "on the next shard"));
    });
}

#[test]
fn reads_and_writes_elsewhere_are_errors() {
    on_a_shard(|| {
        let mut reader = ShardBound::new(&b"text"[..]);
        let mut writer = ShardBound::new(Vec::new());
        assert_eq!(io::copy(&mut reader, &mut writer).expect("at home"), 4);
        let (reader, writer) = on_a_thread(move || {
            reader.read(&mut [0; 4]).expect_err("elsewhere");
            let error = writer.write(b"more").expect_err("elsewhere");
            assert!(error.get_ref().expect("our error").is::<sched::WrongShard>());
            writer.flush().expect_err("elsewhere");
            (reader, writer)
        });
        assert_eq!((reader.len(), &writer[..]), (0, &b"text"[..]));
    });
}

#[test]
fn a_future_that_is_not_send_runs_at_home() {
    on_a_shard(|| {
        fn boxed(
            future: impl Future<Output = u32> + Send + 'static,
        ) -> Pin<Box<dyn Future<Output = u32> + Send>> {
            Box::pin(future)
        }
        let local = Rc::new(Cell::new(1));
        let future = boxed(ShardBound::new(Box::pin(async move { local.get() })));
        assert_eq!(sched::block_on(future), Ok(1));
        let elsewhere = boxed(ShardBound::new(Box::pin(async { 1 })));
        on_a_thread(move || {
            let text = panic_of(|| assert!(sched::block_on(elsewhere).is_ok()));
            assert!(text.contains("is used on a thread without a shard"), "{text}");
        });
    });
}

/// A value that is not `Send`, and tells on which thread it is dropped.
fn telling(sender: sync::oneshot::Sender<ThreadId>) -> ShardBound<(Rc<()>, impl Sized)> {
    let mut sender = Some(sender);
    let tells = OnDrop(move || {
        sched::yield_now(); // the destructor may wait
        let _ = sender.take().map(|sender| sender.send(thread::current().id()));
    });
    ShardBound::new((Rc::new(()), tells))
}

#[test]
fn a_value_that_is_dropped_elsewhere_goes_home_first() {
    on_a_shard(|| {
        let (sender, dropped_on) = sync::oneshot::channel();
        let bound = telling(sender);
        on_a_thread(move || drop(bound));
        assert_eq!(dropped_on.recv(), Ok(thread::current().id()));
    });
}

#[test]
fn values_that_go_home_are_not_limited_by_the_bound_on_sent_fibers() {
    unless_it_hangs(|| {
        let config = Config::default().with_max_sent_fibers(1);
        let alive = sched::run_with(config, || {
            let census = Census::default();
            let values: Vec<_> =
                (0..100).map(|_| ShardBound::new((Rc::new(()), census.count(())))).collect();
            on_a_thread(move || drop(values)); // while this thread waits, and reads no messages
            assert_eq!(census.alive(), 100);
            sched::yield_now();
            while census.alive() > 0 {
                sched::sleep(std::time::Duration::from_millis(1));
            }
            let shard = sched::ShardHandle::current();
            assert!(on_a_thread(move || shard.spawn(|| ())).is_ok(), "the count is back");
            census.alive()
        });
        assert_eq!(alive.expect("a shard can be made"), 0);
    });
}

#[test]
fn a_value_without_a_destructor_is_dropped_anywhere() {
    let value = on_a_shard(|| ShardBound::new(std::ptr::null::<u8>()));
    drop(value); // no leak is told: see the next test
}

#[test]
fn a_value_that_outlives_its_shard_is_leaked() {
    let census = Census::default();
    let own = census.clone();
    let bound = on_a_shard(move || ShardBound::new(Rc::new(own.count(()))));
    drop(bound);
    assert_eq!(census.alive(), 1, "no thread may drop it");
}

#[test]
fn a_shard_that_ends_drops_what_comes_home() {
    // The value is dropped while the shard waits for an `uncancellable` section, and so has ended
    // its root, but not itself.
    let census = Census::default();
    let own = census.clone();
    unless_it_hangs(move || {
        let dropped = Arc::new(AtomicBool::new(false));
        let theirs = Arc::clone(&dropped);
        sched::run(move || {
            let bound = ShardBound::new(Rc::new(own.count(())));
            let (sender, root_is_over) = std::sync::mpsc::channel();
            let helper = thread::spawn(move || {
                root_is_over.recv().expect("the fiber sends");
                drop(bound);
                theirs.store(true, Ordering::Release);
            });
            let is_over = Rc::new(Cell::new(false));
            let root_ends = Rc::clone(&is_over);
            sched::spawn(move || {
                sched::uncancellable(|| {
                    while !is_over.get() {
                        sched::yield_now();
                    }
                    sched::yield_now(); // the root has ended, and the shard begins to end
                    let _ = sender.send(());
                    while !dropped.load(Ordering::Acquire) {
                        sched::yield_now();
                    }
                    helper.join().expect("the thread returns");
                });
            });
            sched::yield_now();
            root_ends.set(true);
        });
    });
    assert_eq!(census.alive(), 0);
}

#[test]
fn shards_of_one_simulation_are_told_apart() {
    thread_local! {
        static LEFT: RefCell<Option<ShardBound<Rc<Counted<()>>>>> = const { RefCell::new(None) };
    }
    let census = Census::default();
    let own = census.clone();
    sim::check(move || {
        LEFT.replace(Some(ShardBound::new(Rc::new(own.count(())))));
        let own = own.clone();
        let other = sched::spawn_shard("other", Config::default(), move || {
            let bound = LEFT.take().expect("the value of the other shard");
            assert!(bound.try_get().is_err());
            drop(bound);
            assert_eq!(own.alive(), 1, "it is on its way");
        });
        let ended = other.expect("a shard can be made").join().expect("the root returns");
        ended.expect("the shard ends");
        sched::sleep(std::time::Duration::from_millis(1));
    });
    assert_eq!(census.alive(), 0);
}
