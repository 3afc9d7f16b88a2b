//! The seam between the scheduler and the world: readiness of descriptors, and time.
//!
//! Everything that a shard learns from outside its own thread's memory comes through a `Driver`:
//! which descriptors became ready, what time it is, and that another thread has sent a message.
//! There is one driver for each mechanism, with the same private interface:
//!
//! - `epoll` (Linux): direct system calls, one per wait;
//! - `poller` (every system): the `polling` crate, oneshot;
//! - `simulated`: a part of a `world` with a clock, events and `device`s of its own, from a seed.
//!
//! `kind` is the choice between the first two, `readiness` the words that all of them share. Which
//! driver a shard has is one branch that always goes the same way.
//!
//! **Edges.** With `epoll` and in a simulation a descriptor is registered once, for its whole life,
//! and an event says that something changed since the last one. The rule for callers is the usual
//! one: try the operation until it would block (or, on a TCP socket, until a read comes back
//! short), and only then wait. That saves a system call at each park. `Readiness::read_closed`
//! makes the short-read rule safe, because an end of stream that arrived together with the last
//! bytes raises no further edge.
//!
//! **Oneshot.** With `poller` an event disarms its descriptor, and each wait arms it again, for the
//! directions that are waited for. The kernel then checks what the descriptor is ready for. So
//! callers that keep the rule for edges are safe here too, and a wait for data that has come
//! already ends at once.

mod clock;
mod device;
mod device_table;
#[cfg(target_os = "linux")]
mod epoll;
mod kind;
mod level;
#[cfg(target_os = "linux")]
mod notify_flag;
mod poller;
mod random;
mod readiness;
mod simulated;
#[cfg(target_os = "linux")]
mod wait_timer;
mod world;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use device::Device;
pub use device_table::Level;
#[cfg(target_os = "linux")]
use epoll::{EpollDriver, EpollWaker};
pub use kind::DriverKind;
use poller::{PollingDriver, PollingWaker};
pub use random::Random;
pub use readiness::Interest;
pub(crate) use readiness::{EVENTS_MAX, Heard, Interests, Readiness};
pub(crate) use simulated::SimulatedDriver;
use simulated::SimulatedWaker;
pub(crate) use world::{TraceSink, World};

/// The source of everything that a shard cannot know by itself.
///
/// It has a tag of its own, which a request compares some ten times. Without it the tag would have
/// to be computed from the unused values of a field.
#[repr(u8)]
pub(crate) enum Driver {
    #[cfg(target_os = "linux")]
    Epoll(EpollDriver),
    Polling(PollingDriver),
    Simulated(SimulatedDriver),
}

/// Ends the current or the next wait of its driver, from any thread.
#[derive(Clone, Debug)]
pub(crate) enum Waker {
    #[cfg(target_os = "linux")]
    Epoll(EpollWaker),
    Polling(PollingWaker),
    Simulated(SimulatedWaker),
}

/// What a [`Source`](crate::Source) watches.
#[derive(Debug)]
#[non_exhaustive]
pub enum Watched<'w> {
    /// A descriptor of the system.
    Descriptor(BorrowedFd<'w>),
    /// A part of a simulation.
    Device(&'w Device),
}

/// A value that a [`Source`](crate::Source) can watch: a type with a descriptor, or a simulated
/// one.
///
/// A type that is one or the other implements it, instead of [`AsFd`].
///
/// ```
/// use std::net::UdpSocket;
/// use straightline_sched::{Watch, Watched, sim::Device};
///
/// enum Line {
///     System(UdpSocket),
///     Simulated(Device),
/// }
///
/// impl Watch for Line {
///     fn watched(&self) -> Watched<'_> {
///         match self {
///             Self::System(socket) => socket.watched(),
///             Self::Simulated(device) => device.watched(),
///         }
///     }
/// }
/// ```
pub trait Watch {
    /// The thing to be watched; always the same.
    fn watched(&self) -> Watched<'_>;
}

impl<T: AsFd> Watch for T {
    #[inline]
    fn watched(&self) -> Watched<'_> {
        Watched::Descriptor(self.as_fd())
    }
}

