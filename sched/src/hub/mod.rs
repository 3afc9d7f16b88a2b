//! A hub: what is published on any thread reaches the subscribers of all shards, also those that
//! were away for a while.
//!
//! [`sync::broadcast`] is a channel of which each receiver takes each message. A hub differs in
//! three ways:
//!
//! - **It is made for many subscribers.** All receivers of a broadcast channel, on all shards,
//!   meet at one lock for each message. Here one message of a mailbox tells a shard that there is
//!   something new, and the subscribers of a shard read from a list of the shard's own, without a
//!   lock. No lock is held while anything is written, waited for or woken.
//! - **It keeps the newest messages, by number.** A subscriber that comes late begins behind the
//!   number that it has seen last ([`Hub::subscribe_after`]), and learns how many messages it can
//!   not get any more.
//! - **A subscriber belongs to a shard**, as a socket does: it is neither `Send` nor `Sync`.
//!   Publishing works from every thread.
//!
//! A message exists once, in an `Arc`, however many subscribers there are. So publish what is sent:
//! bytes that are encoded already.
//!
//! # Slow subscribers
//!
//! A publisher never waits. A subscriber that is slower than the hub is long misses messages, which
//! its next [`recv`](Subscriber::recv) tells as [`RecvError::Lagged`]; it delays no other. Whether
//! such a subscriber goes on or ends is the program's decision. [`Hub::missed`] counts.
//!
//! ```
//! use straightline_sched::{self as sched, hub::Hub};
//!
//! let hub: Hub<&str> = Hub::new(100);
//! let chat = hub.clone();
//! let shard = sched::spawn_shard("subscriber", sched::Config::default(), move || {
//!     let all = chat.subscribe_after(0);
//!     [all.recv(), all.recv()].map(|message| message.map(|message| (message.id(), *message)))
//! })?;
//! hub.publish("hello");
//! hub.publish("goodbye");
//! assert_eq!(shard.join().unwrap()?, [Ok((1, "hello")), Ok((2, "goodbye"))]);
//! # std::io::Result::Ok(())
//! ```
//!
//! # Inside
//!
//! `ring` is a bounded list of numbered messages. The hub has one under a lock, and each shard with
//! subscribers has a copy of it (`part`), whose entries are references to the same messages. To
//! publish is to add to the hub's ring, and to send each such shard one message through its
//! mailbox, unless one is on its way. The shard then copies what is new, under the lock, and wakes
//! its subscribers without it.
//!
//! [`sync::broadcast`]: crate::sync::broadcast

mod message;
mod part;
mod publisher;
mod ring;
mod shared;
mod subscriber;

pub use message::{Message, RecvError, TryRecvError};
pub use publisher::Hub;
pub use subscriber::Subscriber;
