//! The driver on Linux's epoll, edge-triggered, and an eventfd, by direct system calls.
//!
//! A wait is one system call, whatever its timeout. The eventfd is edge-triggered as well, so its
//! counter need not be read: a wake-up from another thread costs its sender one write and the shard
//! nothing.

use std::cell::RefCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::clock::Clock;
use super::notify_flag::NotifyFlag;
use super::readiness::{EVENTS_MAX, Heard, Interests, Readiness, WAKER_KEY};
use super::wait_timer::WaitTimer;

pub(crate) struct EpollDriver {
    epoll: OwnedFd,
    waker: EpollWaker,
    events: RefCell<Vec<Event>>,
    timer: WaitTimer,
    clock: Clock,
}

/// Ends the current or the next wait of its driver, from any thread.
#[derive(Clone, Debug)]
pub(crate) struct EpollWaker {
    shared: Arc<WakerShared>,
}

#[derive(Debug)]
struct WakerShared {
    eventfd: OwnedFd,
    /// Its flag saves further writes.
    flag: NotifyFlag,
}

impl EpollDriver {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let key = EventData::new_u64(WAKER_KEY);
        epoll::add(&epoll, &eventfd, key, EventFlags::IN | EventFlags::ET)?;
        let shared = Arc::new(WakerShared { eventfd, flag: NotifyFlag::new() });
        let timer = WaitTimer::new()?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER_KEY), EventFlags::IN | EventFlags::ET)?;
        let events = RefCell::new(Vec::with_capacity(EVENTS_MAX));
        Ok(Self { epoll, waker: EpollWaker { shared }, events, timer, clock: Clock::new() })
    }

    /// Waits until something is ready, `timeout` has passed (`None`: never), or the waker notifies.
    /// It may end early. `now` is the time on the driver's clock.
    #[inline]
    pub(crate) fn wait(
        &self,
        now: u64,
        timeout: Option<Duration>,
        mut on_event: impl FnMut(Readiness),
    ) -> io::Result<Heard> {
        let mut events = self.events.borrow_mut();
        events.clear();
        let own = timeout.filter(|&timeout| !self.timer.ends(now, timeout)).and_then(timespec_of);
        let mut heard = match epoll::wait(&self.epoll, spare_capacity(&mut events), own.as_ref()) {
            Ok(0) => Heard::Nothing,
            Ok(count) if count == EVENTS_MAX => Heard::Part,
            Ok(_) => Heard::All,
            // A signal handler ran, or the process was stopped and goes on: the kernel reported
            // nothing.
            Err(Errno::INTR) => Heard::Part,
            Err(error) => return Err(error.into()),
        };
        for event in &*events {
            let (key, flags) = (event.data.u64(), event.flags);
            if key >= TIMER_KEY {
                if key == WAKER_KEY {
                    // Before the caller drains its mailbox: so a later notification is not lost.
                    self.waker.shared.flag.acknowledge();
                } else if self.timer.record_fired(now, timeout) && events.len() == 1 {
                    heard = Heard::Nothing;
                }
                continue;
            }
            // Nearly every event: the two calls of `on_event` are inlined, and this one is short.
            if flags == EventFlags::IN {
                on_event(Readiness::readable(key));
                continue;
            }
            on_event(Readiness {
                key,
                readable: flags
                    .intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI | CLOSED),
                writable: flags.intersects(EventFlags::OUT | CLOSED),
                // An error alone does not mean that: a UDP socket has one for each datagram that
                // was refused, and goes on. A connection that failed reports RDHUP too.
                read_closed: flags.contains(EventFlags::RDHUP),
                urgent: flags.contains(EventFlags::PRI),
                disarmed: false,
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
        epoll::add(&self.epoll, descriptor, EventData::new_u64(key), flags(interests))?;
        Ok(())
    }

    pub(crate) fn modify(
        &self,
        descriptor: BorrowedFd<'_>,
        key: u64,
        interests: Interests,
    ) -> io::Result<()> {
        epoll::modify(&self.epoll, descriptor, EventData::new_u64(key), flags(interests))?;
        Ok(())
    }

    pub(crate) fn remove(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        epoll::delete(&self.epoll, descriptor)?;
        Ok(())
    }

    pub(crate) fn waker(&self) -> EpollWaker {
        self.waker.clone()
    }

    #[inline]
    pub(crate) fn elapsed_nanos(&self) -> u64 {
        self.clock.elapsed_nanos()
    }

    pub(crate) fn started_at(&self) -> Instant {
        self.clock.started_at()
    }
}

impl EpollWaker {
    pub(crate) fn wake(&self) {
        if !self.shared.flag.notify() {
            return;
        }
        // It fails only when the counter is full, and then the descriptor is readable anyway.
        let _ = rustix::io::write(&self.shared.eventfd, &1_u64.to_ne_bytes());
    }
}

/// `None` if it is longer than the system's type can say.
#[inline]
fn timespec_of(timeout: Duration) -> Option<Timespec> {
    let tv_sec = timeout.as_secs().try_into().ok()?;
    Some(Timespec { tv_sec, tv_nsec: timeout.subsec_nanos().into() })
}

fn flags(interests: Interests) -> EventFlags {
    let mut flags = EventFlags::ET;
    if interests.read {
        flags |= EventFlags::IN | EventFlags::RDHUP | EventFlags::PRI;
    }
    if interests.write {
        flags |= EventFlags::OUT;
    }
    flags
}

/// The key of the timer's events. No source has it: its lower half would be a place in the table.
const TIMER_KEY: u64 = WAKER_KEY - 1;

/// Both directions are over, or the descriptor failed: every waiter must look.
const CLOSED: EventFlags = EventFlags::HUP.union(EventFlags::ERR);