impl Watch for Device {
    fn watched(&self) -> Watched<'_> {
        Watched::Device(self)
    }
}

impl Watched<'_> {
    /// Whether that direction is ready at this moment, whatever events said.
    pub(crate) fn is_ready(&self, interest: Interest) -> bool {
        match self {
            Self::Descriptor(fd) => level::is_ready(*fd, interest),
            Self::Device(device) => device.is_ready(interest),
        }
    }

    /// The descriptor's number, or the device's.
    pub(crate) fn number(&self) -> i32 {
        match self {
            Self::Descriptor(descriptor) => descriptor.as_raw_fd(),
            Self::Device(device) => device.number(),
        }
    }
}

impl Driver {
    /// The driver of that kind, see [`DriverKind::resolve`].
    pub(crate) fn system(chosen: Option<DriverKind>) -> io::Result<Self> {
        match DriverKind::resolve(chosen)? {
            #[cfg(target_os = "linux")]
            DriverKind::Epoll => EpollDriver::new().map(Self::Epoll),
            #[cfg(any(target_os = "macos", target_os = "freebsd"))]
            DriverKind::Epoll => unreachable!("resolved to what the system has"),
            DriverKind::Polling => PollingDriver::new().map(Self::Polling),
        }
    }

    pub(crate) fn simulated(world: &Rc<World>) -> Self {
        Self::Simulated(SimulatedDriver::new(world))
    }

    /// The simulation that it is a part of.
    #[inline]
    pub(crate) fn simulation(&self) -> Option<&SimulatedDriver> {
        match self {
            Self::Simulated(driver) => Some(driver),
            _ => None,
        }
    }

