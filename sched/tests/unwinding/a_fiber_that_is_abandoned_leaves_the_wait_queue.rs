//! If a fiber is abandoned while it waits in a queue, no lock, permit, message or turn is lost. The
//! next waiter gets it, also if it had already been handed to the fiber.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use crate::common::{brittle, on_a_shard, settle};
use straightline_sched::sync::{
    Barrier, Condvar, Flag, Mutex, OnceCell, RwLock, Semaphore, WaitGroup, broadcast, mpsc,
    oneshot, select,
};
use straightline_sched::{
    self as sched, Config, FiberBuilder, FiberState, JoinHandle, Lease, Reporter, ShardJoinHandle,
    sim,
};

/// Runs `root` as the first shard of a simulation. Nothing joins the thread of the simulation,
/// because it has fibers that never end.
fn simulated<T: Send + 'static>(root: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = channel();
    thread::spawn(move || sim::run(1, move || sender.send(root())));
    receiver.recv_timeout(Duration::from_secs(60)).expect("the simulation neither hangs nor fails")
}

/// Starts a shard that calls `waits` in an uncancellable section, and whose root then returns. The
/// end of the shard takes ten seconds, and then the fiber is abandoned. When this function returns,
/// the fiber waits.
fn ending(waits: impl FnOnce() + Send + 'static) -> ShardJoinHandle<()> {
    let config = Config::default().with_reporter(Reporter::new(|_| ()));
    let shard = sched::spawn_shard("ending", config, || {
        sched::spawn(|| sched::uncancellable(waits));
        settle();
    });
    sched::sleep(Duration::from_secs(1));
    shard.expect("there is a stack")
}

fn abandoned(shard: ShardJoinHandle<()>) {
    shard.join().expect("its root does not panic").expect("the shard runs");
}

/// Starts a fiber that waits behind the other waiters.
fn behind<T: 'static>(waits: impl FnOnce() -> T + 'static) -> JoinHandle<T> {
    let fiber = sched::spawn(waits);
    settle();
    fiber
}

#[test]
fn a_mutex_goes_to_the_next() {
    simulated(|| {
        let mutex = Arc::new(Mutex::new(0));
        let held = mutex.lock().unwrap();
        let dying = ending({
            let mutex = Arc::clone(&mutex);
            move || *mutex.lock().unwrap() += 1
        });
        let next = behind({
            let mutex = Arc::clone(&mutex);
            move || *mutex.lock().unwrap() += 10
        });
        abandoned(dying);
        drop(held);
        next.join().unwrap();
        assert_eq!(*mutex.lock().unwrap(), 10);
    });
}

#[test]
fn a_writer_that_is_abandoned_lets_the_readers_in() {
    simulated(|| {
        let lock = Arc::new(RwLock::new(5));
        let reader = lock.read().unwrap();
        let dying = ending({
            let lock = Arc::clone(&lock);
            move || *lock.write().unwrap() = 6
        });
        let next = behind({
            let lock = Arc::clone(&lock);
            move || *lock.read().unwrap()
        });
        assert!(!next.is_finished());
        abandoned(dying);
        assert_eq!(next.join().unwrap(), 5);
        drop(reader);
    });
}

/// The first waiter asks for too many permits. When it is abandoned, the second waiter gets its
/// permits, but it is abandoned as well before it has run.
#[test]
fn permits_pass_on_from_a_waiter_that_was_let_in_and_did_not_run() {
    simulated(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let one = semaphore.acquire(1).unwrap();
        let dying = ending({
            let semaphore = Arc::clone(&semaphore);
            move || {
                let other = Arc::clone(&semaphore);
                sched::spawn(move || sched::uncancellable(|| drop(other.acquire(1))));
                drop(semaphore.acquire(2));
            }
        });
        let next = behind({
            let semaphore = Arc::clone(&semaphore);
            move || semaphore.acquire(1).unwrap().count()
        });
        assert!(!next.is_finished());
        abandoned(dying);
        assert_eq!(next.join().unwrap(), 1);
        drop(one);
        assert_eq!(semaphore.available_permits(), 2);
    });
}

