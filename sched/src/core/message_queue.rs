//! The queue of messages to a shard: a sender and the shard never miss each other.
//!
//! It is apart from the mailbox, which defines the messages, because loom checks this half under
//! every interleaving that the memory model allows (`tests/loom_mailbox.rs`).

use crate::primitives::{AtomicBool, Mutex, Ordering};

pub(crate) struct MessageQueue<L> {
    state: Mutex<State<L>>,
    /// There may be messages. The flag saves the shard the lock in most turns.
    pending: AtomicBool,
}

struct State<L> {
    messages: Vec<L>,
    /// With so many messages the queue is thinned out.
    thin_at: usize,
    closed: bool,
}

impl<L> MessageQueue<L> {
    pub(crate) fn new() -> Self {
        let state = State { messages: Vec::new(), thin_at: THIN_AT_MIN, closed: false };
        Self { state: Mutex::new(state), pending: AtomicBool::new(false) }
    }

    /// Adds a message, or returns it if the queue is closed. The sender must notify the owner
    /// afterwards.
    ///
    /// A queue that grows is thinned out: `thin_out` removes messages that an earlier message makes
    /// unnecessary. It is called when there are twice as many messages as the last call left, so
    /// that each message pays for a constant number of looks. No code of the user may run in it.
    pub(crate) fn push(&self, message: L, thin_out: impl FnOnce(&mut Vec<L>)) -> Result<(), L> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(message);
        }
        state.messages.push(message);
        if state.messages.len() >= state.thin_at {
            thin_out(&mut state.messages);
            state.thin_at = (2 * state.messages.len()).max(THIN_AT_MIN);
        }
        self.pending.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether there may be messages.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// The messages that have come since the last call, oldest first.
    pub(crate) fn take(&self) -> Vec<L> {
        if !self.is_pending() {
            return Vec::new();
        }
        // Before the lock: a message that comes after it sets the flag again.
        self.pending.store(false, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.thin_at = THIN_AT_MIN;
        std::mem::take(&mut state.messages)
    }

    /// From now on every push fails; returns the earlier messages.
    pub(crate) fn close(&self) -> Vec<L> {
        let mut state = self.state.lock();
        state.closed = true;
        std::mem::take(&mut state.messages)
    }
}

/// A queue with fewer messages is not thinned out. Arbitrary: some 50 KiB. Few in a loom model, so
/// that it thins out.
const THIN_AT_MIN: usize = if cfg!(loom) { 2 } else { 1024 };
