//! The threads of the process, without those of the library.

use std::sync::atomic::{AtomicI32, Ordering};

use super::monitor::monitor_thread;
use super::os;

/// Whether the process has no thread besides the calling one, the monitor, and the thread that
/// writes to standard error; false where that cannot be found out. Threads are told apart by
/// number, as any thread may have these names.
pub(crate) fn is_only_thread() -> bool {
    let ours = [Some(os::this_thread()), monitor_thread(), WRITER_OF_STDERR.number()];
    os::threads().is_some_and(|threads| threads.iter().all(|thread| ours.contains(&Some(*thread))))
}

/// Whether the calling thread runs `main`; false where that cannot be found out.
pub(crate) fn is_main_thread() -> bool {
    os::is_main_thread()
}

/// A thread of the library's own, which never wakes a fiber.
pub(crate) struct OwnThread(AtomicI32);

pub(crate) static WRITER_OF_STDERR: OwnThread = OwnThread(AtomicI32::new(OwnThread::NONE));

impl OwnThread {
    const NONE: i32 = 0;
    const BEGINS: i32 = -1;

    /// It is about to be started.
    pub(crate) fn begins(&self) {
        self.0.store(Self::BEGINS, Ordering::SeqCst);
    }

    /// It was not started.
    pub(crate) fn is_refused(&self) {
        self.0.store(Self::NONE, Ordering::SeqCst);
    }

    /// It is the calling one.
    pub(crate) fn runs(&self) {
        self.0.store(os::this_thread(), Ordering::SeqCst);
    }

    fn number(&self) -> Option<i32> {
        loop {
            match self.0.load(Ordering::SeqCst) {
                Self::NONE => return None,
                Self::BEGINS => std::thread::yield_now(), // it was started a moment ago
                number => return Some(number),
            }
        }
    }
}
