//! The atomics and the lock of what is checked with loom, whose tests put loom's in their place.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use parking_lot::Mutex;
