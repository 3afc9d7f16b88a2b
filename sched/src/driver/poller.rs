//! The driver on the crate `polling`, oneshot: the only one of systems with kqueue, and a choice on
//! Linux.
//!
//! The kernel reports one event of a descriptor, and then disarms it until a fiber waits for it
//! again. When the driver arms it, the kernel looks what the descriptor is ready for at that
//! moment. So no event is lost meanwhile, and no rule about how much was read is needed.
//!
//! **On Linux** `polling` makes five system calls for a wait: it sets a timer, arms the timer and
//! its notifier, waits, and reads the notifier. Here the wait is one call on the poller's own epoll
//! descriptor, and so is the arming. If the notifier was notified, `polling` waits too, with a
//! timeout of zero: that reads the notifier and arms it again. On other systems `polling` waits.

use std::cell::RefCell;
use std::io;
use std::num::NonZeroUsize;
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
#[cfg(any(target_os = "macos", target_os = "freebsd"))]
use std::os::fd::AsRawFd;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
use polling::{Event, PollMode};
use polling::{Events, Poller};
#[cfg(target_os = "linux")]
use rustix::buffer::spare_capacity;
#[cfg(target_os = "linux")]
use rustix::event::epoll::{self, EventFlags};
#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(target_os = "linux")]
use rustix::io::Errno;

use super::clock::Clock;
use super::readiness::{EVENTS_MAX, Heard, Interests, Readiness, WAKER_KEY};

pub(crate) struct PollingDriver {
    poller: Arc<Poller>,
    events: RefCell<Events>,
    #[cfg(target_os = "linux")]
    direct_events: RefCell<Vec<epoll::Event>>,
    clock: Clock,
}

/// Ends the current or the next wait of its driver, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct PollingWaker {
    poller: Arc<Poller>,
}

