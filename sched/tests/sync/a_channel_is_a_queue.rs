//! Whatever fibers send and receive, and whichever fibers are cancelled meanwhile, a channel
//! behaves like a queue.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::common::{Census, Counted, on_a_shard, settle};
use quickcheck::quickcheck;
use straightline_sched::{
    self as sched, JoinHandle,
    sync::mpsc::{self, Receiver, RecvError, SendError, Sender, TryRecvError},
};

/// The kind of an operation, and a number that chooses its fiber.
type Operation = (u8, u8);

quickcheck! {
    /// Every fiber may run after each operation. So the model determines which fiber gets which
    /// message.
    fn messages_go_where_the_model_says(bound: u8, operations: Vec<Operation>) -> bool {
        let bound = usize::from(bound % 3) + 1;
        on_a_shard(move || {
            let (mut real, mut model) = (Real::new(bound), Model::new(bound));
            operations.into_iter().all(|operation| {
                real.apply(operation);
                settle();
                model.apply(operation);
                *real.taken.borrow() == model.taken && *real.sent.borrow() == model.sent
            })
        })
    }

    /// Here fibers do not always run after an operation, so there are more races. Still no message
    /// is lost, doubled or overtaken, and no fiber waits for a message or for room that the channel
    /// has.
    fn no_race_loses_or_doubles_a_message(bound: u8, operations: Vec<Operation>) -> bool {
        let bound = usize::from(bound % 3) + 1;
        on_a_shard(move || {
            let mut real = Real::new(bound);
            for (kind, pick) in operations {
                real.apply((kind, pick));
                if pick % 4 == 0 {
                    sched::yield_now();
                }
            }
            // Each message may need one turn of a sender and one turn of a receiver.
            real.fibers.iter().for_each(|_| settle());
            let sending = real.waiting(Kind::Sends);
            let receiving = real.waiting(Kind::Receives);
            // After the waiting fibers are cancelled, the remaining messages come out in order.
            real.fibers.iter().for_each(|fiber| fiber.1.cancel());
            settle();
            let left: Vec<_> = real.receiver.try_iter().map(|message| message.value).collect();
            let mut all: Vec<_> = real.taken.take().into_iter().map(|(_, value)| value).collect();
            all.extend(&left);
            all == *real.sent.borrow()
                && (sending == 0 || left.len() == bound)
                && (receiving == 0 || left.is_empty())
                && real.census.alive() == 0
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sends,
    Receives,
}

struct Real {
    sender: Sender<Counted<usize>>,
    receiver: Rc<Receiver<Counted<usize>>>,
    fibers: Vec<(Kind, JoinHandle<()>)>,
    census: Census,
    /// The messages for which `send` returned `Ok`, in this order.
    sent: Rc<RefCell<Vec<usize>>>,
    /// Which fiber took which message, in this order.
    taken: Rc<RefCell<Vec<(usize, usize)>>>,
}

impl Real {
    fn new(bound: usize) -> Self {
        let (sender, receiver) = mpsc::channel(bound);
        Self {
            sender,
            receiver: Rc::new(receiver),
            fibers: Vec::new(),
            census: Census::default(),
            sent: Rc::default(),
            taken: Rc::default(),
        }
    }

    /// A sender's message is the number of its fiber.
    fn apply(&mut self, (kind, pick): Operation) {
        let number = self.fibers.len();
        match kind % 3 {
            0 => {
                let (sender, sent) = (self.sender.clone(), Rc::clone(&self.sent));
                let message = self.census.count(number);
                let fiber = sched::spawn(move || {
                    sender.send(message).map_err(|_| ()).expect("the receiver is there");
                    sent.borrow_mut().push(number);
                });
                self.fibers.push((Kind::Sends, fiber));
            }
            1 => {
                let (receiver, taken) = (Rc::clone(&self.receiver), Rc::clone(&self.taken));
                let fiber = sched::spawn(move || {
                    let message = receiver.recv().expect("a sender is there");
                    taken.borrow_mut().push((number, message.value));
                });
                self.fibers.push((Kind::Receives, fiber));
            }
            _ => {
                if let Some((_, fiber)) = self.fibers.get(usize::from(pick) % number.max(1)) {
                    fiber.cancel();
                }
            }
        }
    }

    fn waiting(&self, kind: Kind) -> usize {
        self.fibers.iter().filter(|fiber| fiber.0 == kind && !fiber.1.is_finished()).count()
    }
}

struct Model {
    bound: usize,
    fibers: usize,
    queue: VecDeque<usize>,
    sending: VecDeque<usize>,
    receiving: VecDeque<usize>,
    sent: Vec<usize>,
    taken: Vec<(usize, usize)>,
}

impl Model {
    fn new(bound: usize) -> Self {
        let (queue, sending, receiving) = Default::default();
        let (sent, taken) = Default::default();
        Self { bound, fibers: 0, queue, sending, receiving, sent, taken }
    }

    fn apply(&mut self, (kind, pick): Operation) {
        match kind % 3 {
            0 => self.sending.push_back(self.fibers),
            1 => self.receiving.push_back(self.fibers),
            _ => {
                let number = usize::from(pick) % self.fibers.max(1);
                self.sending.retain(|&fiber| fiber != number);
                self.receiving.retain(|&fiber| fiber != number);
                return;
            }
        }
        self.fibers += 1;
        loop {
            if self.queue.len() < self.bound {
                let next = self.sending.pop_front();
                self.sent.extend(next);
                self.queue.extend(next);
            }
            if self.queue.is_empty() || self.receiving.is_empty() {
                return;
            }
            let receiver = self.receiving.pop_front().expect("there is a receiver");
            self.taken.push((receiver, self.queue.pop_front().expect("a message is there")));
        }
    }
}

#[test]
fn what_was_sent_is_received_before_the_end() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::channel(2);
        let fiber = sched::spawn(move || (0..10).try_for_each(|number| sender.send(number)));
        settle();
        let mut taken: Vec<_> = receiver.iter().take(3).collect();
        taken.extend(receiver.try_iter());
        taken.extend(&receiver);
        assert!(taken.into_iter().eq(0..10));
        assert_eq!(receiver.recv(), Err(RecvError));
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
        fiber.join().unwrap().unwrap();
    });
}

