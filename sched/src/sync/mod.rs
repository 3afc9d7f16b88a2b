//! What fibers share, wait for and send each other.

mod waiter;
