//! If a destructor uses a synchronisation type while its fiber unwinds, the call succeeds at once
//! or fails at once.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{OnDrop, on_a_shard, settle};
use straightline_sched::{
    self as sched, Unwinding,
    sync::{
        AcquireError, Barrier, Condvar, Flag, Mutex, OnceCell, RwLock, Semaphore, WaitGroup, after,
        broadcast, mpsc, oneshot, select,
    },
};

/// Returns the results of `call` in a destructor of a fiber that is cancelled, and of a fiber that
/// panics. Checks that no other fiber runs meanwhile.
fn while_unwinding<T: 'static>(call: impl Fn() -> T + Clone + 'static) -> [T; 2] {
    [sched::park, || panic!("broken")].map(|end| {
        let (result, log) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(Vec::new())));
        let fiber = sched::spawn({
            let (result, log, call) = (Rc::clone(&result), Rc::clone(&log), call.clone());
            move || {
                let _guard = OnDrop(move || {
                    log.borrow_mut().push("begins");
                    *result.borrow_mut() = Some(call());
                    log.borrow_mut().push("ends");
                });
                sched::yield_now();
                end();
            }
        });
        sched::yield_now();
        sched::yield_now();
        fiber.cancel();
        sched::spawn({
            let log = Rc::clone(&log);
            move || log.borrow_mut().push("another fiber")
        });
        assert!(fiber.join().is_err());
        settle();
        assert_eq!(*log.borrow(), ["begins", "ends", "another fiber"]);
        result.take().expect("the destructor ran")
    })
}

#[test]
fn what_need_not_wait_succeeds() {
    on_a_shard(|| {
        assert_eq!(while_unwinding(|| Mutex::new(5).lock().map(|guard| *guard)), [Ok(5); 2]);
        assert_eq!(while_unwinding(|| RwLock::new(5).read().map(|guard| *guard)), [Ok(5); 2]);
        assert_eq!(while_unwinding(|| RwLock::new(5).write().map(|guard| *guard)), [Ok(5); 2]);
        let acquire = || Semaphore::new(1).acquire(1).map(|permit| permit.count());
        assert_eq!(while_unwinding(acquire), [Ok(1); 2]);
        assert_eq!(while_unwinding(|| OnceCell::new().get_or_init(|| 5).copied()), [Ok(5); 2]);
        assert_eq!(while_unwinding(|| WaitGroup::new().wait()), [Ok(()); 2]);
        assert_eq!(while_unwinding(|| Barrier::new(1).wait().is_ok()), [true; 2]);
        let send = || {
            let (sender, receiver) = mpsc::channel(1);
            sender.send(5).ok().and_then(|()| receiver.recv().ok())
        };
        assert_eq!(while_unwinding(send), [Some(5); 2]);
        let answer = || {
            let (sender, receiver) = oneshot::channel();
            sender.send(5).ok().and_then(|()| receiver.recv().ok())
        };
        assert_eq!(while_unwinding(answer), [Some(5); 2]);
        let set = || {
            let event = Flag::new();
            event.set();
            event.wait().and_then(|()| select(&[&event]))
        };
        assert_eq!(while_unwinding(set), [Ok(0); 2]);
    });
}

#[test]
fn a_lock_or_a_permit_that_is_taken_is_an_error() {
    on_a_shard(|| {
        let mutex = Rc::new(Mutex::new(()));
        let held = mutex.lock();
        let lock = Rc::clone(&mutex);
        assert_eq!(while_unwinding(move || lock.lock().is_err()), [true; 2]);
        drop(held);
        assert!(mutex.try_lock().is_some());

        let rwlock = Rc::new(RwLock::new(()));
        let held = rwlock.write();
        let lock = Rc::clone(&rwlock);
        let both = move || (lock.read().is_err(), lock.write().is_err());
        assert_eq!(while_unwinding(both), [(true, true); 2]);
        drop(held);
        assert!(rwlock.try_write().is_some());

        let semaphore = Rc::new(Semaphore::new(0));
        let acquire = move || semaphore.acquire(1).map(|permit| permit.count());
        assert_eq!(while_unwinding(acquire), [Err(AcquireError::Unwinding); 2]);
    });
}

#[test]
fn a_wait_for_what_has_not_happened_is_an_error() {
    on_a_shard(|| {
        assert_eq!(while_unwinding(|| Flag::new().wait()), [Err(Unwinding); 2]);
        assert_eq!(while_unwinding(|| Barrier::new(2).wait().is_err()), [true; 2]);
        let group = WaitGroup::new();
        let wait = move || group.clone().wait();
        assert_eq!(while_unwinding(wait), [Err(Unwinding); 2]);
        let never = || select(&[&Flag::new(), &after(Duration::MAX)]);
        assert_eq!(while_unwinding(never), [Err(Unwinding); 2]);
    });
}

#[test]
fn a_wait_for_a_condition_is_an_error_and_keeps_the_lock() {
    on_a_shard(|| {
        let wait = || {
            let (mutex, condition) = (Mutex::new(5), Condvar::new());
            let mut guard = mutex.lock().unwrap();
            let error = condition.wait(&mut guard);
            assert!(mutex.try_lock().is_none());
            (error, *guard)
        };
        assert_eq!(while_unwinding(wait), [(Err(Unwinding), 5); 2]);
    });
}

#[test]
fn a_channel_that_is_full_or_empty_is_an_error() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(1).unwrap();
        let full = sender.clone();
        assert_eq!(while_unwinding(move || full.send(2)), [Err(mpsc::SendError(2)); 2]);
        assert_eq!(receiver.recv(), Ok(1));
        let receiver = Rc::new(receiver);
        assert_eq!(while_unwinding(move || receiver.recv()), [Err(mpsc::RecvError); 2]);

        let (_sender, receiver) = oneshot::channel::<()>();
        let receiver = Rc::new(receiver);
        assert_eq!(while_unwinding(move || receiver.recv()), [Err(oneshot::RecvError); 2]);

        let (_sender, receiver) = broadcast::channel::<()>(1);
        let receiver = Rc::new(receiver);
        let closed = broadcast::RecvError::Closed;
        assert_eq!(while_unwinding(move || receiver.recv()), [Err(closed); 2]);
    });
}

#[test]
fn a_value_that_another_fiber_makes_is_an_error() {
    on_a_shard(|| {
        let cell = Rc::new(OnceCell::new());
        let maker = sched::spawn({
            let cell = Rc::clone(&cell);
            move || {
                let initialise = || {
                    sched::park();
                    5
                };
                cell.get_or_init(initialise).copied()
            }
        });
        sched::yield_now();
        let want = {
            let cell = Rc::clone(&cell);
            move || (cell.get_or_init(|| 6).copied(), cell.set(7))
        };
        assert_eq!(while_unwinding(want), [(Err(Unwinding), Err(7)); 2]);
        maker.fiber().unpark();
        assert_eq!(maker.join().unwrap(), Ok(5));
    });
}
