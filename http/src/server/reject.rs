//! Clients for whom there is no room are told so, and seen off.
//!
//! A socket that is closed while something of its client has not been read resets the connection,
//! and the client may never see the answer. So a fiber waits for the client's end, for up to a
//! second. That fiber takes a stack, and the number of those is bounded: beyond it a client is told
//! and closed at once.

use std::cell::Cell;
use std::rc::Rc;

use straightline_sched as sched;

use crate::wire::{Transport, linger};

/// What a shard says to clients that it does not take.
pub(super) struct Rejections {
    /// The whole response.
    response: Vec<u8>,
    /// How many clients are being seen off.
    seen_off: Rc<Cell<usize>>,
}

impl Rejections {
    pub(super) fn new(response: Vec<u8>) -> Self {
        Self { response, seen_off: Rc::default() }
    }

    /// Tells a client, and closes its connection.
    pub(super) fn send<T: Transport>(&self, stream: T) {
        // A socket that is new has room for this.
        let is_told = stream.try_write(&self.response).is_ok();
        if !is_told || self.seen_off.get() >= SEEN_OFF_MAX {
            // A client that has sent something may see a reset before the answer.
            return;
        }
        let one = SeenOff::new(&self.seen_off);
        // If there is no stack for it, it is closed.
        let _ = sched::Builder::new().name("turned away").spawn(move || {
            let _one = one;
            linger(&stream);
        });
    }
}

/// A client that is being seen off.
struct SeenOff(Rc<Cell<usize>>);

impl SeenOff {
    fn new(all: &Rc<Cell<usize>>) -> Self {
        all.set(all.get() + 1);
        Self(Rc::clone(all))
    }
}

impl Drop for SeenOff {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// How many clients of a shard that are turned away are seen off carefully at a time, each for up
/// to a second. Arbitrary: the stacks that takes are no burden; beyond it a flood is cut short.
const SEEN_OFF_MAX: usize = 128;
