//! The counters of a shard: each fiber that was started has ended or is alive, and gauges go back
//! to zero.

use std::cell::Cell;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{on_a_shard, run, swallow_for_ever, turns};
use straightline_sched::{self as sched, Interest, Source, Stats};

fn add_up() -> Stats {
    let stats = sched::stats();
    assert_eq!(stats.spawned, stats.ended + stats.fibers);
    assert!(stats.abandoned <= stats.ended);
    assert!(stats.timers <= stats.fibers && stats.ready <= stats.fibers);
    stats
}

#[test]
fn however_fibers_end() {
    on_a_shard(|| {
        let before = add_up();
        let own_ends: [fn(); 3] = [|| (), || panic!("broken"), || turns(3)];
        let ended: Vec<_> = own_ends.into_iter().map(sched::spawn).collect();
        let cancelled = sched::spawn(sched::park);
        let never_begun = sched::spawn(|| ());
        never_begun.cancel();
        let abandoned = sched::spawn(|| swallow_for_ever());
        assert_eq!(add_up().spawned, before.spawned + 6);
        turns(2);
        cancelled.cancel();
        abandoned.cancel();
        ended.into_iter().for_each(|fiber| drop(fiber.join()));
        [cancelled, never_begun, abandoned].into_iter().for_each(|fiber| drop(fiber.join()));
        let after = add_up();
        assert_eq!((after.ended, after.abandoned), (before.ended + 6, 1));
        assert_eq!(after.fibers, before.fibers);
    });
}

#[test]
fn a_scopes_fibers_count_and_those_that_it_refuses_do_not() {
    run(|| {
        let before = add_up();
        sched::scope(|s| {
            (0..5).for_each(|_| drop(s.spawn(sched::park)));
            turns(1);
            assert_eq!(add_up().fibers, before.fibers + 5);
            s.cancel();
            drop(s.spawn(sched::park));
        });
        let after = add_up();
        assert_eq!((after.spawned, after.fibers), (before.spawned + 5, before.fibers));
    });
}

#[test]
fn each_deadline_that_was_exceeded() {
    run(|| {
        for expected in 1..=3 {
            assert!(sched::deadline(Duration::ZERO, sched::park).is_err());
            assert!(sched::deadline(Duration::from_secs(3_600), || ()).is_ok());
            assert_eq!(add_up().deadlines_exceeded, expected);
        }
    });
}

#[test]
fn gauges_follow_what_there_is() {
    run(|| {
        let before = add_up();
        let (near, _far) = UnixStream::pair().unwrap();
        let source = Rc::new(Source::new(near));
        let waiter = sched::spawn({
            let source = Rc::clone(&source);
            move || source.wait(Interest::Read)
        });
        let sleeper = sched::spawn(|| sched::sleep(Duration::from_secs(3_600)));
        turns(1);
        let during = add_up();
        assert_eq!(during.sources, before.sources + 1);
        assert_eq!(during.timers, before.timers + 1);
        waiter.cancel();
        sleeper.cancel();
        assert_eq!(add_up().ready, 2);
        assert!(waiter.join().is_err() && sleeper.join().is_err());
        drop(source);
        let after = add_up();
        assert_eq!(
            (after.sources, after.timers, after.fibers),
            (before.sources, before.timers, before.fibers)
        );
    });
}

#[test]
fn only_a_fiber_that_waits_has_a_timer() {
    run(|| {
        let (before, hour) = (add_up().timers, Duration::from_secs(3_600));
        assert_eq!(sched::deadline(hour, || add_up().timers), Ok(before));
        let of_a_turn = sched::deadline(hour, || {
            sched::yield_now();
            add_up().timers
        });
        assert_eq!(of_a_turn, Ok(before));
        let waiter = sched::spawn(move || sched::deadline(hour, sched::park));
        turns(1);
        assert_eq!(add_up().timers, before + 1);
        waiter.cancel();
        assert!(waiter.join().is_err());
        assert_eq!(add_up().timers, before);
    });
}

#[test]
fn other_threads_see_them_after_the_end() {
    let handle = sched::run(|| {
        drop(sched::spawn(sched::park));
        let received = Rc::new(Cell::new(false));
        let me = sched::current();
        sched::ShardHandle::current().spawn(move || me.unpark()).unwrap();
        sched::park();
        received.set(true);
        sched::ShardHandle::current()
    });
    let stats = std::thread::spawn(move || handle.stats()).join().unwrap();
    assert_eq!((stats.spawned, stats.ended), (3, 3));
    assert_eq!(stats.messages, 1);
}

#[test]
fn every_counter_has_its_name() {
    run(|| {
        let stats = sched::stats();
        let named: std::collections::HashMap<_, _> =
            stats.iter().map(|(name, _, value)| (name, value)).collect();
        assert_eq!(named["spawned"], stats.spawned);
        assert_eq!(named["fibers"], stats.fibers);
        assert_eq!(named.len(), stats.iter().count());
    });
}

#[test]
fn stacks_are_counted_in_use_and_free() {
    run(|| {
        let before = sched::stats();
        let fibers: Vec<_> = (0..10).map(|_| sched::spawn(sched::park)).collect();
        sched::yield_now();
        let during = sched::stats();
        assert_eq!(during.stacks, before.stacks + 10);
        assert!(during.stack_mapped_bytes >= 11 * 256 * 1024);
        fibers.iter().for_each(|fiber| fiber.fiber().unpark());
        fibers.into_iter().for_each(|fiber| fiber.join().expect("the fiber was woken"));
        let after = sched::stats();
        assert_eq!(after.stacks, before.stacks);
        assert!(after.stacks_hot + after.stacks_cold >= 10);
    });
}
