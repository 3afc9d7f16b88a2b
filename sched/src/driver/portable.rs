//! The driver for systems without epoll: the `polling` crate (kqueue), edge-triggered.

use std::cell::RefCell;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use polling::{Event, Events, PollMode, Poller};

use super::{EVENTS_MAX, Heard, Interests, Readiness, WAKER_KEY};

// A key must fit `polling`'s, which is a pointer wide.
const _: () = assert!(size_of::<usize>() == size_of::<u64>(), "needs 64-bit pointers");

pub(crate) struct SystemDriver {
    poller: Arc<Poller>,
    events: RefCell<Events>,
    started_at: Instant,
}

/// Ends the current or the next wait of its driver, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct SystemWaker {
    poller: Arc<Poller>,
}

impl SystemDriver {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        if !poller.supports_edge() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this system's readiness mechanism has no edge-triggered mode",
            ));
        }
        let capacity = NonZeroUsize::new(EVENTS_MAX).unwrap_or(NonZeroUsize::MIN);
        let events = RefCell::new(Events::with_capacity(capacity));
        Ok(Self { poller, events, started_at: Instant::now() })
    }

    /// Waits until something is ready, `timeout` has passed (`None`: never) or the waker rings.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        mut on_event: impl FnMut(Readiness),
    ) -> io::Result<Heard> {
        let mut events = self.events.borrow_mut();
        events.clear();
        // A wait that is interrupted goes on, and looks once more when its time is over.
        let heard = match self.poller.wait(&mut events, timeout)? {
            0 => Heard::Nothing,
            count if count < EVENTS_MAX => Heard::All,
            _ => Heard::Part,
        };
        for event in events.iter() {
            let closed = event.is_interrupt() || event.is_err().unwrap_or(false);
            on_event(Readiness {
                key: event.key as u64,
                readable: event.readable || closed,
                writable: event.writable || closed,
                // No error says that: a UDP socket goes on after one.
                read_closed: event.is_interrupt(),
                urgent: false, // short reads prove nothing here anyway
            });
        }
        Ok(heard)
    }

    pub(crate) fn add(
        &self,
        descriptor: BorrowedFd<'_>,
        key: u64,
        interests: Interests,
    ) -> io::Result<()> {
        let event = event(key, interests);
        // SAFETY: the descriptor is open (it is borrowed), and a `Source` removes its registration
        // before it lets go of the descriptor.
        unsafe { self.poller.add_with_mode(descriptor.as_raw_fd(), event, PollMode::Edge) }
    }

    pub(crate) fn modify(
        &self,
        descriptor: BorrowedFd<'_>,
        key: u64,
        interests: Interests,
    ) -> io::Result<()> {
        self.poller.modify_with_mode(descriptor, event(key, interests), PollMode::Edge)
    }

    pub(crate) fn remove(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(descriptor)
    }

    pub(crate) fn waker(&self) -> SystemWaker {
        SystemWaker { poller: Arc::clone(&self.poller) }
    }

    /// Nanoseconds since [`started_at`](Self::started_at).
    pub(crate) fn elapsed_nanos(&self) -> u64 {
        u64::try_from(self.started_at.elapsed().as_nanos()).unwrap_or(u64::MAX - 1)
    }

    pub(crate) fn started_at(&self) -> Instant {
        self.started_at
    }
}

impl SystemWaker {
    pub(crate) fn wake(&self) {
        // It fails only when the poller is gone, and then nobody waits.
        let _ = self.poller.notify();
    }
}

fn event(key: u64, interests: Interests) -> Event {
    debug_assert_ne!(key, WAKER_KEY);
    #[allow(clippy::cast_possible_truncation)] // asserted above: both are 64 bits wide
    Event::new(key as usize, interests.read, interests.write)
}