#[test]
fn room_in_a_channel_is_promised_to_the_next_sender() {
    simulated(|| {
        let (sender, receiver) = mpsc::channel(1);
        sender.send("first").unwrap();
        let dying = ending({
            let sender = sender.clone();
            move || sender.send("lost").unwrap()
        });
        let next = behind(move || sender.send("next").unwrap());
        abandoned(dying);
        assert_eq!(receiver.recv(), Ok("first"));
        assert_eq!(receiver.recv(), Ok("next"));
        next.join().unwrap();
    });
}

#[test]
fn a_message_goes_to_the_next_receiver() {
    simulated(|| {
        let (sender, receiver) = mpsc::unbounded();
        let receiver = Arc::new(receiver);
        let dying = ending({
            let receiver = Arc::clone(&receiver);
            move || assert!(receiver.recv().is_err())
        });
        let next = behind(move || receiver.recv());
        abandoned(dying);
        sender.send("kept").unwrap();
        assert_eq!(next.join().unwrap(), Ok("kept"));
    });
}

#[test]
fn a_notification_goes_to_the_next() {
    // The fiber is abandoned while it waits for the notification, and while it has the notification
    // and waits for the lock.
    for is_notified_first in [false, true] {
        simulated(move || {
            let shared = Arc::new((Mutex::new(()), Condvar::new()));
            let wait = {
                let shared = Arc::clone(&shared);
                move || {
                    let mut guard = shared.0.lock().unwrap();
                    shared.1.wait(&mut guard).unwrap();
                }
            };
            let dying = ending(wait.clone());
            let next = behind(wait);
            let held = shared.0.lock().unwrap();
            if is_notified_first {
                shared.1.notify_one();
            }
            abandoned(dying);
            if !is_notified_first {
                shared.1.notify_one();
            }
            drop(held);
            next.join().unwrap();
        });
    }
}

#[test]
fn one_that_waited_at_a_barrier_has_not_come() {
    simulated(|| {
        let barrier = Arc::new(Barrier::new(2));
        let dying = ending({
            let barrier = Arc::clone(&barrier);
            move || assert!(barrier.wait().is_err())
        });
        abandoned(dying);
        let first = behind({
            let barrier = Arc::clone(&barrier);
            move || barrier.wait().unwrap().is_leader()
        });
        assert!(!first.is_finished());
        assert!(barrier.wait().unwrap().is_leader());
        assert!(!first.join().unwrap());
    });
}

#[test]
fn the_turn_to_make_a_value_goes_to_the_next() {
    simulated(|| {
        let (cell, fails) = (Arc::new(OnceCell::new()), Arc::new(Flag::new()));
        let maker = behind({
            let (cell, fails) = (Arc::clone(&cell), Arc::clone(&fails));
            move || {
                let failing = || fails.wait().and(Err::<u32, _>(sched::Unwinding));
                cell.get_or_try_init(failing).is_err()
            }
        });
        let dying = ending({
            let cell = Arc::clone(&cell);
            move || assert!(cell.get_or_init(|| 1).is_err())
        });
        let next = behind({
            let cell = Arc::clone(&cell);
            move || cell.get_or_init(|| 2).copied()
        });
        abandoned(dying);
        fails.set();
        assert!(maker.join().unwrap());
        assert_eq!(next.join().unwrap(), Ok(2));
    });
}

