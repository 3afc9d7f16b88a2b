//! Other threads send messages to a shard. The shard misses no message, and does not sleep while it
//! has one, in every interleaving that the memory model allows.
//!
//! The message queue and the notify flag are compiled into this test, with loom's atomics and lock
//! in the place of the real ones. The driver is modelled in a few lines: an edge that is set or
//! not, and a wait for the edge.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test --release -p straightline-sched --test loom_mailbox
//! ```

#![cfg(loom)]

#[path = "../src/core/message_queue.rs"]
mod message_queue;
#[path = "../src/driver/notify_flag.rs"]
mod notify_flag;

use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use message_queue::MessageQueue;
use notify_flag::NotifyFlag;

/// The atomics and the lock that the two sources use, made by loom.
mod primitives {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};

    /// A lock that is never poisoned.
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().expect("no model panics with the lock")
        }
    }
}

/// A shard as other threads see it.
struct Shard {
    messages: MessageQueue<u32>,
    flag: NotifyFlag,
    /// The edge. A write to the eventfd sets it, and the driver's wait clears it.
    edge: Mutex<bool>,
    edge_set: Condvar,
}

impl Shard {
    fn new() -> Self {
        let (edge, edge_set) = (Mutex::new(false), Condvar::new());
        Self { messages: MessageQueue::new(), flag: NotifyFlag::new(), edge, edge_set }
    }

    /// As `Mailbox::send`.
    fn send(&self, message: u32) -> Result<(), u32> {
        self.messages.push(message, |messages| messages.dedup())?;
        if self.flag.notify() {
            *self.edge.lock().unwrap() = true;
            self.edge_set.notify_one();
        }
        Ok(())
    }

    /// As `Driver::wait` without a timeout. Loom reports a deadlock if the wait never ends.
    fn wait(&self) {
        let mut edge = self.edge.lock().unwrap();
        while !*edge {
            edge = self.edge_set.wait(edge).unwrap();
        }
        *edge = false;
        drop(edge);
        self.flag.acknowledge();
    }

    /// Takes messages and waits, until `count` messages have arrived.
    fn receive(&self, count: usize) -> Vec<u32> {
        let mut received = self.messages.take();
        while received.len() < count {
            self.wait();
            received.extend(self.messages.take());
        }
        received
    }
}

#[test]
fn the_messages_of_two_threads_arrive() {
    let mut builder = loom::model::Builder::new();
    // Without a bound on preemptions, three threads take too long. A lost wake-up needs only a few
    // preemptions.
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let shard = Arc::new(Shard::new());
        let senders = [1, 10].map(|message| {
            let shard = Arc::clone(&shard);
            thread::spawn(move || shard.send(message))
        });
        let mut received = shard.receive(2);
        received.sort_unstable();
        assert_eq!(received, [1, 10]);
        for sender in senders {
            sender.join().unwrap().unwrap();
        }
    });
}

#[test]
fn the_messages_of_one_thread_arrive_in_order() {
    loom::model(|| {
        let shard = Arc::new(Shard::new());
        let sender = thread::spawn({
            let shard = Arc::clone(&shard);
            move || (1..=2).try_for_each(|message| shard.send(message))
        });
        assert_eq!(shard.receive(2), [1, 2]);
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn a_message_that_comes_while_the_flag_is_acknowledged_is_not_missed() {
    loom::model(|| {
        let shard = Arc::new(Shard::new());
        shard.send(1).unwrap();
        let sender = thread::spawn({
            let shard = Arc::clone(&shard);
            move || shard.send(2)
        });
        assert_eq!(shard.receive(2), [1, 2]);
        sender.join().unwrap().unwrap();
    });
}

#[test]
fn a_message_is_either_returned_or_taken_when_the_queue_closes() {
    loom::model(|| {
        let shard = Arc::new(Shard::new());
        let sender = thread::spawn({
            let shard = Arc::clone(&shard);
            move || (1..=2).filter(|&message| shard.send(message).is_ok()).count()
        });
        let mut taken = shard.messages.take();
        taken.extend(shard.messages.close());
        let sent = sender.join().unwrap();
        assert!(taken.iter().copied().eq((1..).take(sent)), "{taken:?} of {sent}");
        assert!(shard.messages.close().is_empty());
    });
}

#[test]
fn a_receiver_sees_the_stores_before_a_send_that_was_thinned_out() {
    loom::model(|| {
        let shard = Arc::new(Shard::new());
        let stored = Arc::new(AtomicU32::new(0));
        let sender = thread::spawn({
            let (shard, stored) = (Arc::clone(&shard), Arc::clone(&stored));
            move || {
                for number in 1..=2 {
                    stored.store(number, Ordering::Relaxed);
                    shard.send(7).unwrap();
                }
            }
        });
        // A thread that receives a message sees all stores before the last send, also if the queue
        // has thinned out the message of that send.
        while stored.load(Ordering::Relaxed) < 2 {
            assert!(shard.receive(1).iter().all(|message| *message == 7));
        }
        sender.join().unwrap();
    });
}
