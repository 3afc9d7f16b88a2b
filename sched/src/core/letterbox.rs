//! Where letters lie until they are fetched; how a sender and a shard never miss each other.
//!
//! Apart from the mailbox, which says what the letters are, because this half is checked under
//! every interleaving that the memory model allows (`tests/loom_mailbox.rs`).

use crate::primitives::{AtomicBool, Mutex, Ordering};

pub(crate) struct Letterbox<L> {
    state: Mutex<State<L>>,
    /// There may be letters: saves the shard the lock in most turns.
    pending: AtomicBool,
}

struct State<L> {
    letters: Vec<L>,
    closed: bool,
}

impl<L> Letterbox<L> {
    pub(crate) fn new() -> Self {
        let state = State { letters: Vec::new(), closed: false };
        Self { state: Mutex::new(state), pending: AtomicBool::new(false) }
    }

    /// Puts a letter in, or returns it if the box is closed. The owner is to be rung after it.
    pub(crate) fn push(&self, letter: L) -> Result<(), L> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(letter);
        }
        state.letters.push(letter);
        self.pending.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether there may be something to take.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::Acquire)
    }

    /// What has come since the last call, oldest first.
    pub(crate) fn take(&self) -> Vec<L> {
        if !self.is_pending() {
            return Vec::new();
        }
        // Before the lock: a letter that comes after it sets the flag again.
        self.pending.store(false, Ordering::Relaxed);
        std::mem::take(&mut self.state.lock().letters)
    }

    /// From now on every push fails; what had come before is returned.
    pub(crate) fn close(&self) -> Vec<L> {
        let mut state = self.state.lock();
        state.closed = true;
        std::mem::take(&mut state.letters)
    }
}
