//! Threads of the system, through the standard library.

use std::future::{Future, ready};
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread::{self, Thread, spawn, yield_now};
use std::time::{Duration, Instant};

use super::operation::Operation;
use super::tokio::yield_once;

pub(super) fn measure(operation: Operation, count: u64) -> Option<Duration> {
    let start = Instant::now();
    match operation {
        Operation::SpawnJoin => spawn_join(count),
        Operation::Yield => take_turns(count),
        Operation::PingPong => ping_pong(count),
        Operation::MutexHandOver => hand_over(count),
        Operation::TimeoutSetAndCancel => timeout(count),
        Operation::Cancel => return None, // a thread cannot be cancelled
        Operation::BlockOnReady => (0..count).for_each(|_| block_on(ready(()))),
        Operation::BlockOnWoken => (0..count).for_each(|_| block_on(yield_once())),
    }
    Some(start.elapsed())
}

fn spawn_join(count: u64) {
    for number in 0..count {
        assert_eq!(spawn(move || number).join().expect("it returns"), number);
    }
}

fn take_turns(count: u64) {
    let turns = move || (0..count / 2).for_each(|_| yield_now());
    let threads = [spawn(turns), spawn(turns)];
    threads.into_iter().for_each(|thread| thread.join().expect("it returns"));
}

fn ping_pong(count: u64) {
    let (asker, requests) = mpsc::channel();
    let (answerer, replies) = mpsc::channel();
    let partner = spawn(move || requests.iter().all(|number: u64| answerer.send(number).is_ok()));
    for number in 0..count {
        asker.send(number).expect("the partner listens");
        assert_eq!(replies.recv(), Ok(number));
    }
    drop(asker);
    assert!(partner.join().expect("it returns"));
}

/// std's lock is not fair: one thread may get it several times in a row.
fn hand_over(count: u64) {
    let lock = Arc::new(Mutex::new(0));
    let threads = [(); 2].map(|()| {
        let lock = Arc::clone(&lock);
        spawn(move || {
            for _ in 0..count / 2 {
                let mut value = lock.lock().expect("nothing panics");
                *value += 1;
                yield_now();
            }
        })
    });
    threads.into_iter().for_each(|thread| thread.join().expect("it returns"));
    assert_eq!(*lock.lock().expect("nothing panics"), count);
}

fn timeout(count: u64) {
    let (asker, requests) = mpsc::channel();
    let (answerer, replies) = mpsc::channel();
    let partner = spawn(move || requests.iter().all(|number: u64| answerer.send(number).is_ok()));
    for number in 0..count {
        asker.send(number).expect("the partner listens");
        assert_eq!(replies.recv_timeout(Duration::from_secs(10)), Ok(number));
    }
    drop(asker);
    assert!(partner.join().expect("it returns"));
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on(future: impl Future<Output = ()>) {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    while future.as_mut().poll(&mut context).is_pending() {
        thread::park();
    }
}