/// These types let all waiters pass at once, and hand nothing to a single waiter.
#[test]
fn the_others_pass_when_it_has_happened() {
    simulated(|| {
        let (event, group) = (Arc::new(Flag::new()), WaitGroup::new());
        let (answer, answered) = oneshot::channel();
        let (broadcaster, listener) = broadcast::channel(1);
        let waits: [Box<dyn FnOnce() + Send>; 5] = [
            Box::new({
                let event = Arc::clone(&event);
                move || event.wait().unwrap()
            }),
            Box::new({
                let event = Arc::clone(&event);
                move || {
                    let endless = sched::spawn(|| sched::uncancellable(|| Flag::new().wait()));
                    assert!(select(&[&*event, &endless]).is_err());
                }
            }),
            Box::new({
                let group = group.clone();
                move || group.wait().unwrap()
            }),
            Box::new(move || answered.recv().unwrap()),
            Box::new(move || listener.recv().unwrap()),
        ];
        waits.into_iter().map(ending).collect::<Vec<_>>().into_iter().for_each(abandoned);
        let passes = behind({
            let event = Arc::clone(&event);
            move || event.wait()
        });
        event.set();
        passes.join().unwrap().unwrap();
        group.wait().unwrap();
        // The frames of the fibers hold the receivers for ever.
        assert_eq!(answer.send(()), Ok(()));
        assert_eq!(broadcaster.send(()), Ok(1));
    });
}

/// A fiber of the current shard that waits, and is abandoned when the lease ends.
fn waiting(name: &str, waits: impl FnOnce() + 'static) -> (JoinHandle<()>, Lease) {
    let lease = Lease::new();
    let body = {
        let lease = lease.clone();
        move || brittle(&lease, waits)
    };
    let fiber = FiberBuilder::new().name(name).spawn(body).expect("there are stacks");
    settle();
    (fiber, lease)
}

#[test]
fn a_plain_thread_behind_it_gets_its_turn() {
    let (mutex, semaphore) = (Arc::new(Mutex::new(())), Arc::new(Semaphore::new(0)));
    let (sender, receiver) = channel();
    let thread = thread::spawn({
        let (mutex, semaphore) = (Arc::clone(&mutex), Arc::clone(&semaphore));
        move || {
            receiver.recv().unwrap();
            drop(semaphore.acquire(1).unwrap());
            drop(mutex.lock().unwrap());
        }
    });
    on_a_shard(move || {
        let config = [Arc::clone(&mutex)];
        let (first, its_end) = waiting("first", {
            let semaphore = Arc::clone(&semaphore);
            move || drop(semaphore.acquire(1))
        });
        let held = mutex.lock().unwrap();
        let (second, other_end) = waiting("second", move || drop(config[0].lock()));
        sender.send(()).unwrap();
        its_end.end();
        other_end.end();
        assert!(first.join().unwrap_err().is_abandoned());
        assert!(second.join().unwrap_err().is_abandoned());
        semaphore.add_permits(1);
        drop(held);
    });
    crate::common::unless_it_hangs(move || thread.join().unwrap());
}

/// The lock is never released. The listing names the fiber that holds it.
#[test]
fn what_it_holds_stays_held_under_its_name() {
    on_a_shard(|| {
        let mutex = Arc::new(Mutex::new(()));
        let (holder, its_end) = waiting("holder", {
            let mutex = Arc::clone(&mutex);
            move || {
                let _held = mutex.lock();
                Flag::new().wait().unwrap();
            }
        });
        its_end.end();
        assert!(holder.join().unwrap_err().is_abandoned());
        assert!(mutex.try_lock().is_none());
        let waiter = behind(move || drop(mutex.lock()));
        let states: Vec<_> = sched::inspect().into_iter().map(|fiber| fiber.state).collect();
        let names_the_holder = |state: &FiberState| match state {
            FiberState::Waiting(what) => {
                what.starts_with("Mutex::lock, taken by fiber `holder`")
                    && what.ends_with("which was abandoned")
            }
            _ => false,
        };
        assert!(states.iter().any(names_the_holder), "{states:?}");
        waiter.cancel();
        assert!(waiter.join().unwrap_err().is_cancelled());
    });
}