    /// The kind; `None` for a simulated driver.
    pub(crate) fn kind(&self) -> Option<DriverKind> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Epoll(_) => Some(DriverKind::Epoll),
            Self::Polling(_) => Some(DriverKind::Polling),
            Self::Simulated(_) => None,
        }
    }

    /// Whether an event disarms its descriptor; see [`Readiness::disarmed`].
    #[inline]
    pub(crate) fn is_oneshot(&self) -> bool {
        matches!(self, Self::Polling(_))
    }

    /// Waits until something is ready, `timeout` has passed (`None`: never), or the waker notifies.
    /// It may end early. `now` is the time on the driver's clock. In a simulation it does not wait.
    #[inline]
    pub(crate) fn wait(
        &self,
        now: u64,
        timeout: Option<Duration>,
        on_event: impl FnMut(Readiness),
    ) -> io::Result<Heard> {
        match self {
            // Inlined; the other drivers are not, so that the turn's code stays small.
            #[cfg(target_os = "linux")]
            Self::Epoll(driver) => driver.wait(now, timeout, on_event),
            _ => self.wait_of_others(timeout, on_event),
        }
    }

    #[cfg_attr(target_os = "linux", cold)]
    #[inline(never)]
    fn wait_of_others(
        &self,
        timeout: Option<Duration>,
        on_event: impl FnMut(Readiness),
    ) -> io::Result<Heard> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Epoll(_) => unreachable!("the caller handles it inline"),
            Self::Polling(driver) => driver.wait(timeout, on_event),
            Self::Simulated(driver) => {
                driver.look(on_event);
                Ok(Heard::All)
            }
        }
    }

    pub(crate) fn add(
        &self,
        watched: &Watched<'_>,
        key: u64,
        interests: Interests,
    ) -> io::Result<()> {
        match (self, watched) {
            #[cfg(target_os = "linux")]
            (Self::Epoll(driver), Watched::Descriptor(fd)) => driver.add(*fd, key, interests),
            (Self::Polling(driver), Watched::Descriptor(fd)) => driver.add(*fd, key, interests),
            (Self::Simulated(driver), Watched::Device(it)) => driver.add(it, key, interests),
            _ => Err(of_another_world(watched)),
        }
    }

    /// Changes the directions of an added descriptor, or arms it again.
    pub(crate) fn modify(
        &self,
        watched: &Watched<'_>,
        key: u64,
        interests: Interests,
    ) -> io::Result<()> {
        match (self, watched) {
            #[cfg(target_os = "linux")]
            (Self::Epoll(driver), Watched::Descriptor(fd)) => driver.modify(*fd, key, interests),
            (Self::Polling(driver), Watched::Descriptor(fd)) => driver.modify(*fd, key, interests),
            (Self::Simulated(driver), Watched::Device(it)) => driver.add(it, key, interests),
            _ => Err(of_another_world(watched)),
        }
    }

    /// Arms the descriptor `number` again, which an event has disarmed, while its source is in the
    /// shard's table.
    #[cold]
    pub(crate) fn rearm(&self, number: i32, key: u64, interests: Interests) -> io::Result<()> {
        match self {
            Self::Polling(driver) => driver.rearm(number, key, interests),
            _ => unreachable!("no event of this driver disarms"),
        }
    }

    pub(crate) fn remove(&self, watched: &Watched<'_>) -> io::Result<()> {
        match (self, watched) {
            #[cfg(target_os = "linux")]
            (Self::Epoll(driver), Watched::Descriptor(fd)) => driver.remove(*fd),
            (Self::Polling(driver), Watched::Descriptor(fd)) => driver.remove(*fd),
            (Self::Simulated(driver), Watched::Device(device)) => {
                driver.remove(device);
                Ok(())
            }
            _ => Err(of_another_world(watched)),
        }
    }

    /// Whether no more data will come behind the data that has arrived, where events do not tell
    /// it.
    pub(crate) fn is_read_shut(&self, watched: &Watched<'_>) -> bool {
        match (self, watched) {
            (Self::Polling(_), Watched::Descriptor(fd)) => poller::is_read_shut(*fd),
            _ => false,
        }
    }

    pub(crate) fn waker(&self) -> Waker {
        match self {
            #[cfg(target_os = "linux")]
            Self::Epoll(driver) => Waker::Epoll(driver.waker()),
            Self::Polling(driver) => Waker::Polling(driver.waker()),
            Self::Simulated(driver) => Waker::Simulated(driver.waker()),
        }
    }

    /// Nanoseconds since [`started_at`](Self::started_at), or slightly less: a point in time that
    /// this has reached has passed by `Instant` too.
    #[inline]
    pub(crate) fn elapsed_nanos(&self) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Epoll(driver) => driver.elapsed_nanos(),
            _ => self.elapsed_nanos_of_others(),
        }
    }

    #[cfg_attr(target_os = "linux", cold)]
    #[inline(never)]
    fn elapsed_nanos_of_others(&self) -> u64 {
        match self {
            #[cfg(target_os = "linux")]
            Self::Epoll(_) => unreachable!("the caller handles it inline"),
            Self::Polling(driver) => driver.elapsed_nanos(),
            Self::Simulated(driver) => driver.world.now(),
        }
    }

    pub(crate) fn started_at(&self) -> Instant {
        match self {
            #[cfg(target_os = "linux")]
            Self::Epoll(driver) => driver.started_at(),
            Self::Polling(driver) => driver.started_at(),
            Self::Simulated(driver) => driver.world.started_at,
        }
    }
}

impl Waker {
    /// A waker without a driver.
    pub(crate) fn detached() -> Self {
        Self::Simulated(SimulatedWaker::default())
    }

    pub(crate) fn wake(&self) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Epoll(waker) => waker.wake(),
            Self::Polling(waker) => waker.wake(),
            Self::Simulated(waker) => waker.wake(),
        }
    }
}

#[cold]
fn of_another_world(watched: &Watched<'_>) -> io::Error {
    let message = match watched {
        Watched::Descriptor(_) => "a simulation cannot wait for a descriptor of the system",
        Watched::Device(_) => "a simulated device outside of its simulation",
    };
    io::Error::new(io::ErrorKind::Unsupported, message)
}
