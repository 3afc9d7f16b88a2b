//! What the handles of a hub share with the shards that have subscribers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::ring::{Bounds, Entry, Removed, Ring};
use crate::core::Home;

/// A hub, for all threads.
///
/// Invariant: `next` is the number of the ring's next message, and changes under the ring's lock.
pub(super) struct Shared<T> {
    /// Unique in the process.
    pub(super) id: u64,
    ring: Mutex<Ring<T>>,
    next: AtomicU64,
    pub(super) bounds: Bounds,
    /// How large a message is.
    size: fn(&T) -> usize,
    /// How many handles there are; the hub is closed when there is none.
    handles: AtomicUsize,
    subscribers: AtomicUsize,
    missed: AtomicU64,
    /// The shards with subscribers. Replaced as a whole, so that it can be read without the lock.
    mails: Mutex<Arc<[Arc<Mail>]>>,
}

/// The way to a shard that has subscribers.
pub(super) struct Mail {
    home: Home,
    hub: u64,
    /// The shard was told that there is something new, and has not looked since.
    is_told: AtomicBool,
}

/// Lets the subscribers of the calling shard look: the hub's number is given. Runs on a fiber of
/// its own, also on the publisher's shard, because it yields.
pub(super) type Deliver = fn(u64);

impl<T> Shared<T> {
    /// With one handle.
    pub(super) fn new(bounds: Bounds, size: fn(&T) -> usize) -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            ring: Mutex::new(Ring::new(FIRST, bounds)),
            next: AtomicU64::new(FIRST),
            bounds,
            size,
            handles: AtomicUsize::new(1),
            subscribers: AtomicUsize::new(0),
            missed: AtomicU64::new(0),
            mails: Mutex::new(Arc::new([])),
        })
    }

    /// Adds a message that `make` makes for its number, and returns the number. If another thread
    /// was quicker, `make` is called again: its code never runs under the lock.
    pub(super) fn push(&self, mut make: impl FnMut(u64) -> Arc<T>) -> u64 {
        loop {
            let id = self.next();
            let value = make(id);
            let bytes = (self.size)(&value);
            let mut ring = self.ring.lock();
            if ring.next() != id {
                drop(ring); // before the value, whose destructor may run any code
                continue;
            }
            let removed = ring.push(Entry { value, bytes });
            self.next.store(id + 1, Ordering::Release);
            drop(ring);
            drop(removed);
            return id;
        }
    }

    /// The number of the next message.
    #[inline]
    pub(super) fn next(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// The number of the oldest message that is kept, or of the next one if there is none.
    pub(super) fn oldest(&self) -> u64 {
        self.ring.lock().first()
    }

    /// Adds to `ring` what is new.
    pub(super) fn copy_to(&self, ring: &mut Ring<T>) -> Removed<T> {
        ring.follow(&self.ring.lock())
    }

    /// Tells the shards that there is something new.
    pub(super) fn tell(&self, deliver: Deliver) {
        let mails = Arc::clone(&self.mails.lock());
        mails.iter().for_each(|mail| mail.send(deliver));
    }

    /// The calling shard has subscribers from now on; `home` is that shard.
    pub(super) fn join(&self, home: Home) -> Arc<Mail> {
        let mail = Arc::new(Mail { home, hub: self.id, is_told: AtomicBool::new(false) });
        let mut mails = self.mails.lock();
        *mails = mails.iter().chain([&mail]).cloned().collect();
        mail
    }

    /// The shard has no subscriber any more.
    pub(super) fn leave(&self, mail: &Arc<Mail>) {
        let mut mails = self.mails.lock();
        *mails = mails.iter().filter(|other| !Arc::ptr_eq(other, mail)).cloned().collect();
    }

    pub(super) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether that was the last one.
    pub(super) fn remove_handle(&self) -> bool {
        self.handles.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether no further message can come.
    pub(super) fn is_closed(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }

    pub(super) fn add_subscriber(&self) {
        self.subscribers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_subscriber(&self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed)
    }

    pub(super) fn record_missed(&self, messages: u64) {
        self.missed.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Mail {
    /// Lets the shard look, unless it is about to. A shard that has ended has no subscribers.
    fn send(&self, deliver: Deliver) {
        if self.is_told.swap(true, Ordering::AcqRel) {
            return;
        }
        let hub = self.hub;
        let _ = self.home.send(Box::new(move || deliver(hub)));
    }

    /// The shard is about to look.
    pub(super) fn look(&self) {
        // A read too, so that the look at the messages cannot come before it.
        self.is_told.swap(false, Ordering::AcqRel);
    }

    pub(super) fn shard_id(&self) -> u64 {
        self.home.shard_id()
    }
}

/// The number of a hub's first message: a subscriber behind message 0 has seen nothing.
const FIRST: u64 = 1;
