//! The atomics and the lock of the code that loom checks; its tests put loom's in their place.

pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use parking_lot::Mutex;