#[test]
fn a_waiting_receiver_learns_that_the_last_sender_is_gone() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::unbounded::<()>();
        let another = sender.clone();
        let fiber = sched::spawn(move || receiver.recv());
        settle();
        drop(sender);
        settle();
        assert!(!fiber.is_finished());
        drop(another);
        assert_eq!(fiber.join().unwrap(), Err(RecvError));
    });
}

#[test]
fn waiting_senders_get_their_values_back_when_the_receiver_goes() {
    on_a_shard(|| {
        let (sender, receiver) = mpsc::channel(1);
        let fibers: Vec<_> = (0..3)
            .map(|number| {
                let sender = sender.clone();
                sched::spawn(move || sender.send(number))
            })
            .collect();
        settle();
        // The second sender is promised the room of the message that is taken here, and has not
        // filled it yet.
        assert_eq!(receiver.recv(), Ok(0));
        drop(receiver);
        let ends = fibers.into_iter().map(|fiber| fiber.join().unwrap());
        assert!(ends.eq([Ok(()), Err(SendError(1)), Err(SendError(2))]));
        assert!(sender.is_closed());
    });
}

#[test]
fn unread_messages_go_with_the_receiver() {
    on_a_shard(|| {
        let census = Census::default();
        let (sender, receiver) = mpsc::channel(3);
        (0..3).for_each(|number| assert!(sender.send(census.count(number)).is_ok()));
        drop(receiver);
        assert_eq!(census.alive(), 0);
        assert!(sender.send(census.count(3)).is_err());
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn a_message_that_uses_its_channel_when_it_is_dropped_does_not_block_it() {
    /// Sends once more when it is dropped.
    struct Echo(Option<Sender<Echo>>);
    impl Drop for Echo {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                assert!(sender.send(Echo(None)).is_err());
            }
        }
    }
    on_a_shard(|| {
        let (sender, receiver) = mpsc::channel(1);
        assert!(sender.send(Echo(Some(sender.clone()))).is_ok());
        // A sender that waits, and whose message is dropped with its frame.
        let waiter = sched::spawn({
            let sender = sender.clone();
            move || drop(sender.send(Echo(Some(sender.clone()))))
        });
        settle();
        drop(receiver);
        waiter.join().unwrap();
    });
}
