//! Ready fibers run in the order in which they became ready, and none can keep the rest waiting.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use straightline_sched::{self as sched, Interest, Source};

type Log<T> = Rc<RefCell<Vec<T>>>;

#[test]
fn fibers_begin_in_the_order_they_were_spawned() {
    sched::run(|| {
        let log = Log::default();
        for number in 0..100 {
            let log = Rc::clone(&log);
            sched::spawn(move || log.borrow_mut().push(number));
        }
        sched::yield_now();
        assert!(log.borrow().iter().copied().eq(0..100));
    });
}

#[test]
fn fibers_run_in_the_order_they_were_woken() {
    sched::run(|| {
        let log = Log::default();
        let fibers: Vec<_> = (0..10_usize)
            .map(|number| {
                let log = Rc::clone(&log);
                sched::spawn(move || {
                    sched::park();
                    log.borrow_mut().push(number);
                })
            })
            .collect();
        sched::yield_now();
        let order = [3, 1, 4, 5, 9, 2, 6, 8, 7, 0];
        for number in order {
            fibers[number].fiber().unpark();
        }
        sched::yield_now();
        assert_eq!(*log.borrow(), order);
    });
}

#[test]
fn fibers_that_yield_alternate() {
    sched::run(|| {
        let log = Log::default();
        let talk = |name: char| {
            let log = Rc::clone(&log);
            sched::spawn(move || {
                for _ in 0..3 {
                    log.borrow_mut().push(name);
                    sched::yield_now();
                }
            })
        };
        let (a, b) = (talk('a'), talk('b'));
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(log.borrow().iter().collect::<String>(), "ababab");
    });
}

#[test]
fn a_spawn_does_not_run_the_new_fiber_yet() {
    sched::run(|| {
        let begun = Rc::new(Cell::new(false));
        let fiber = sched::spawn({
            let begun = Rc::clone(&begun);
            move || begun.set(true)
        });
        assert!(!begun.get());
        fiber.join().unwrap();
        assert!(begun.get());
    });
}

#[test]
fn a_loop_of_checkpoints_lets_the_others_in() {
    sched::run(|| {
        let stop = Rc::new(Cell::new(false));
        let busy = sched::spawn({
            let stop = Rc::clone(&stop);
            move || {
                // The bound only ends the loop if the test fails.
                for _ in 0..10_000_000_u32 {
                    if stop.get() {
                        return true;
                    }
                    sched::checkpoint();
                }
                false
            }
        });
        let other = sched::spawn(move || {
            (0..10).for_each(|_| sched::yield_now());
            stop.set(true);
        });
        assert!(busy.join().unwrap(), "the other fiber never ran");
        other.join().unwrap();
    });
}

#[test]
fn a_busy_run_queue_does_not_hold_up_a_sleeper() {
    sched::run(|| {
        let sleeper = sched::spawn(|| sched::sleep(Duration::from_millis(1)));
        while !sleeper.is_finished() {
            sched::yield_now();
        }
    });
}

#[test]
fn a_busy_run_queue_does_not_hold_up_a_descriptor() {
    sched::run(|| {
        let (mut near, far) = UnixStream::pair().unwrap();
        let source = Source::new(far);
        let waiter = sched::spawn(move || source.wait(Interest::Read));
        sched::yield_now();
        near.write_all(b"!").unwrap();
        while !waiter.is_finished() {
            sched::yield_now();
        }
        waiter.join().unwrap().unwrap();
    });
}

#[test]
fn a_busy_run_queue_does_not_hold_up_another_thread() {
    sched::run(|| {
        let (shard, arrived) = (sched::ShardHandle::current(), Arc::new(AtomicBool::new(false)));
        let sender = std::thread::spawn({
            let arrived = Arc::clone(&arrived);
            move || shard.spawn(move || arrived.store(true, Ordering::Relaxed))
        });
        while !arrived.load(Ordering::Relaxed) {
            sched::yield_now();
        }
        sender.join().unwrap().unwrap();
    });
}
