//! What is to be done before a wait is done before the next one, all of it, and once.

use std::cell::RefCell;
use std::rc::Rc;

use straightline_sched::{self as sched, BeforePark, before_park};

type Log = Rc<RefCell<Vec<&'static str>>>;

fn note(log: &Log, name: &'static str) -> BeforePark {
    let log = Rc::clone(log);
    before_park(Rc::new(move || log.borrow_mut().push(name)))
}

#[test]
fn each_of_several_runs_once_and_the_newest_first() {
    sched::run(|| {
        let log = Log::default();
        let _guards = [note(&log, "outer"), note(&log, "inner")];
        assert!(log.borrow().is_empty());
        sched::yield_now();
        sched::yield_now();
        sched::sleep(std::time::Duration::from_micros(1));
        assert_eq!(*log.borrow(), ["inner", "outer"]);
    })
    .unwrap();
}

#[test]
fn whoever_takes_his_own_back_leaves_the_others() {
    sched::run(|| {
        let log = Log::default();
        let outer = note(&log, "outer");
        drop(note(&log, "inner"));
        let last = note(&log, "last");
        drop(outer);
        sched::yield_now();
        assert_eq!(log.take(), ["last"]);
        // It has run; there is nothing of it to be taken back, nor of anybody else's.
        let next = note(&log, "next");
        drop(last);
        sched::yield_now();
        assert_eq!(log.take(), ["next"]);
        drop(next);
    })
    .unwrap();
}

#[test]
fn a_fiber_that_never_waits_runs_them_at_its_end() {
    sched::run(|| {
        let log = Log::default();
        let own = Rc::clone(&log);
        let guards = sched::spawn(move || [note(&own, "outer"), note(&own, "inner")]);
        let guards = guards.join().unwrap();
        assert_eq!(*log.borrow(), ["inner", "outer"]);
        drop(guards);
    })
    .unwrap();
}
