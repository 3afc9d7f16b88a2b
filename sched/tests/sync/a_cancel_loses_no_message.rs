//! A receiver that is cancelled leaves the message to the next receiver. A sender that is cancelled
//! has not sent its message.

use std::rc::Rc;

use crate::common::{Census, on_a_shard, settle};
use straightline_sched::{
    self as sched,
    sync::{broadcast, mpsc, oneshot},
};

#[test]
fn the_next_receiver_gets_what_a_woken_one_did_not_take() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::channel(1);
        let receiver = Rc::new(receiver);
        let fibers: Vec<_> = (0..2)
            .map(|_| {
                let receiver = Rc::clone(&receiver);
                sched::spawn(move || receiver.recv())
            })
            .collect();
        settle();
        sender.send("kept").unwrap(); // wakes the first
        fibers[0].cancel();
        let mut ends = fibers.into_iter().map(sched::JoinHandle::join);
        assert!(ends.next().unwrap().unwrap_err().is_cancelled());
        assert_eq!(ends.next().unwrap().unwrap(), Ok("kept"));
    });
}

#[test]
fn a_message_that_was_not_taken_is_there_later() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::channel(1);
        let receiver = Rc::new(receiver);
        let fiber = sched::spawn({
            let receiver = Rc::clone(&receiver);
            move || receiver.recv()
        });
        settle();
        sender.send("kept").unwrap();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(receiver.recv(), Ok("kept"));
    });
}

#[test]
fn a_cancelled_sender_has_not_sent_and_lets_the_next() {
    on_a_shard(|| {
        // Cancels the sender while it waits, and just after it was promised room.
        for taken_first in [false, true] {
            let (census, (sender, receiver)) = (Census::default(), mpsc::channel(1));
            let fibers: Vec<_> = (0..3)
                .map(|number| {
                    let (sender, message) = (sender.clone(), census.count(number));
                    sched::spawn(move || sender.send(message).is_ok())
                })
                .collect();
            settle();
            if taken_first {
                assert_eq!(receiver.try_recv().map(|message| message.value).ok(), Some(0));
                fibers[1].cancel();
            } else {
                fibers[1].cancel();
                settle();
                assert_eq!(receiver.try_recv().map(|message| message.value).ok(), Some(0));
            }
            drop(sender);
            assert!(receiver.iter().map(|message| message.value).eq([2]));
            let ends = fibers.into_iter().map(|fiber| fiber.join().ok());
            assert!(ends.eq([Some(true), None, Some(true)]));
            assert_eq!(census.alive(), 0);
        }
    });
}

#[test]
fn a_cancel_among_many_messages_loses_none() {
    on_a_shard(|| {
        // The cancel is raised where `recv` lets other fibers run. At that point `recv` must not
        // have taken a message yet.
        let (sender, receiver) = mpsc::unbounded();
        (0..1_000).for_each(|number| sender.send(number).unwrap());
        drop(sender);
        let (receiver, taken) = (Rc::new(receiver), Rc::new(std::cell::RefCell::new(Vec::new())));
        let fiber = sched::spawn({
            let (receiver, taken) = (Rc::clone(&receiver), Rc::clone(&taken));
            move || receiver.iter().for_each(|number| taken.borrow_mut().push(number))
        });
        sched::yield_now();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        let taken = taken.take();
        assert!((1..1_000).contains(&taken.len()), "{}", taken.len());
        assert!(taken.into_iter().chain(receiver.try_iter()).eq(0..1_000));
    });
}

#[test]
fn the_answer_of_a_oneshot_stays_for_the_next_receive() {
    on_a_shard(|| {
        let (sender, receiver) = oneshot::channel();
        let receiver = Rc::new(receiver);
        let fiber = sched::spawn({
            let receiver = Rc::clone(&receiver);
            move || receiver.recv()
        });
        settle();
        sender.send("kept").unwrap();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(receiver.recv(), Ok("kept"));
        assert_eq!(receiver.recv(), Err(oneshot::RecvError));
    });
}

#[test]
fn a_broadcast_stays_for_the_next_receive() {
    on_a_shard(|| {
        let (sender, receiver) = broadcast::channel(1);
        let receiver = Rc::new(receiver);
        let fiber = sched::spawn({
            let receiver = Rc::clone(&receiver);
            move || receiver.recv()
        });
        settle();
        sender.send("kept").unwrap();
        fiber.cancel();
        assert!(fiber.join().unwrap_err().is_cancelled());
        assert_eq!(receiver.recv(), Ok("kept"));
    });
}
