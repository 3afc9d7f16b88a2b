//! One open connection, as its shard sees it: the link to its client, and its fiber.

use std::rc::Rc;

use slotmap::new_key_type;
use straightline_sched::Fiber;

use crate::wire::{IdleEnd, Link};

new_key_type! { pub(super) struct ConnectionKey; }

/// An open connection.
pub(super) struct Entry {
    link: Rc<Link>,
    fiber: Fiber,
}

impl Entry {
    pub(super) fn new(link: Rc<Link>, fiber: Fiber) -> Self {
        Self { link, fiber }
    }

    pub(super) fn link(&self) -> &Rc<Link> {
        &self.link
    }

    pub(super) fn fiber(&self) -> &Fiber {
        &self.fiber
    }

    /// In which sweep the connection became idle, if it is still idle and is not to close.
    pub(super) fn idle_since(&self) -> Option<u32> {
        self.link.idle_since().filter(|_| self.link.idle_end().is_none())
    }

    /// Closes the connection, which is idle.
    pub(super) fn end_idle(&self, why: IdleEnd) {
        self.link.end_idle(why);
        self.fiber.unpark();
    }
}
