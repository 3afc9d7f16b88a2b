//! The memory that the current request holds, in addition to the connection's buffers.

use std::cell::Cell;
use std::sync::Arc;

use crate::control::{Held, Memory};

/// Counts a request's memory against the server's limit, until the request is over.
pub(crate) struct HeldForRequest {
    memory: Arc<Memory>,
    /// Bytes of the request's body, and of buffers of its handler.
    body: Cell<u64>,
    /// Bytes of the response, while it is being sent.
    response: Cell<usize>,
}

impl HeldForRequest {
    pub(crate) fn new(memory: &Arc<Memory>) -> Self {
        Self { memory: Arc::clone(memory), body: Cell::new(0), response: Cell::new(0) }
    }

    /// A handler is about to hold `bytes` more of the body in memory; false if there is no room for
    /// them.
    #[must_use]
    pub(super) fn try_add_to_body(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let fits = self.memory.try_add(bytes);
        if fits {
            self.body.update(|held| held + bytes);
        }
        fits
    }

    /// The response that is being sent owns `bytes` of memory.
    pub(crate) fn set_response(&self, bytes: usize) {
        self.response.set(bytes);
    }

    /// Counts the response and the output before it while they wait for the client.
    pub(super) fn while_unsent(&self, output_bytes: usize) -> Held {
        let mut held = self.memory.none();
        held.set(output_bytes + self.response.get());
        held
    }

    /// The request is over, and its handler has released its memory.
    #[inline]
    pub(crate) fn release(&self) {
        if self.body.get() > 0 {
            self.memory.remove(self.body.take());
        }
    }
}

impl Drop for HeldForRequest {
    fn drop(&mut self) {
        self.release();
    }
}
