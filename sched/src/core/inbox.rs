//! The messages that other threads, or other shards of a simulation, send to a shard.
//!
//! Messages come through the mailbox. Sent fibers wait here, in the order in which they came, until
//! there is a stack for each. Once the shard is ending no fiber can be sent, and no fiber begins
//! except those that a commit under way needs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use super::mailbox::{Mailbox, Message, Sent};

pub(crate) struct Inbox {
    mailbox: Arc<Mailbox>,
    /// Fibers that other threads sent and that have no stack yet; oldest first.
    deferred: RefCell<VecDeque<Sent>>,
    /// No fiber begins any more.
    ending: Cell<bool>,
}

impl Inbox {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox, deferred: RefCell::default(), ending: Cell::new(false) }
    }

    pub(super) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Whether there may be a message to read or a fiber to begin.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        self.mailbox.is_pending() || !self.deferred.borrow().is_empty()
    }

    /// The messages that have come since the last call, oldest first.
    pub(super) fn take(&self) -> Vec<Message> {
        self.mailbox.take()
    }

    /// Keeps a fiber that was sent until there is a stack for it.
    pub(super) fn defer(&self, sent: Sent) {
        self.deferred.borrow_mut().push_back(sent);
    }

    pub(super) fn has_deferred(&self) -> bool {
        !self.deferred.borrow().is_empty()
    }

    pub(super) fn pop_deferred(&self) -> Option<Sent> {
        self.deferred.borrow_mut().pop_front()
    }

    pub(super) fn take_deferred(&self) -> VecDeque<Sent> {
        self.deferred.take()
    }

    pub(super) fn is_ending(&self) -> bool {
        self.ending.get()
    }

    /// From now on no fiber can be sent; returns the earlier messages.
    pub(super) fn begin_end(&self) -> Vec<Message> {
        self.ending.set(true);
        self.mailbox.close_to_spawns()
    }

    /// Calls `begin`, in which a fiber may begin although the shard is ending.
    pub(super) fn except<R>(&self, begin: impl FnOnce() -> R) -> R {
        let ending = self.ending.replace(false);
        let result = begin();
        self.ending.set(ending);
        result
    }

    /// From now on nothing can be sent.
    pub(super) fn close(&self) {
        self.mailbox.close();
    }
}
