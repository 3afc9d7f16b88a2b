//! Coroutines of may, on one worker.
//!
//! may's `spawn` is unsafe because a coroutine may continue on another thread than it began on,
//! with references into thread-locals of the first. No body here uses a thread-local, and there is
//! one worker.

use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use may::coroutine::{self, JoinHandle};
use may::sync::{Mutex, mpsc};

use super::operation::Operation;

pub(super) fn measure(operation: Operation, count: u64) -> Option<Duration> {
    static CONFIGURED: Once = Once::new();
    CONFIGURED.call_once(|| {
        may::config().set_workers(1);
    });
    let run: fn(u64) = match operation {
        Operation::SpawnJoin => spawn_join,
        Operation::Yield => take_turns,
        Operation::PingPong => ping_pong,
        Operation::MutexHandOver => hand_over,
        Operation::TimeoutSetAndCancel => timeout,
        Operation::Cancel => cancel,
        Operation::BlockOnReady | Operation::BlockOnWoken => return None,
    };
    let root = spawn(move || {
        let start = Instant::now();
        run(count);
        start.elapsed()
    });
    root.join().ok()
}

fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    // SAFETY: no body in this file uses a thread-local across a wait, and each is far from the end
    // of its stack.
    unsafe { coroutine::spawn(body) }
}

fn spawn_join(count: u64) {
    for number in 0..count {
        assert_eq!(spawn(move || number).join().expect("it returns"), number);
    }
}

fn take_turns(count: u64) {
    let turns = move || (0..count / 2).for_each(|_| coroutine::yield_now());
    let coroutines = [spawn(turns), spawn(turns)];
    coroutines.into_iter().for_each(|it| it.join().expect("it returns"));
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

fn hand_over(count: u64) {
    let lock = Arc::new(Mutex::new(0));
    let coroutines = [(); 2].map(|()| {
        let lock = Arc::clone(&lock);
        spawn(move || {
            for _ in 0..count / 2 {
                let mut value = lock.lock().expect("nothing panics");
                *value += 1;
                coroutine::yield_now();
            }
        })
    });
    coroutines.into_iter().for_each(|it| it.join().expect("it returns"));
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

fn cancel(count: u64) {
    for _ in 0..count {
        let waiting = spawn(|| coroutine::sleep(Duration::from_secs(1_000_000)));
        coroutine::yield_now();
        // SAFETY: the coroutine holds nothing that its unwinding could leave inconsistent.
        unsafe { waiting.coroutine().cancel() };
        assert!(waiting.join().is_err());
    }
}
