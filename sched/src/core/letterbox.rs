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
    /// With so many the box is thinned out.
    thin_at: usize,
    closed: bool,
}

impl<L> Letterbox<L> {
    pub(crate) fn new() -> Self {
        let state = State { letters: Vec::new(), thin_at: THIN_AT_MIN, closed: false };
        Self { state: Mutex::new(state), pending: AtomicBool::new(false) }
    }

    /// Puts a letter in, or returns it if the box is closed. The owner is to be rung after it.
    ///
    /// A box that grows is thinned out: `thin_out` takes away what an earlier letter says already.
    /// It is called when there are twice as many letters as the last call has left, so that each
    /// letter pays for a constant number of looks. No code of the user's may run in it.
    pub(crate) fn push(&self, letter: L, thin_out: impl FnOnce(&mut Vec<L>)) -> Result<(), L> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(letter);
        }
        state.letters.push(letter);
        if state.letters.len() >= state.thin_at {
            thin_out(&mut state.letters);
            state.thin_at = (2 * state.letters.len()).max(THIN_AT_MIN);
        }
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
        let mut state = self.state.lock();
        state.thin_at = THIN_AT_MIN;
        std::mem::take(&mut state.letters)
    }

    /// From now on every push fails; what had come before is returned.
    pub(crate) fn close(&self) -> Vec<L> {
        let mut state = self.state.lock();
        state.closed = true;
        std::mem::take(&mut state.letters)
    }
}

/// Fewer letters are left as they are. Arbitrary: some 50 KiB. So few in a model that it thins.
const THIN_AT_MIN: usize = if cfg!(loom) { 2 } else { 1024 };
