//! Clients for which there is no room are told so, and their connections closed with care.
//!
//! To close a socket with unread bytes of its client resets the connection, and then the client may
//! never see the answer. So a fiber reads until the client ends the connection, for up to a second.
//! That takes a stack, and the number of such fibers is bounded: beyond it a client gets the answer
//! and is closed at once.

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
        // A new socket has room for this.
        let is_told = stream.try_write(&self.response).is_ok();
        if !is_told || self.seen_off.get() >= SEEN_OFF_MAX {
            // A client that has sent something may see a reset before the answer.
            return;
        }
        let one = SeenOff::new(&self.seen_off);
        // If there is no stack for the fiber, the connection is closed at once.
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

/// How many rejected clients of a shard are seen off at a time. Arbitrary: that many stacks are no
/// burden, and under a flood the others are closed at once.
const SEEN_OFF_MAX: usize = 128;
