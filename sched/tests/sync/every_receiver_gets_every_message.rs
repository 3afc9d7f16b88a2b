//! A broadcast reaches each receiver; a receiver that is too slow learns how much it missed.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::common::{Census, on_a_shard, settle};
use quickcheck::quickcheck;
use straightline_sched::{
    self as sched,
    sync::broadcast::{self, Receiver, RecvError, SendError, Sender, TryRecvError},
};

quickcheck! {
    /// The model is a list of all messages, with a position in the list for each receiver.
    fn each_receiver_sees_what_the_model_says(capacity: u8, operations: Vec<(u8, u8)>) -> bool {
        let capacity = usize::from(capacity % 4) + 1;
        let census = Census::default();
        let (sender, first) = broadcast::channel(capacity);
        let mut receivers = VecDeque::from([(first, 0)]);
        let mut sent = 0_usize;
        for (kind, pick) in operations {
            let index = usize::from(pick) % receivers.len().max(1);
            match kind % 5 {
                0 | 1 => {
                    let delivered = sender.send(census.count(sent)).ok();
                    if delivered != Some(receivers.len()).filter(|&count| count > 0) {
                        return false;
                    }
                    sent += usize::from(delivered.is_some());
                }
                2 => {
                    if let Some((receiver, next)) = receivers.get_mut(index)
                        && !sees_what_it_should(receiver, next, sent, capacity)
                    {
                        return false;
                    }
                }
                3 => receivers.push_back((sender.subscribe(), sent)),
                _ => drop(receivers.remove(index)),
            }
            // The channel does not keep a message that all receivers have seen.
            let oldest = receivers.iter().map(|receiver| receiver.1).min().unwrap_or(sent);
            if census.alive() != (sent - oldest).min(capacity) {
                return false;
            }
        }
        drop(receivers);
        census.alive() == 0
    }
}

/// Takes one message, and compares it with the message of the model.
fn sees_what_it_should(
    receiver: &Receiver<crate::common::Counted<usize>>,
    next: &mut usize,
    sent: usize,
    capacity: usize,
) -> bool {
    let missed = (sent - *next).saturating_sub(capacity);
    match receiver.try_recv() {
        Ok(message) => {
            *next += 1;
            missed == 0 && message.value == *next - 1
        }
        Err(TryRecvError::Empty) => *next == sent,
        Err(TryRecvError::Lagged(count)) => {
            *next += missed;
            missed > 0 && count == missed as u64
        }
        Err(TryRecvError::Closed) => false,
    }
}

fn subscribe(count: usize, sender: &Sender<u32>) -> Vec<sched::JoinHandle<Vec<u32>>> {
    (0..count)
        .map(|_| {
            let receiver = sender.subscribe();
            sched::spawn(move || receiver.iter().collect())
        })
        .collect()
}

#[test]
fn fibers_that_keep_up_get_all_of_it() {
    on_a_shard(|| {
        let (sender, unused) = broadcast::channel(4);
        drop(unused);
        let fibers = subscribe(5, &sender);
        for message in 0..100 {
            assert_eq!(sender.send(message).unwrap(), 5);
            if message % 4 == 3 {
                settle();
            }
        }
        drop(sender);
        for fiber in fibers {
            assert!(fiber.join().unwrap().into_iter().eq(0..100));
        }
    });
}

#[test]
fn a_receiver_that_is_too_slow_skips_and_goes_on() {
    on_a_shard(|| {
        let (sender, receiver) = broadcast::channel(2);
        (0..5).for_each(|message| assert_eq!(sender.send(message), Ok(1)));
        drop(sender);
        assert_eq!(receiver.recv(), Err(RecvError::Lagged(3)));
        assert_eq!(receiver.recv(), Ok(3));
        assert_eq!(receiver.recv(), Ok(4));
        assert_eq!(receiver.recv(), Err(RecvError::Closed));
    });
}

#[test]
fn a_waiting_receiver_learns_that_the_last_sender_is_gone() {
    on_a_shard(|| {
        let (sender, receiver) = broadcast::channel::<()>(1);
        let another = sender.clone();
        let fiber = sched::spawn(move || receiver.recv());
        settle();
        drop((sender, another));
        assert_eq!(fiber.join().unwrap(), Err(RecvError::Closed));
    });
}

#[test]
fn a_send_without_receivers_gives_the_value_back() {
    let (sender, receiver) = broadcast::channel(1);
    drop(receiver);
    assert_eq!(sender.receiver_count(), 0);
    assert_eq!(sender.send(5), Err(SendError(5)));
    let again = sender.subscribe();
    assert_eq!(sender.send(6), Ok(1));
    assert_eq!(again.try_recv(), Ok(6));
}

#[test]
fn fibers_that_share_a_receiver_share_its_messages() {
    on_a_shard(|| {
        let (sender, receiver) = broadcast::channel(8);
        let receiver = Rc::new(receiver);
        let fibers: Vec<_> = (0..3)
            .map(|_| {
                let receiver = Rc::clone(&receiver);
                sched::spawn(move || receiver.recv().unwrap())
            })
            .collect();
        settle();
        (0..3).for_each(|message| assert_eq!(sender.send(message), Ok(1)));
        let mut messages: Vec<_> = fibers.into_iter().map(|fiber| fiber.join().unwrap()).collect();
        messages.sort_unstable();
        assert_eq!(messages, [0, 1, 2]);
    });
}

/// A message that uses its channel whenever it is cloned or dropped.
struct Echo {
    sender: broadcast::Sender<Echo>,
    is_last: bool,
}

impl Echo {
    fn use_channel(&self) {
        if !self.is_last {
            assert!(self.sender.receiver_count() < 3);
            let _ = self.sender.send(Self { sender: self.sender.clone(), is_last: true });
        }
    }
}

impl Clone for Echo {
    fn clone(&self) -> Self {
        self.use_channel();
        Self { sender: self.sender.clone(), is_last: true }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.use_channel();
    }
}

/// If a clone or a destructor ran under the channel's lock, it would block the thread for ever.
#[test]
fn messages_may_use_their_channel_when_they_are_cloned_or_dropped() {
    on_a_shard(|| {
        let (sender, first) = broadcast::channel(2);
        let second = sender.subscribe();
        let send = || {
            let sent = sender.send(Echo { sender: sender.clone(), is_last: false });
            assert!(sent.is_ok());
        };
        send();
        drop(first.recv()); // a clone
        drop(second.recv()); // the message itself
        (0..4).for_each(|_| send()); // pushes others out
        drop(second);
        send();
        drop(first); // with the messages that it has not seen
        assert!(sender.send(Echo { sender: sender.clone(), is_last: false }).is_err());
    });
}
