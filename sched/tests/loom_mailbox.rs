//! A shard that other threads write to misses no message, and does not sleep while there is one: in
//! every interleaving that the memory model allows.
//!
//! The sources that this is about are compiled into this test, with loom's atomics and lock in the
//! place of the real ones. What a driver does is modelled in a few lines: an edge that is either
//! there or not, and a wait for it.
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

use flag::NotifyFlag;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use queue::MessageQueue;

/// What the sources take from here, made by loom.
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
    /// The edge that the eventfd's write makes and the driver's wait takes.
    edge: Mutex<bool>,
    heard: Condvar,
}

impl Shard {
    fn new() -> Self {
        let (edge, heard) = (Mutex::new(false), Condvar::new());
        Self { messages: MessageQueue::new(), flag: NotifyFlag::new(), edge, heard }
    }

    /// As `Mailbox::send`.
    fn send(&self, message: u32) -> Result<(), u32> {
        self.messages.push(message, |messages| messages.dedup())?;
        if self.flag.notify() {
            *self.edge.lock().unwrap() = true;
            self.heard.notify_one();
        }
        Ok(())
    }

    /// As `Driver::wait` without a timeout: loom reports a deadlock if nothing ever ends it.
    fn wait(&self) {
        let mut edge = self.edge.lock().unwrap();
        while !*edge {
            edge = self.heard.wait(edge).unwrap();
        }
        *edge = false;
        drop(edge);
        self.flag.acknowledge();
    }

    /// Turns until that many messages have come.
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
fn the_letters_of_two_threads_arrive() {
    let mut builder = loom::model::Builder::new();
    // Without a bound three threads take too long. Lost wake-ups need few switches to show.
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
fn the_letters_of_one_thread_arrive_in_order() {
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
fn a_letter_that_comes_while_a_ring_is_answered_is_not_missed() {
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
fn a_letter_is_either_returned_or_fetched_when_the_box_closes() {
    loom::model(|| {
        let shard = Arc::new(Shard::new());
        let sender = thread::spawn({
            let shard = Arc::clone(&shard);
            move || (1..=2).filter(|&message| shard.send(message).is_ok()).count()
        });
        let mut fetched = shard.messages.take();
        fetched.extend(shard.messages.close());
        let sent = sender.join().unwrap();
        assert!(fetched.iter().copied().eq((1..).take(sent)), "{fetched:?} of {sent}");
        assert!(shard.messages.close().is_empty());
    });
}

#[test]
fn a_letter_that_is_thinned_out_was_said_by_an_earlier_one_that_arrives() {
    loom::model(|| {
        let shard = Arc::new(Shard::new());
        let said = Arc::new(AtomicU32::new(0));
        let sender = thread::spawn({
            let (shard, said) = (Arc::clone(&shard), Arc::clone(&said));
            move || {
                for number in 1..=2 {
                    said.store(number, Ordering::Relaxed);
                    shard.send(7).unwrap();
                }
            }
        });
        // What came before the last of them is seen behind one that arrives.
        while said.load(Ordering::Relaxed) < 2 {
            assert!(shard.receive(1).iter().all(|message| *message == 7));
        }
        sender.join().unwrap();
    });
}
