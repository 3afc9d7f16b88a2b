//! A oneshot channel carries one message. If one end is dropped, the other end gets an error.

use crate::common::{Census, on_a_shard, settle};
use straightline_sched::{
    self as sched,
    sync::oneshot::{self, RecvError, SendError},
};

#[test]
fn a_waiting_receiver_gets_the_answer() {
    on_a_shard(|| {
        let (sender, receiver) = oneshot::channel();
        let fiber = sched::spawn(move || receiver.recv());
        settle();
        sender.send(5).unwrap();
        assert_eq!(fiber.join().unwrap(), Ok(5));
    });
}

#[test]
fn a_waiting_receiver_learns_that_the_sender_is_gone() {
    on_a_shard(|| {
        let (sender, receiver) = oneshot::channel::<()>();
        let fiber = sched::spawn(move || receiver.recv());
        settle();
        drop(sender);
        assert_eq!(fiber.join().unwrap(), Err(RecvError));
    });
}

#[test]
fn a_sender_learns_that_the_receiver_is_gone() {
    let (sender, receiver) = oneshot::channel();
    assert!(!sender.is_closed());
    drop(receiver);
    assert!(sender.is_closed());
    assert_eq!(sender.send(5), Err(SendError(5)));
}

#[test]
fn an_answer_that_is_not_read_is_dropped_once() {
    let census = Census::default();
    let (sender, receiver) = oneshot::channel();
    assert!(sender.send(census.count(())).is_ok());
    assert_eq!(census.alive(), 1);
    drop(receiver);
    assert_eq!(census.alive(), 0);
}
