//! An event, a wait group and a barrier let all waiters pass when their condition holds, and not
//! before.

use std::cell::Cell;
use std::rc::Rc;

use crate::common::{on_a_shard, settle};
use straightline_sched::{
    self as sched, JoinHandle,
    sync::{Barrier, Flag, WaitGroup},
};

fn all_finished(fibers: &[JoinHandle<()>]) -> bool {
    fibers.iter().all(JoinHandle::is_finished)
}

fn none_finished(fibers: &[JoinHandle<()>]) -> bool {
    !fibers.iter().any(JoinHandle::is_finished)
}

/// Fibers that wait for the event.
fn wait_for(event: &Rc<Flag>, count: usize) -> Vec<JoinHandle<()>> {
    let wait = |_| {
        let event = Rc::clone(event);
        sched::spawn(move || event.wait().expect("the fiber may wait"))
    };
    let fibers = (0..count).map(wait).collect();
    settle();
    fibers
}

#[test]
fn an_event_lets_every_fiber_pass_until_it_is_cleared() {
    on_a_shard(|| {
        let event = Rc::new(Flag::new());
        let first = wait_for(&event, 3);
        assert!(none_finished(&first));
        event.set();
        settle();
        assert!(all_finished(&first));
        assert!(event.is_set());
        event.wait().unwrap();
        event.clear();
        let second = wait_for(&event, 1);
        assert!(none_finished(&second));
    });
}

#[test]
fn a_short_event_lets_its_waiters_pass() {
    on_a_shard(|| {
        let event = Rc::new(Flag::new());
        let fibers = wait_for(&event, 3);
        event.set();
        event.clear();
        settle();
        assert!(all_finished(&fibers));
    });
}

#[test]
fn a_cancelled_waiter_leaves_the_event_to_the_others() {
    on_a_shard(|| {
        let event = Rc::new(Flag::new());
        let mut fibers = wait_for(&event, 3);
        let cancelled = fibers.remove(1);
        cancelled.cancel();
        assert!(cancelled.join().unwrap_err().is_cancelled());
        event.set();
        settle();
        assert!(all_finished(&fibers));
    });
}

#[test]
fn a_group_waits_for_each_member_however_it_ends() {
    on_a_shard(|| {
        let (group, ended) = (WaitGroup::new(), Rc::new(Cell::new(0)));
        let fibers: Vec<_> = (0..4)
            .map(|number| {
                let (group, ended) = (group.clone(), Rc::clone(&ended));
                sched::spawn(move || {
                    (0..=number).for_each(|_| sched::yield_now());
                    ended.set(ended.get() + 1);
                    if number == 0 {
                        std::panic::resume_unwind(Box::new("broken"));
                    }
                    if number == 3 {
                        sched::park();
                    }
                    drop(group);
                })
            })
            .collect();
        let waiter = sched::spawn(move || group.wait().unwrap());
        settle();
        assert!(!waiter.is_finished());
        fibers[3].cancel();
        waiter.join().unwrap();
        assert_eq!(ended.get(), 4);
    });
}

#[test]
fn members_that_all_wait_for_each_other_meet() {
    on_a_shard(|| {
        let group = WaitGroup::new();
        let fibers: Vec<_> = (0..3)
            .map(|_| {
                let group = group.clone();
                sched::spawn(move || group.wait().unwrap())
            })
            .collect();
        settle();
        assert!(none_finished(&fibers));
        group.wait().unwrap();
        settle();
        assert!(all_finished(&fibers));
    });
}

#[test]
fn a_barrier_opens_for_each_full_round_and_has_one_leader() {
    on_a_shard(|| {
        let (barrier, arrived) = (Rc::new(Barrier::new(4)), Rc::new(Cell::new(0)));
        let fibers: Vec<_> = (0..4)
            .map(|number| {
                let (barrier, arrived) = (Rc::clone(&barrier), Rc::clone(&arrived));
                sched::spawn(move || {
                    let mut leaders = 0;
                    for round in 1..=10 {
                        (0..number).for_each(|_| sched::yield_now());
                        arrived.set(arrived.get() + 1);
                        leaders += u32::from(barrier.wait().unwrap().is_leader());
                        assert!(arrived.get() >= 4 * round);
                    }
                    leaders
                })
            })
            .collect();
        let leaders: u32 = fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum();
        assert_eq!(leaders, 10);
    });
}

#[test]
fn a_cancelled_fiber_has_not_come_to_the_barrier() {
    on_a_shard(|| {
        let barrier = Rc::new(Barrier::new(2));
        let come = || {
            let barrier = Rc::clone(&barrier);
            let fiber = sched::spawn(move || assert!(!barrier.wait().unwrap().is_leader()));
            settle();
            fiber
        };
        let first = come();
        first.cancel();
        assert!(first.join().unwrap_err().is_cancelled());
        let second = come();
        assert!(!second.is_finished());
        assert!(barrier.wait().unwrap().is_leader());
        second.join().unwrap();
    });
}

#[test]
fn a_barrier_for_none_or_one_holds_no_fiber_back() {
    assert!(Barrier::new(0).wait().unwrap().is_leader());
    assert!(Barrier::new(1).wait().unwrap().is_leader());
}