impl PollingDriver {
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Arc::new(Poller::new()?);
        let capacity = NonZeroUsize::new(EVENTS_MAX).unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            poller,
            events: RefCell::new(Events::with_capacity(capacity)),
            #[cfg(target_os = "linux")]
            direct_events: RefCell::new(Vec::with_capacity(EVENTS_MAX)),
            clock: Clock::new(),
        })
    }

    /// Waits until something is ready, `timeout` has passed (`None`: never), or the waker notifies.
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        on_event: impl FnMut(Readiness),
    ) -> io::Result<Heard> {
        #[cfg(target_os = "linux")]
        return self.wait_directly(timeout, on_event);
        #[cfg(any(target_os = "macos", target_os = "freebsd"))]
        return self.wait_through_polling(timeout, on_event);
    }

    #[cfg(target_os = "linux")]
    fn wait_directly(
        &self,
        timeout: Option<Duration>,
        mut on_event: impl FnMut(Readiness),
    ) -> io::Result<Heard> {
        let mut events = self.direct_events.borrow_mut();
        events.clear();
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let poller = self.poller.as_fd();
        let heard = match epoll::wait(poller, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(0) => Heard::Nothing,
            Ok(count) if count == EVENTS_MAX => Heard::Part,
            Ok(_) => Heard::All,
            // A signal handler ran, or the process was stopped and goes on: the kernel reported
            // nothing.
            Err(Errno::INTR) => Heard::Part,
            Err(error) => return Err(error.into()),
        };
        let mut is_notified = false;
        for event in &*events {
            let key = event.data.u64();
            if key == WAKER_KEY {
                is_notified = true;
                continue;
            }
            let flags = event.flags;
            let closed = flags.intersects(EventFlags::HUP | EventFlags::ERR);
            on_event(Readiness {
                key,
                readable: flags.contains(EventFlags::IN) || closed,
                writable: flags.contains(EventFlags::OUT) || closed,
                // An error alone does not mean that: a UDP socket goes on after one.
                read_closed: flags.contains(EventFlags::HUP),
                urgent: false, // the next wait checks the level, so a short read need prove nothing
                disarmed: true,
            });
        }
        // Before the caller drains its mailbox: so a later notification is not lost.
        if is_notified && self.wait_through_polling(Some(Duration::ZERO), on_event)? == Heard::Part
        {
            return Ok(Heard::Part);
        }
        Ok(heard)
    }

    fn wait_through_polling(
        &self,
        timeout: Option<Duration>,
        mut on_event: impl FnMut(Readiness),
    ) -> io::Result<Heard> {
        let mut events = self.events.borrow_mut();
        events.clear();
        // A wait that is interrupted goes on, and polls once more when its time is over.
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
                read_closed: event.is_interrupt() && event.readable,
                urgent: false,
                disarmed: true,
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
        debug_assert_ne!(key, WAKER_KEY);
        #[cfg(target_os = "linux")]
        epoll::add(&self.poller, descriptor, epoll::EventData::new_u64(key), flags(interests))?;
        #[cfg(any(target_os = "macos", target_os = "freebsd"))]
        // SAFETY: the descriptor is open (it is borrowed), and a `Source` removes its registration
        // before it lets go of the descriptor.
        unsafe {
            let event = event(key, interests);
            self.poller.add_with_mode(descriptor.as_raw_fd(), event, PollMode::Oneshot)?;
        }
        Ok(())
    }

    /// Arms a descriptor that was added: its next event comes if it is ready for one of
    /// `interests`, now or later.
    pub(crate) fn modify(
        &self,
        descriptor: BorrowedFd<'_>,
        key: u64,
        interests: Interests,
    ) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        epoll::modify(&self.poller, descriptor, epoll::EventData::new_u64(key), flags(interests))?;
        #[cfg(any(target_os = "macos", target_os = "freebsd"))]
        self.poller.modify_with_mode(descriptor, event(key, interests), PollMode::Oneshot)?;
        Ok(())
    }

    /// As [`modify`](Self::modify), for the source's own descriptor `number`, while the table of
    /// sources has the source.
    #[cold]
    pub(crate) fn rearm(&self, number: RawFd, key: u64, interests: Interests) -> io::Result<()> {
        // SAFETY: a `Source` leaves the table before it lets go of its descriptor, so the
        // descriptor is open. (A source that is forgotten may have a borrowed descriptor that was
        // closed since. The kernel then refuses the call, or arms another registration of this very
        // poller.)
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        self.modify(descriptor, key, interests)
    }

    pub(crate) fn remove(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        self.poller.delete(descriptor)
    }

    pub(crate) fn waker(&self) -> PollingWaker {
        PollingWaker { poller: Arc::clone(&self.poller) }
    }

    pub(crate) fn elapsed_nanos(&self) -> u64 {
        self.clock.elapsed_nanos()
    }

    pub(crate) fn started_at(&self) -> Instant {
        self.clock.started_at()
    }
}

/// Whether no more data will come behind the data that has arrived. `polling` does not ask Linux
/// for that event; on other systems the operation itself reports it.
#[cold]
pub(super) fn is_read_shut(descriptor: BorrowedFd<'_>) -> bool {
    #[cfg(target_os = "linux")]
    {
        let mut asked = [PollFd::from_borrowed_fd(descriptor, PollFlags::RDHUP)];
        let polled = poll(&mut asked, Some(&Timespec::default()));
        polled.is_ok() && asked[0].revents().contains(PollFlags::RDHUP)
    }
    #[cfg(any(target_os = "macos", target_os = "freebsd"))]
    {
        let _ = descriptor;
        false
    }
}

impl PollingWaker {
    pub(crate) fn wake(&self) {
        // It fails only when the poller is gone, and then nothing waits.
        let _ = self.poller.notify();
    }
}

/// Without `EPOLLPRI`, which `polling` asks for: urgent data that a program does not read would be
/// reported at each wait.
#[cfg(target_os = "linux")]
fn flags(interests: Interests) -> EventFlags {
    let mut flags = EventFlags::ONESHOT;
    flags.set(EventFlags::IN, interests.read);
    flags.set(EventFlags::OUT, interests.write);
    flags
}

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
fn event(key: u64, interests: Interests) -> Event {
    #[allow(clippy::cast_possible_truncation)] // both are 64 bits wide, see `lib.rs`
    Event::new(key as usize, interests.read, interests.write)
}
