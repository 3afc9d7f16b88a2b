//! A fiber whose calls never have to wait lets the other fibers run, and a cancel or a deadline
//! ends it, whatever it calls.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::common::on_a_shard;
use straightline_sched::{
    self as sched, DeadlineExceeded,
    sync::{
        Barrier, Flag, Mutex, OnceCell, RwLock, Semaphore, WaitGroup, broadcast, mpsc, oneshot,
        select,
    },
};

/// Whether another fiber gets a turn while one fiber calls `operation` again and again.
fn lets_others_run(operation: impl Fn() + 'static) -> bool {
    let ran = Rc::new(Cell::new(false));
    let other = sched::spawn({
        let ran = Rc::clone(&ran);
        move || ran.set(true)
    });
    for _ in 0..10_000 {
        if ran.get() {
            break;
        }
        operation();
    }
    let let_run = ran.get();
    other.join().expect("no panic");
    let_run
}

#[test]
fn sends_and_receives_that_never_wait_do() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::unbounded();
        assert!(lets_others_run(move || sender.send(()).unwrap()));
        drop(receiver);
        let (sender, receiver) = mpsc::unbounded();
        (0..10_000).for_each(|_| sender.try_send(()).unwrap());
        assert!(lets_others_run(move || receiver.recv().unwrap()));
    });
}

#[test]
fn receiving_a_broadcast_does() {
    on_a_shard(|| {
        let (sender, receiver) = broadcast::channel(10_000);
        (0..10_000).for_each(|_| assert_eq!(sender.send(()), Ok(1)));
        assert!(lets_others_run(move || receiver.recv().unwrap()));
    });
}

#[test]
fn receiving_answers_does() {
    on_a_shard(|| {
        assert!(lets_others_run(|| {
            let (sender, receiver) = oneshot::channel();
            sender.send(()).unwrap();
            receiver.recv().unwrap();
        }));
    });
}

#[test]
fn a_select_of_something_ready_does() {
    on_a_shard(|| {
        let ready = Flag::new();
        ready.set();
        assert!(lets_others_run(move || assert_eq!(select(&[&ready]), Ok(0))));
    });
}

/// Operations that succeed without a wait, and return whether they did.
fn operations() -> [(&'static str, Operation); 9] {
    let (mutex, semaphore, happened) = (Mutex::new(0), Semaphore::new(1), Flag::new());
    let (read, written) = (RwLock::new(()), RwLock::new(0));
    let (barrier, empty) = (Barrier::new(1), OnceCell::<()>::new());
    let broadcasts = broadcast::channel(1);
    happened.set();
    [
        ("Mutex::lock", Box::new(move || mutex.lock().map(|mut count| *count += 1).is_ok())),
        ("RwLock::read", Box::new(move || read.read().is_ok())),
        ("RwLock::write", Box::new(move || written.write().map(|mut it| *it += 1).is_ok())),
        ("Semaphore::acquire", Box::new(move || semaphore.acquire(1).is_ok())),
        ("Flag::wait", Box::new(move || happened.wait().is_ok())),
        ("WaitGroup::wait", Box::new(|| WaitGroup::new().wait().is_ok())),
        ("Barrier::wait", Box::new(move || barrier.wait().is_ok_and(|it| it.is_leader()))),
        (
            "OnceCell::get_or_try_init",
            Box::new(move || empty.get_or_try_init(|| Err(sched::Unwinding)).is_err()),
        ),
        (
            "broadcast::Sender::send",
            Box::new(move || {
                let (sender, _listener) = &broadcasts;
                sender.send(()).is_ok()
            }),
        ),
    ]
}

type Operation = Box<dyn Fn() -> bool>;

#[test]
fn every_operation_that_need_not_wait_does() {
    on_a_shard(|| {
        for (name, operation) in operations() {
            assert!(lets_others_run(move || assert!(operation())), "{name}");
        }
    });
}

#[test]
fn a_loop_of_them_is_ended_by_its_deadline() {
    on_a_shard(|| {
        for (name, operation) in operations() {
            let begin = Instant::now();
            let ended = sched::deadline(Duration::from_millis(2), || {
                while begin.elapsed() < Duration::from_secs(10) {
                    assert!(operation());
                }
            });
            assert_eq!(ended, Err(DeadlineExceeded), "{name}");
        }
    });
}

/// A call that never waits still passes a yield point, before it takes anything.
#[test]
fn a_cancel_there_leaves_nothing_taken() {
    on_a_shard(|| {
        let semaphore = Rc::new(Semaphore::new(10_000));
        let fiber = sched::spawn({
            let semaphore = Rc::clone(&semaphore);
            move || {
                for _ in 0..10_000 {
                    let _permit = semaphore.acquire(1).unwrap();
                }
            }
        });
        let canceller = sched::spawn(move || fiber.cancel());
        canceller.join().unwrap();
        assert_eq!(semaphore.available_permits(), 10_000);
    });
}

#[test]
fn a_fiber_that_unwinds_does_not() {
    /// Calls an operation again and again when it is dropped, and records whether other fibers ran.
    struct Busy(Rc<Cell<bool>>, Operation);
    impl Drop for Busy {
        fn drop(&mut self) {
            let ran_before = self.0.get();
            (0..1_000).for_each(|_| assert!((self.1)()));
            assert_eq!(self.0.get(), ran_before);
        }
    }
    on_a_shard(|| {
        for (name, operation) in operations() {
            let ran = Rc::new(Cell::new(false));
            let busy = Busy(Rc::clone(&ran), operation);
            let fiber = sched::spawn(move || {
                let _busy = busy;
                resume_unwind(Box::new("broken"));
            });
            let other = sched::spawn(move || ran.set(true));
            let error = fiber.join().unwrap_err().to_string();
            assert!(error.contains("broken"), "{name}: {error}");
            other.join().unwrap();
        }
    });
}
