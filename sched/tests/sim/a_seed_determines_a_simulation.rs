//! One seed determines one history, to the last line of its trace. Another seed determines another
//! history.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use straightline_sched::sim::{self, Sim};
use straightline_sched::sync::{Flag, Mutex, Semaphore, after, mpsc, oneshot, select};
use straightline_sched::{self as sched, Config};

/// A program that uses every kind of call a little.
fn busy_program() -> u64 {
    let sum = Rc::new(Mutex::new(0_u64));
    let permits = Arc::new(Semaphore::new(2));
    let (sender, receiver) = mpsc::channel(3);
    let done = Arc::new(Flag::new());
    for number in 0..6_u64 {
        let (sum, permits, sender) = (Rc::clone(&sum), Arc::clone(&permits), sender.clone());
        let builder = sched::FiberBuilder::new().name(format!("worker {number}"));
        let worker = builder.spawn(move || {
            for round in 0..4 {
                let _permit = permits.acquire(1).expect("the fiber does not unwind");
                sched::sleep(Duration::from_millis(sched::random_u64() % 20));
                *sum.lock().expect("the fiber does not unwind") += round;
                let squared = sched::offload(move || number * number).expect("a free thread");
                sender.send(squared).expect("there is a receiver");
            }
        });
        drop(worker.expect("a stack"));
    }
    drop(sender);
    let (late, done_too) = (sched::spawn(|| sched::sleep(Duration::from_secs(9))), done.clone());
    let (shard_sender, shard_receiver) = oneshot::channel();
    let shard = sched::spawn_shard("other", Config::default(), move || {
        sched::sleep(Duration::from_millis(30));
        done_too.set();
        shard_sender.send(sched::random_u64() % 7)
    });
    let mut total = 0;
    while let Ok(value) = receiver.recv() {
        total += value;
        let slow = sched::deadline(Duration::from_millis(3), || {
            select(&[&*done, &after(Duration::from_millis(total % 6))])
        });
        total += u64::from(slow.is_err());
    }
    late.cancel();
    assert!(late.join().is_err_and(|error| error.is_cancelled()));
    assert!(shard.expect("a stack").join().expect("no panic").is_ok());
    let from_the_shard = shard_receiver.recv().expect("the shard has sent it");
    let sum = *sum.lock().expect("the fiber does not unwind");
    sum + total + from_the_shard
}

fn history(seed: u64) -> (u64, String) {
    let lines = Rc::new(RefCell::new(String::new()));
    let sink = Rc::clone(&lines);
    let value = Sim::new(seed)
        .trace(move |line| {
            sink.borrow_mut().push_str(line);
            sink.borrow_mut().push('\n');
        })
        .run(busy_program);
    (value.expect("the simulation succeeds"), lines.take())
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..300 {
        let (value, trace) = history(seed);
        assert_eq!(history(seed), (value, trace), "seed {seed}");
    }
}

#[test]
fn a_trace_changes_nothing() {
    for seed in 0..50 {
        assert_eq!(history(seed).0, sim::run(seed, busy_program), "seed {seed}");
    }
}

#[test]
fn other_seeds_are_other_histories() {
    let traces: BTreeSet<String> = (0..50).map(|seed| history(seed).1).collect();
    assert_eq!(traces.len(), 50);
}

#[test]
fn each_order_of_ready_fibers_occurs() {
    let order = |seed| {
        sim::run(seed, || {
            let order = Rc::new(RefCell::new(Vec::new()));
            let fibers: Vec<_> = (0..3)
                .map(|number| {
                    let order = Rc::clone(&order);
                    sched::spawn(move || order.borrow_mut().push(number))
                })
                .collect();
            fibers.into_iter().for_each(|fiber| fiber.join().unwrap());
            order.take()
        })
    };
    let orders: BTreeSet<Vec<u32>> = (0..200).map(order).collect();
    assert_eq!(orders.len(), 6);
}

#[test]
fn a_fiber_that_yields_lets_the_others_run_first() {
    sim::check(|| {
        let others: Vec<_> = (0..5).map(|_| sched::spawn(|| ())).collect();
        sched::yield_now();
        assert!(others.iter().all(sched::JoinHandle::is_finished));
    });
}

#[test]
fn a_trace_says_which_fiber_did_what() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&lines);
    let simulation = Sim::new(1).trace(move |line| sink.borrow_mut().push(line.to_owned()));
    let ended = simulation.run(|| {
        let sleeper = sched::FiberBuilder::new().name("sleeper").spawn(|| {
            sched::sleep(Duration::from_secs(100));
        });
        let sleeper = sleeper.expect("a stack");
        sched::sleep(Duration::from_secs(2));
        sim::trace(|| "has slept".to_owned());
        sleeper.cancel();
        sleeper.join().unwrap_err();
    });
    assert!(ended.is_ok());
    let text = lines.take().join("\n");
    for expected in [
        " root#1: spawns sleeper#2, at ",
        " root#1: waits: sleep",
        " sleeper#2: waits: sleep",
        "    2.0000", // the time, when the root goes on
        " root#1: has slept",
        " root#1: cancels sleeper#2",
        " root#1: waits: the end of fiber `sleeper`",
        " sleeper#2: unwinds: cancelled",
        " sleeper#2: wakes root#1",
        " sleeper#2: ends",
        " root#1: ends",
    ] {
        assert!(text.contains(expected), "no {expected:?} in\n{text}");
    }
}

#[test]
fn what_a_trace_does_itself_is_not_traced() {
    let lines = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&lines);
    let simulation = Sim::new(1).trace(move |line| {
        sim::trace(|| "once more".to_owned());
        sink.borrow_mut().push(line.to_owned());
    });
    simulation.run(|| sim::trace(|| "only this".to_owned())).unwrap();
    let lines = lines.borrow();
    assert_eq!(lines.iter().filter(|line| line.contains("only this")).count(), 1);
    assert!(!lines.iter().any(|line| line.contains("once more")));
}
