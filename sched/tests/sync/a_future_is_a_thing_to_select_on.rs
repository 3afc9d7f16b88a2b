//! A `select` waits for futures beside its other things: it polls a future once at first, and then
//! once for each wake-up. No wake-up is lost, whatever a poll does.

use std::cell::{Cell, OnceCell};
use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use crate::common::{OnDrop, on_a_shard, settle, turns, unless_it_hangs};
use parking_lot::Mutex;
use straightline_sched::sync::{Flag, Polled, after, mpsc, select};
use straightline_sched::{self as sched, Unwinding};

/// A future that is pending until `set`, and counts its polls.
#[derive(Clone, Default)]
struct Event(Arc<State>);

#[derive(Default)]
struct State {
    is_set: AtomicBool,
    waker: Mutex<Option<Waker>>,
    polls: AtomicU32,
}

impl Event {
    fn set(&self) {
        self.0.is_set.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.0.waker.lock().take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn polls(&self) -> u32 {
        self.0.polls.load(Ordering::Relaxed)
    }

    fn wait(&self) -> impl Future<Output = ()> + Unpin + use<> {
        let state = Arc::clone(&self.0);
        poll_fn(move |cx| {
            state.polls.fetch_add(1, Ordering::Relaxed);
            *state.waker.lock() = Some(cx.waker().clone());
            if state.is_set.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
    }
}

#[test]
fn a_future_that_is_ready_ends_it_at_once() {
    on_a_shard(|| {
        let (never, five) = (Flag::new(), Polled::new(ready(5)));
        assert_eq!(five.take(), None, "nobody has polled it");
        assert_eq!(select(&[&never, &five]), Ok(1));
        assert_eq!(five.take(), Some(5));
        assert_eq!(select(&[&five]), Ok(0), "it stays ready");
        assert_eq!(five.take(), None);
    });
}

#[test]
fn a_wake_up_from_another_thread_ends_it() {
    on_a_shard(|| {
        let event = Event::default();
        let future = Polled::new(event.wait());
        let helper = {
            let event = event.clone();
            thread::spawn(move || {
                while event.polls() == 0 {
                    thread::yield_now();
                }
                event.set();
            })
        };
        assert_eq!(select(&[&Flag::new(), &future]), Ok(1));
        helper.join().unwrap();
        assert_eq!(event.polls(), 2);
    });
}

#[test]
fn a_future_is_polled_only_when_it_was_woken() {
    on_a_shard(|| {
        let event = Event::default();
        let (sender, messages) = mpsc::channel(8);
        let (polls, waits) = (event.clone(), event.clone());
        let fiber = sched::spawn(move || {
            let future = Polled::new(waits.wait());
            let mut received = 0;
            while select(&[&future, &messages]) == Ok(1) {
                messages.try_recv().unwrap();
                received += 1;
            }
            received
        });
        for _ in 0..5 {
            settle();
            sender.send(()).unwrap();
        }
        settle();
        assert_eq!(polls.polls(), 1, "the messages did not wake it");
        event.wake();
        settle();
        assert_eq!(polls.polls(), 2, "once for the wake-up");
        event.set();
        assert_eq!(fiber.join().unwrap(), 5);
        assert_eq!(polls.polls(), 3);
    });
}

#[test]
fn a_wake_up_between_two_selects_is_kept() {
    on_a_shard(|| {
        let (event, now) = (Event::default(), Flag::new());
        now.set();
        let future = Polled::new(event.wait());
        while event.polls() == 0 {
            assert_eq!(select(&[&future, &now]), Ok(1));
        }
        event.set();
        settle();
        assert_eq!(select(&[&future]), Ok(0));
        assert_eq!(event.polls(), 2);
    });
}

#[test]
fn a_poll_that_waits_loses_no_wake_up_of_the_other_things() {
    // The message comes while the future's own wait is under way, in every order of the things.
    for future_first in [true, false] {
        on_a_shard(move || {
            let (sender, messages) = mpsc::channel(1);
            let (begun, go) = (Rc::new(Flag::new()), Rc::new(Flag::new()));
            let (begins, goes) = (Rc::clone(&begun), Rc::clone(&go));
            let fiber = sched::spawn(move || {
                let future = Polled::new(Box::pin(async {
                    begins.set();
                    goes.wait().unwrap(); // waits on the fiber, within the poll
                    pending::<()>().await;
                }));
                if future_first {
                    select(&[&future, &messages])
                } else {
                    select(&[&messages, &future])
                }
            });
            begun.wait().unwrap();
            sender.send(()).unwrap();
            settle();
            go.set();
            assert_eq!(fiber.join().unwrap(), Ok(usize::from(future_first)));
        });
    }
}

#[test]
fn a_future_that_wakes_itself_lets_others_run() {
    on_a_shard(|| {
        let polls = Rc::new(Cell::new(0));
        let counts = Rc::clone(&polls);
        let fiber = sched::spawn(move || {
            let busy = poll_fn(move |cx| {
                counts.set(counts.get() + 1);
                cx.waker().wake_by_ref();
                Poll::<()>::Pending
            });
            let stop = after(Duration::from_millis(20));
            select(&[&Polled::new(busy), &stop])
        });
        let seen = polls.get();
        turns(10);
        let polls = polls.get() - seen;
        assert!((1..=10).contains(&polls), "{polls} polls in 10 turns");
        assert_eq!(fiber.join().unwrap(), Ok(1));
    });
}

#[test]
fn several_futures_are_waited_for_at_once() {
    on_a_shard(|| {
        let events = [(); 3].map(|()| Event::default());
        let waited = events.clone();
        let fiber = sched::spawn(move || {
            let futures = waited.each_ref().map(|event| Polled::new(event.wait()));
            select(&[&futures[0], &futures[1], &futures[2]])
        });
        settle();
        events[1].set();
        assert_eq!(fiber.join().unwrap(), Ok(1));
        assert_eq!([events[0].polls(), events[2].polls()], [1, 1]);
    });
}

#[test]
fn a_select_that_ends_otherwise_leaves_the_future_as_it_is() {
    on_a_shard(|| {
        let event = Event::default();
        let mut future = pin!({
            let event = event.wait();
            async move {
                event.await;
                7
            }
        });
        let polled = Polled::new(future.as_mut());
        assert_eq!(select(&[&polled, &after(Duration::from_millis(1))]), Ok(1));
        let late = sched::deadline(Duration::from_millis(1), || select(&[&polled]));
        assert_eq!(late, Err(sched::DeadlineExceeded));
        event.set();
        assert_eq!(sched::block_on(polled), Ok(7), "it goes on");

        let polled = Polled::new(Box::pin(async { 8 }));
        assert_eq!(select(&[&polled]), Ok(0));
        assert_eq!(sched::block_on(polled), Ok(8), "its output is kept");
    });
}

#[test]
fn a_borrowed_future_outlives_its_polled() {
    on_a_shard(|| {
        let event = Event::default();
        let mut future = pin!(event.wait());
        assert_eq!(
            select(&[&Polled::new(future.as_mut()), &after(Duration::from_millis(1))]),
            Ok(1)
        );
        event.set();
        assert_eq!(sched::block_on(future), Ok(()));
    });
}

#[test]
fn a_cancel_drops_a_future_that_the_fiber_owns() {
    on_a_shard(|| {
        let dropped = Rc::new(Cell::new(false));
        let drops = Rc::clone(&dropped);
        let fiber = sched::spawn(move || {
            let guard = OnDrop(move || drops.set(true));
            let future = Box::pin(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            select(&[&Polled::new(future)])
        });
        settle();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert!(dropped.get());
    });
}

#[test]
fn a_destructor_of_a_fiber_that_unwinds_polls_and_does_not_wait() {
    on_a_shard(|| {
        let seen = Rc::new(Cell::new(None));
        let tells = Rc::clone(&seen);
        let fiber = sched::spawn(move || {
            let _last = OnDrop(move || {
                let (never, now) = (Polled::new(pending::<()>()), Polled::new(ready(())));
                tells.set(Some((select(&[&never]), select(&[&now]))));
            });
            sched::park();
        });
        settle();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(seen.get(), Some((Err(Unwinding), Ok(0))));
    });
}

#[test]
fn a_panic_of_the_future_is_one_of_the_select() {
    on_a_shard(|| {
        let (sender, messages) = mpsc::channel(1);
        let broken = Polled::new(poll_fn(|_| -> Poll<()> {
            std::panic::resume_unwind(Box::new("broken"));
        }));
        // The search begins at either of the two.
        let selecting = || select(&[&messages, &broken]);
        catch_unwind(AssertUnwindSafe(selecting)).expect_err("it panics");
        sender.send(()).unwrap();
        assert_eq!(select(&[&messages]), Ok(0));
    });
}

#[test]
fn a_future_within_its_own_poll_is_refused() {
    on_a_shard(|| {
        type Own = Polled<Pin<Box<dyn Future<Output = ()>>>>;
        let own: Rc<OnceCell<Own>> = Rc::default();
        let found = Rc::downgrade(&own);
        let future = poll_fn(move |_| {
            let own = found.upgrade().expect("it lives while it is polled");
            let select = || select(&[own.get().expect("it was set")]);
            catch_unwind(AssertUnwindSafe(select)).expect_err("it would wait for itself");
            Poll::Ready(())
        });
        assert!(own.set(Polled::new(Box::pin(future))).is_ok());
        assert_eq!(select(&[own.get().expect("it was set")]), Ok(0));
    });
}

#[test]
fn hooks_of_before_park_run_before_the_wait() {
    on_a_shard(|| {
        let event = Event::default();
        let sets = event.clone();
        let _guard = sched::before_park(Rc::new(move || sets.set()));
        assert_eq!(select(&[&Polled::new(event.wait()), &Flag::new()]), Ok(0));
    });
}

#[test]
fn a_plain_thread_waits_for_a_future_too() {
    unless_it_hangs(|| {
        let event = Event::default();
        let sets = event.clone();
        let helper = thread::spawn(move || {
            while sets.polls() == 0 {
                thread::yield_now();
            }
            sets.set();
        });
        assert_eq!(select(&[&Flag::new(), &Polled::new(event.wait())]), Ok(1));
        helper.join().unwrap();
    });
}

#[test]
fn several_fibers_wait_for_one_future() {
    on_a_shard(|| {
        let event = Event::default();
        let polled = Rc::new(Polled::new(event.wait()));
        let fibers: Vec<_> = (0..3)
            .map(|number| {
                let polled = Rc::clone(&polled);
                sched::spawn(move || {
                    // One of them leaves in between.
                    let time = Duration::from_millis(if number == 1 { 1 } else { 60_000 });
                    select(&[&*polled, &after(time)]).unwrap()
                })
            })
            .collect();
        sched::sleep(Duration::from_millis(5));
        event.set();
        let ends: Vec<_> = fibers.into_iter().map(|fiber| fiber.join().unwrap()).collect();
        assert_eq!(ends, [0, 1, 0]);
    });
}
