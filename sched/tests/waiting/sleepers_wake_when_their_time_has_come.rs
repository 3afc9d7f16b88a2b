//! A sleep lasts at least as long as asked for, and sleepers wake in the order of their deadlines.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline_sched as sched;

#[test]
fn a_sleep_lasts_at_least_its_duration() {
    sched::run(|| {
        for ms in [1, 2, 5, 10] {
            let (start, duration) = (Instant::now(), Duration::from_millis(ms));
            sched::sleep(duration);
            assert!(start.elapsed() >= duration);
        }
    });
}

#[test]
fn a_sleep_is_measured_from_its_call_and_not_from_the_shards_clock() {
    sched::run(|| {
        // The shard's clock lags behind while a fiber computes.
        let (start, duration) = (sched::turn_start(), Duration::from_millis(5));
        while start.elapsed() < duration * 2 {}
        let called = Instant::now();
        sched::sleep(duration);
        assert!(called.elapsed() >= duration);
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_deadlines() {
    sched::run(|| {
        let woken = Rc::new(RefCell::new(Vec::new()));
        let fibers: Vec<_> = [40, 10, 30, 0, 20, 50, 15, 35, 5]
            .map(|ms| {
                let woken = Rc::clone(&woken);
                sched::spawn(move || {
                    let (called, duration) = (Instant::now(), Duration::from_millis(ms));
                    sched::sleep(duration);
                    woken.borrow_mut().push((called + duration, duration));
                })
            })
            .into();
        sched::yield_now();
        let all_called = Instant::now();
        for fiber in fibers {
            fiber.join().unwrap();
        }
        // A deadline lies between the call plus the duration and `all_called` plus the duration,
        // however long the machine took over the calls.
        for pair in woken.borrow().windows(2) {
            let ((earliest, _), (_, later)) = (pair[0], pair[1]);
            assert!(earliest <= all_called + later, "{later:?} was overtaken");
        }
        assert_eq!(woken.borrow().len(), 9);
    });
}

/// The alarm of the sleeper is still set for an earlier deadline, which did not expire.
#[test]
fn a_sleeper_that_had_an_earlier_deadline_does_not_overtake() {
    sched::run(|| {
        let woken = Rc::new(RefCell::new(Vec::new()));
        let sleeps = |name, ms| {
            let woken = Rc::clone(&woken);
            sched::spawn(move || {
                sched::deadline(Duration::from_millis(15) / ms, || ()).unwrap();
                sched::sleep(Duration::from_millis(10 * u64::from(ms)));
                woken.borrow_mut().push(name);
            })
        };
        let fibers = [sleeps("first", 1), sleeps("second", 3), sleeps("third", 5)];
        sched::yield_now();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(60) {}
        for fiber in fibers {
            fiber.join().unwrap();
        }
        assert_eq!(*woken.borrow(), ["first", "second", "third"]);
    });
}

#[test]
fn a_sleep_of_nothing_ends() {
    sched::run(|| (0..100).for_each(|_| sched::sleep(Duration::ZERO)));
}

#[test]
fn a_sleep_for_ever_can_be_cancelled() {
    sched::run(|| {
        let sleeper = sched::spawn(|| sched::sleep(Duration::MAX));
        sched::sleep(Duration::from_millis(1));
        assert!(!sleeper.is_finished());
        sleeper.cancel();
        assert!(sleeper.join().unwrap_err().is_cancelled());
    });
}

#[test]
fn a_cancelled_sleep_leaves_the_others_their_times() {
    sched::run(|| {
        let sleep = |ms| sched::spawn(move || sched::sleep(Duration::from_millis(ms)));
        let sleepers: Vec<_> = (0..30).map(sleep).collect();
        sched::yield_now();
        for cancelled in sleepers.iter().skip(1).step_by(2) {
            cancelled.cancel();
        }
        // Sleepers with a time of zero may have woken before the cancel.
        let slept = sleepers.into_iter().filter_map(|sleeper| sleeper.join().ok()).count();
        assert!(slept >= 15);
    });
}

#[test]
fn thousands_sleep_at_once() {
    sched::run(|| {
        let fibers: Vec<_> = (0..5_000_u64)
            .map(|number| {
                sched::spawn(move || {
                    let (start, duration) = (Instant::now(), Duration::from_millis(number % 50));
                    sched::sleep(duration);
                    start.elapsed() >= duration
                })
            })
            .collect();
        assert!(fibers.into_iter().all(|fiber| fiber.join().unwrap()));
    });
}

#[test]
fn a_park_with_a_timeout_ends_by_itself() {
    sched::run(|| {
        let (start, timeout) = (Instant::now(), Duration::from_millis(5));
        while start.elapsed() < timeout {
            sched::park_timeout(timeout.saturating_sub(start.elapsed()));
        }
        sched::park_timeout(Duration::ZERO);
    });
}

#[test]
fn a_park_with_a_timeout_ends_with_an_unpark() {
    sched::run(|| {
        let me = sched::current();
        sched::spawn(move || me.unpark());
        sched::park_timeout(Duration::MAX);
    });
}

#[test]
fn the_shards_clock_goes_forward() {
    sched::run(|| {
        let mut last = sched::turn_start();
        for _ in 0..10 {
            sched::sleep(Duration::from_millis(1));
            let now = sched::turn_start();
            assert!(now >= last + Duration::from_millis(1));
            assert!(now <= Instant::now());
            last = now;
        }
    });
}
