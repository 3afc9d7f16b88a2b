//! What fibers share, wait for and send each other.

pub(crate) mod waiter;
