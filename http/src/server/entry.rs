//! One open connection, as the table of its shard has it: with its fiber.

use std::rc::Rc;

use slotmap::new_key_type;
use straightline_sched::Fiber;

use crate::wire::{IdleEnd, OpenConnection};

new_key_type! { pub(super) struct ConnectionKey; }

/// An open connection.
pub(super) struct Entry {
    connection: Rc<OpenConnection>,
    fiber: Fiber,
}

impl Entry {
    pub(super) fn new(connection: Rc<OpenConnection>, fiber: Fiber) -> Self {
        Self { connection, fiber }
    }

    pub(super) fn connection(&self) -> &Rc<OpenConnection> {
        &self.connection
    }

    pub(super) fn fiber(&self) -> &Fiber {
        &self.fiber
    }

    /// In which sweep the connection became idle, if it is still idle and is not to close.
    pub(super) fn idle_since(&self) -> Option<u32> {
        self.connection.idle_since().filter(|_| self.connection.idle_end().is_none())
    }

    /// Closes the connection, which is idle.
    pub(super) fn end_idle(&self, why: IdleEnd) {
        self.connection.end_idle(why);
        self.fiber.unpark();
    }
}
