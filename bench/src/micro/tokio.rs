//! Tasks of tokio's single-threaded runtime.

use std::future::{Future, poll_fn, ready};
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{LocalSet, spawn_local, yield_now};
use tokio::time::{sleep, timeout};

use super::operation::Operation;

pub(super) fn measure(operation: Operation, count: u64) -> Option<Duration> {
    let runtime = Builder::new_current_thread().enable_time().build().ok()?;
    Some(LocalSet::new().block_on(&runtime, async move {
        let start = Instant::now();
        match operation {
            Operation::SpawnJoin => spawn_join(count).await,
            Operation::Yield => take_turns(count).await,
            Operation::PingPong => ping_pong(count).await,
            Operation::MutexHandOver => hand_over(count).await,
            Operation::TimeoutSetAndCancel => under_timeout(count).await,
            Operation::Cancel => cancel(count).await,
            Operation::BlockOnReady => {
                for _ in 0..count {
                    ready(()).await;
                }
            }
            Operation::BlockOnWoken => {
                for _ in 0..count {
                    yield_once().await;
                }
            }
        }
        start.elapsed()
    }))
}

/// A future that wakes its task and is pending once, and is ready then.
pub(super) fn yield_once() -> impl Future<Output = ()> {
    let mut polled = false;
    poll_fn(move |context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

async fn spawn_join(count: u64) {
    for number in 0..count {
        assert_eq!(spawn_local(async move { number }).await.expect("it returns"), number);
    }
}

async fn take_turns(count: u64) {
    let turns = move || async move {
        for _ in 0..count / 2 {
            yield_now().await;
        }
    };
    for task in [spawn_local(turns()), spawn_local(turns())] {
        task.await.expect("it returns");
    }
}

async fn ping_pong(count: u64) {
    let (asker, mut requests) = mpsc::unbounded_channel();
    let (answerer, mut replies) = mpsc::unbounded_channel();
    spawn_local(async move {
        while let Some(number) = requests.recv().await {
            answerer.send(number).expect("the partner listens");
        }
    });
    for number in 0..count {
        asker.send(number).expect("the partner listens");
        assert_eq!(replies.recv().await, Some(number));
    }
}

async fn hand_over(count: u64) {
    let lock = Rc::new(Mutex::new(0));
    let tasks = [(); 2].map(|()| {
        let lock = Rc::clone(&lock);
        spawn_local(async move {
            for _ in 0..count / 2 {
                let mut value = lock.lock().await;
                *value += 1;
                yield_now().await;
            }
        })
    });
    for task in tasks {
        task.await.expect("it returns");
    }
    assert_eq!(*lock.lock().await, count);
}

async fn under_timeout(count: u64) {
    let (asker, mut requests) = mpsc::unbounded_channel();
    let (answerer, mut replies) = mpsc::unbounded_channel();
    spawn_local(async move {
        while let Some(number) = requests.recv().await {
            answerer.send(number).expect("the partner listens");
        }
    });
    for number in 0..count {
        asker.send(number).expect("the partner listens");
        assert_eq!(timeout(Duration::from_secs(10), replies.recv()).await, Ok(Some(number)));
    }
}

async fn cancel(count: u64) {
    for _ in 0..count {
        let task = spawn_local(sleep(Duration::from_secs(1_000_000)));
        yield_now().await;
        task.abort();
        assert!(task.await.expect_err("it was aborted").is_cancelled());
    }
}
