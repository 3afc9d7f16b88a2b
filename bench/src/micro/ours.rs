//! Fibers of this project.

use std::future::ready;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline::sched::sync::{Mutex, mpsc};
use straightline::sched::{self, block_on, deadline, spawn, yield_now};

use super::operation::Operation;
use super::tokio::yield_once;

pub(super) fn measure(operation: Operation, count: u64) -> Option<Duration> {
    sched::run_with(sched::Config::default(), move || {
        let start = Instant::now();
        match operation {
            Operation::SpawnJoin => spawn_join(count),
            Operation::Yield => take_turns(count),
            Operation::PingPong => ping_pong(count),
            Operation::MutexHandOver => hand_over(count),
            Operation::TimeoutSetAndCancel => timeout(count),
            Operation::Cancel => cancel(count),
            Operation::BlockOnReady => {
                (0..count).for_each(|_| assert!(block_on(ready(())).is_ok()));
            }
            Operation::BlockOnWoken => {
                (0..count).for_each(|_| assert!(block_on(yield_once()).is_ok()));
            }
        }
        start.elapsed()
    })
    .ok()
}

fn spawn_join(count: u64) {
    for number in 0..count {
        assert_eq!(spawn(move || number).join().expect("it returns"), number);
    }
}

fn take_turns(count: u64) {
    let turns = move || (0..count / 2).for_each(|_| yield_now());
    let fibers = [spawn(turns), spawn(turns)];
    fibers.into_iter().for_each(|fiber| fiber.join().expect("it returns"));
}

fn ping_pong(count: u64) {
    let (asker, requests) = mpsc::unbounded();
    let (answerer, replies) = mpsc::unbounded();
    let partner = spawn(move || requests.iter().all(|number: u64| answerer.send(number).is_ok()));
    for number in 0..count {
        asker.send(number).expect("the partner listens");
        assert_eq!(replies.recv(), Ok(number));
    }
    drop(asker);
    assert!(partner.join().expect("it returns"));
}

/// The holder yields while it holds the lock, so each fiber finds it taken, and the lock is handed
/// over.
fn hand_over(count: u64) {
    let lock = Rc::new(Mutex::new(0));
    let fibers = [(); 2].map(|()| {
        let lock = Rc::clone(&lock);
        spawn(move || {
            for _ in 0..count / 2 {
                let mut value = lock.lock().expect("nothing unwinds");
                *value += 1;
                yield_now();
            }
        })
    });
    fibers.into_iter().for_each(|fiber| fiber.join().expect("it returns"));
    assert_eq!(*lock.lock().expect("nothing unwinds"), count);
}

fn timeout(count: u64) {
    let (asker, requests) = mpsc::unbounded();
    let (answerer, replies) = mpsc::unbounded();
    let partner = spawn(move || requests.iter().all(|number: u64| answerer.send(number).is_ok()));
    for number in 0..count {
        asker.send(number).expect("the partner listens");
        assert_eq!(deadline(Duration::from_secs(10), || replies.recv()), Ok(Ok(number)));
    }
    drop(asker);
    assert!(partner.join().expect("it returns"));
}

fn cancel(count: u64) {
    for _ in 0..count {
        let fiber = spawn(|| sched::sleep(Duration::MAX));
        yield_now();
        fiber.cancel();
        assert!(fiber.join().expect_err("it was cancelled").is_cancelled());
    }
}
