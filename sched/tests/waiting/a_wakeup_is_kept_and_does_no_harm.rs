//! A wake-up that comes before the wait is kept. A wake-up too many, or a wake-up of an ended
//! fiber, does no harm.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline_sched as sched;

#[test]
fn an_unpark_before_the_park_is_kept() {
    sched::run(|| {
        sched::current().unpark();
        sched::park();
    });
}

#[test]
fn an_unpark_before_the_fiber_began_leaves_it_alive() {
    sched::run(|| {
        let fiber = sched::spawn(|| "begun");
        (0..3).for_each(|_| fiber.fiber().unpark());
        assert_eq!(fiber.join().unwrap(), "begun");
    });
}

#[test]
fn a_park_lets_the_others_run_even_if_the_unpark_came_first() {
    sched::run(|| {
        let ran = Rc::new(Cell::new(false));
        sched::spawn({
            let ran = Rc::clone(&ran);
            move || ran.set(true)
        });
        sched::current().unpark();
        sched::park();
        assert!(ran.get());
    });
}

#[test]
fn many_unparks_do_not_make_a_condition_true() {
    sched::run(|| {
        let open = Rc::new(Cell::new(false));
        let waiter = sched::spawn({
            let open = Rc::clone(&open);
            move || {
                while !open.get() {
                    sched::park();
                }
            }
        });
        for _ in 0..1_000 {
            waiter.fiber().unpark();
            waiter.fiber().unpark();
            sched::yield_now();
            assert!(!waiter.is_finished());
        }
        open.set(true);
        waiter.fiber().unpark();
        waiter.join().unwrap();
    });
}

#[test]
fn an_unpark_does_not_shorten_a_sleep() {
    sched::run(|| {
        let sleeper = sched::spawn(|| {
            let start = Instant::now();
            sched::sleep(Duration::from_millis(20));
            start.elapsed()
        });
        while !sleeper.is_finished() {
            sleeper.fiber().unpark();
            sched::yield_now();
        }
        assert!(sleeper.join().unwrap() >= Duration::from_millis(20));
    });
}

#[test]
fn an_unpark_of_an_ended_fiber_reaches_no_other() {
    sched::run(|| {
        let first = sched::spawn(|| ());
        let ended = first.fiber();
        first.join().unwrap();
        let wakes = Rc::new(Cell::new(0));
        let successor = sched::spawn({
            let wakes = Rc::clone(&wakes);
            move || loop {
                sched::park();
                wakes.set(wakes.get() + 1);
            }
        });
        for _ in 0..10 {
            ended.unpark();
            sched::yield_now();
        }
        assert_eq!(wakes.get(), 0);
        successor.fiber().unpark();
        sched::yield_now();
        assert_eq!(wakes.get(), 1);
    });
}

#[test]
fn a_fiber_may_end_with_a_wakeup_to_its_name() {
    sched::run(|| {
        let fiber = sched::spawn(|| {
            sched::wake_later();
            sched::current().unpark();
        });
        fiber.join().unwrap();
        (0..3).for_each(|_| sched::yield_now());
    });
}

#[test]
fn a_handle_names_its_fiber_wherever_it_was_got() {
    sched::run(|| {
        let inside = Rc::new(Cell::new(None));
        let fiber = sched::spawn({
            let inside = Rc::clone(&inside);
            move || {
                inside.set(Some(sched::current()));
                sched::park();
                sched::park();
            }
        });
        sched::yield_now();
        inside.take().unwrap().unpark();
        sched::yield_now();
        assert!(!fiber.is_finished());
        fiber.fiber().clone().unpark();
        fiber.join().unwrap();
    });
}
