//! `block_on` polls once at first, and then once for each wake-up, wherever the wake-up comes from.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::common::on_a_shard;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use straightline_sched::{
    self as sched, Unwinding,
    sync::{Polled, after, select},
};

/// A future that is pending until `set`, and counts its polls.
#[derive(Clone, Default)]
struct Event {
    shared: Arc<(AtomicBool, Mutex<Option<Waker>>, AtomicU32)>,
}

impl Event {
    fn set(&self) {
        self.shared.0.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.shared.1.lock().expect("no panics").take() {
            waker.wake();
        }
    }

    fn polls(&self) -> u32 {
        self.shared.2.load(Ordering::Relaxed)
    }

    fn wait(&self) -> impl Future<Output = ()> + use<> {
        let shared = Arc::clone(&self.shared);
        poll_fn(move |cx| {
            shared.2.fetch_add(1, Ordering::Relaxed);
            *shared.1.lock().expect("no panics") = Some(cx.waker().clone());
            if shared.0.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

#[test]
fn a_ready_future_is_polled_once_and_does_not_yield() {
    sched::run(|| {
        let ran = Rc::new(Cell::new(false));
        let _other = sched::spawn({
            let ran = Rc::clone(&ran);
            move || ran.set(true)
        });
        assert_eq!(sched::block_on(ready(3)), Ok(3));
        assert!(!ran.get());
    });
}

#[test]
fn a_fiber_of_the_same_thread_wakes_it() {
    sched::run(|| {
        let event = Event::default();
        let waiting = sched::spawn({
            let event = event.clone();
            move || sched::block_on(event.wait())
        });
        sched::yield_now();
        assert_eq!(event.polls(), 1);
        // Only wake-ups of the waker cause a poll, one poll for each.
        for _ in 0..5 {
            waiting.fiber().unpark();
            sched::yield_now();
        }
        assert_eq!(event.polls(), 1);
        event.wake();
        sched::yield_now();
        assert_eq!(event.polls(), 2);
        assert!(!waiting.is_finished());
        event.set();
        assert_eq!(waiting.join().unwrap(), Ok(()));
        assert_eq!(event.polls(), 3);
    });
}

#[test]
fn another_thread_wakes_it_and_no_wakeup_is_lost() {
    sched::run(|| {
        let (send, events) = mpsc::channel::<Event>();
        let setter = thread::spawn(move || events.iter().for_each(|event| event.set()));
        for _ in 0..2_000 {
            let event = Event::default();
            send.send(event.clone()).unwrap();
            sched::block_on(event.wait()).unwrap();
        }
        drop(send);
        setter.join().unwrap();
    });
}

#[test]
fn a_thread_without_fibers_waits_itself() {
    let event = Event::default();
    let setter = thread::spawn({
        let event = event.clone();
        move || {
            while event.polls() == 0 {
                thread::yield_now();
            }
            event.set();
        }
    });
    sched::block_on(event.wait()).unwrap();
    setter.join().unwrap();
}

#[test]
fn a_future_that_wakes_itself_lets_others_run() {
    sched::run(|| {
        let done = Rc::new(Cell::new(false));
        let _other = sched::spawn({
            let done = Rc::clone(&done);
            move || {
                (0..10).for_each(|_| sched::yield_now());
                done.set(true);
            }
        });
        let future = poll_fn(|cx| {
            if done.get() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        sched::block_on(future).unwrap();
    });
}

#[test]
fn a_wakeup_survives_a_wait_inside_of_the_poll() {
    sched::run(|| {
        let mut first = true;
        let future = poll_fn(|cx| {
            if !std::mem::take(&mut first) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            sched::yield_now(); // takes the fiber's wake-up
            Poll::Pending
        });
        sched::block_on(future).unwrap();
    });
}

#[test]
fn a_cancel_drops_the_future() {
    struct Dropped(Rc<Cell<bool>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    sched::run(|| {
        let dropped = Rc::new(Cell::new(false));
        let guard = Dropped(Rc::clone(&dropped));
        let fiber = sched::spawn(move || {
            sched::block_on(async move {
                let _guard = guard;
                pending::<()>().await;
            })
        });
        sched::yield_now();
        assert!(!dropped.get());
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert!(dropped.get());
    });
}

#[test]
fn an_unwinding_fiber_polls_once() {
    type Outcomes = Rc<RefCell<Vec<Result<u32, Unwinding>>>>;
    struct Blocks(Outcomes);
    impl Drop for Blocks {
        fn drop(&mut self) {
            let wakes_itself = poll_fn(|cx| {
                cx.waker().wake_by_ref();
                Poll::Pending
            });
            let mut outcomes = self.0.borrow_mut();
            outcomes.push(sched::block_on(ready(1)));
            outcomes.push(sched::block_on(pending()));
            outcomes.push(sched::block_on(wakes_itself));
        }
    }
    sched::run(|| {
        let outcomes = Outcomes::default();
        let guard = Blocks(Rc::clone(&outcomes));
        let fiber = sched::spawn(move || {
            let _guard = guard;
            sched::park();
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(*outcomes.borrow(), [Ok(1), Err(Unwinding), Err(Unwinding)]);
    });
}

#[test]
fn futures_inside_of_futures_are_polled_by_their_own_wakers() {
    sched::run(|| {
        let events: Vec<_> = (0..100).map(|_| Event::default()).collect();
        let setter = sched::spawn({
            let events = events.clone();
            move || {
                for event in events.iter().rev() {
                    sched::yield_now();
                    event.set();
                }
            }
        });
        let futures: FuturesUnordered<_> = events.iter().map(Event::wait).collect();
        assert_eq!(sched::block_on(futures.count()).unwrap(), 100);
        assert!(events.iter().all(|event| event.polls() == 2));
        let nested = join_all((0..10).map(|n| async move {
            // A future may wait as a fiber does, also in another `block_on`.
            sched::block_on(async { n }).unwrap()
        }));
        assert_eq!(sched::block_on(nested).unwrap(), (0..10).collect::<Vec<_>>());
        setter.join().unwrap();
    });
}

#[test]
fn a_waker_may_outlive_its_fiber_and_its_shard() {
    let event = Event::default();
    sched::run({
        let event = event.clone();
        move || {
            let fiber = sched::spawn(move || sched::block_on(event.wait()));
            sched::yield_now();
            fiber.cancel();
        }
    });
    event.set();
}

/// The recipe of `block_on`'s page.
#[test]
fn a_future_of_tokio_runs_beside_its_runtime() {
    on_a_shard(|| {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = Rc::new(runtime.expect("a thread for tokio"));
        let enters = Rc::clone(&runtime);
        let in_tokio = move |future: Pin<Box<dyn Future<Output = u32>>>| {
            let (mut future, runtime) = (future, Rc::clone(&enters));
            poll_fn(move |cx| {
                let _entered = runtime.enter();
                future.as_mut().poll(cx)
            })
        };
        let fibers = [1, 2, 3].map(|number| {
            let in_tokio = in_tokio.clone();
            sched::spawn(move || {
                sched::block_on(in_tokio(Box::pin(async move {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    let blocking = tokio::task::spawn_blocking(move || number).await;
                    tokio::spawn(async move { blocking.expect("no panic") * 10 })
                        .await
                        .expect("no panic")
                })))
            })
        });
        let results = fibers.map(|fiber| fiber.join().expect("the fiber returns"));
        assert_eq!(results, [Ok(10), Ok(20), Ok(30)]);

        let late = Polled::new(in_tokio(Box::pin(async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            1
        })));
        assert_eq!(select(&[&late, &after(Duration::from_millis(1))]), Ok(1));
    });
}

#[test]
fn a_future_of_tokio_says_that_there_is_no_runtime() {
    sched::run(|| {
        let fiber =
            sched::spawn(|| sched::block_on(async { tokio::spawn(async {}).await.is_ok() }));
        let payload = fiber.join().expect_err("tokio panics").into_panic().expect("a panic");
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        assert!(text.expect("a text").contains("there is no reactor running"));
    });
}
