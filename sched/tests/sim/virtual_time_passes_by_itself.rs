//! In a simulation time passes exactly from timer to timer, without a real wait.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use quickcheck::quickcheck;
use straightline_sched::sim::{self, Sim};
use straightline_sched::sync::{after, mpsc, select};
use straightline_sched::{self as sched, Config};

/// A simulation whose turns cost no time, so that timers fire exactly at their nanosecond.
fn free_of_cost(seed: u64) -> Sim {
    Sim::new(seed).turn_cost(Duration::ZERO..=Duration::ZERO)
}

#[test]
fn a_wait_of_a_year_takes_no_time() {
    let start = Instant::now();
    sim::run(1, || sched::sleep(Duration::from_secs(365 * 24 * 60 * 60)));
    assert!(start.elapsed() < Duration::from_secs(365 * 24 * 60 * 60 / 2));
}

quickcheck! {
    fn a_sleep_ends_at_its_very_time(pauses: Vec<u32>) -> bool {
        let exact = free_of_cost(1).run(move || {
            let fibers: Vec<_> = pauses
                .into_iter()
                .map(|nanos| {
                    sched::spawn(move || {
                        let pause = Duration::from_nanos(nanos.into());
                        sched::sleep(pause);
                        sim::elapsed() == pause
                    })
                })
                .collect();
            fibers.into_iter().all(|fiber| fiber.join().unwrap())
        });
        exact.unwrap()
    }

    fn a_deadline_ends_a_wait_at_its_very_time(nanos: u32) -> bool {
        let limit = Duration::from_nanos(nanos.into());
        let exact = free_of_cost(1).run(move || {
            let late = sched::deadline(limit, sched::park);
            late.is_err() && sim::elapsed() == limit
        });
        exact.unwrap()
    }

    fn a_timeout_ends_a_wait_at_its_very_time(nanos: u32) -> bool {
        let limit = Duration::from_nanos(nanos.into());
        let exact = free_of_cost(1).run(move || {
            let (_sender, receiver) = mpsc::channel::<()>(1);
            let first = select(&[&receiver, &after(limit)]);
            first == Ok(1) && sim::elapsed() == limit
        });
        exact.unwrap()
    }
}

#[test]
fn what_comes_at_the_deadlines_own_time_is_one_or_the_other() {
    sim::check(|| {
        let (sender, receiver) = mpsc::channel(1);
        sched::spawn(move || {
            sched::sleep(Duration::from_secs(1));
            let _ = sender.send(()); // the receiver may be gone
        });
        let outcome = sched::deadline(Duration::from_secs(1), || receiver.recv());
        // The message is received. Or the deadline comes first, and then the message is still in
        // the channel.
        let late = outcome.is_err();
        assert!(!late || receiver.recv().is_ok());
    });
}

#[test]
fn a_loop_that_looks_at_the_clock_gets_on() {
    sim::check(|| {
        let end = sched::now() + Duration::from_millis(1);
        while sched::now() < end {
            sched::yield_now();
        }
    });
}

#[test]
fn time_never_goes_back() {
    sim::check(|| {
        let last = Rc::new(Cell::new(Duration::ZERO));
        let fibers: Vec<_> = (0..10)
            .map(|_| {
                let last = Rc::clone(&last);
                sched::spawn(move || {
                    for _ in 0..10 {
                        sched::sleep(Duration::from_micros(sched::random_u64() % 100));
                        assert!(sim::elapsed() > last.replace(sim::elapsed()));
                    }
                })
            })
            .collect();
        fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
    });
}

#[test]
fn all_clocks_agree() {
    sim::run(1, || {
        let (start, day) = (sched::now(), sched::system_time());
        sched::sleep(Duration::from_secs(90));
        let elapsed = sched::now() - start;
        assert_eq!(sched::system_time().duration_since(day).unwrap(), elapsed);
        assert!(elapsed >= Duration::from_secs(90));
        assert!(day > SystemTime::UNIX_EPOCH);
        assert!(sched::turn_start() <= sched::now());
        let shard = sched::spawn_shard("other", Config::default(), sched::now);
        let elsewhere = shard.unwrap().join().unwrap().unwrap();
        assert!(elsewhere >= start + elapsed && elsewhere <= sched::now());
    });
}

#[test]
fn events_happen_in_their_order() {
    sim::run(1, || {
        let order = Rc::new(std::cell::RefCell::new(Vec::new()));
        for (number, delay) in [(0, 2), (1, 1), (2, 2), (3, 0)] {
            let order = Rc::clone(&order);
            sim::after(Duration::from_secs(delay), move || order.borrow_mut().push(number));
        }
        sched::sleep(Duration::from_secs(3));
        assert_eq!(order.take(), [3, 1, 0, 2]);
    });
}
