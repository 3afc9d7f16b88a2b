//! Two fibers that keep each other busy let the others run, whatever they talk through.

mod common;

use std::cell::Cell;
use std::rc::Rc;

use common::on_a_shard;
use straightline_sched::{
    self as sched,
    sync::{Event, broadcast, mpsc, oneshot, select},
};

/// Whether another fiber gets a turn while one calls `operation` for as long as it takes.
fn lets_others_run(operation: impl Fn() + 'static) -> bool {
    let ran = Rc::new(Cell::new(false));
    let other = sched::spawn({
        let ran = Rc::clone(&ran);
        move || ran.set(true)
    });
    for _ in 0..10_000 {
        if ran.get() {
            break;
        }
        operation();
    }
    let let_run = ran.get();
    other.join().expect("it does not panic");
    let_run
}

#[test]
fn sends_and_receives_that_never_wait_do() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::unbounded();
        assert!(lets_others_run(move || sender.send(()).unwrap()));
        drop(receiver);
        let (sender, receiver) = mpsc::unbounded();
        (0..10_000).for_each(|_| sender.try_send(()).unwrap());
        assert!(lets_others_run(move || receiver.recv().unwrap()));
    });
}

#[test]
fn receiving_a_broadcast_does() {
    on_a_shard(|| {
        let (sender, receiver) = broadcast::channel(10_000);
        (0..10_000).for_each(|_| assert_eq!(sender.send(()), Ok(1)));
        assert!(lets_others_run(move || receiver.recv().unwrap()));
    });
}

#[test]
fn receiving_answers_does() {
    on_a_shard(|| {
        assert!(lets_others_run(|| {
            let (sender, receiver) = oneshot::channel();
            sender.send(()).unwrap();
            receiver.recv().unwrap();
        }));
    });
}

#[test]
fn a_select_of_something_ready_does() {
    on_a_shard(|| {
        let ready = Event::new();
        ready.set();
        assert!(lets_others_run(move || assert_eq!(select(&[&ready]), Ok(0))));
    });
}
