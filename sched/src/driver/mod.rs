//! The seam between the scheduler and the world: readiness of descriptors, and time.
//!
//! Everything that a shard learns from outside its own thread's memory comes through a `Driver`:
//! which descriptors became ready, what time it is, and that another thread wants its attention.
//! There is one per mechanism, with the same private interface:
//!
//! - `epoll` (Linux): direct system calls, one per wait;
//! - `portable` (elsewhere): the `polling` crate. `--cfg straightline_portable_driver` selects it
//!   on Linux too, so that the tests cover it;
//! - `simulated`: a part of a `world` with a clock, events and `device`s of its own, from a seed.
//!
//! Which of them it is, is one branch that always goes the same way.
//!
//! Readiness is *edge-triggered*: a descriptor is registered once, for as long as it lives, and an
//! event says that something changed since the last one. The rule for callers is the usual one:
//! try the operation until it would block (or, on a TCP socket, until a read comes back short),
//! and only then wait. That saves the re-arming system call that a oneshot registration needs at
//! each park; [`Readiness::read_closed`] is what makes the short-read rule safe, because an end of
//! stream that arrived together with the last bytes raises no further edge.

#[cfg(all(target_os = "linux", not(straightline_portable_driver)))]
mod bell;
#[cfg(all(target_os = "linux", not(straightline_portable_driver)))]
mod clock;
mod device;
mod device_table;
#[cfg(all(target_os = "linux", not(straightline_portable_driver)))]
mod epoll;
#[cfg(any(not(target_os = "linux"), straightline_portable_driver))]
mod portable;
mod random;
mod simulated;
mod world;

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use device::Device;
pub use device_table::Level;
#[cfg(all(target_os = "linux", not(straightline_portable_driver)))]
use epoll::{SystemDriver, SystemWaker};
#[cfg(any(not(target_os = "linux"), straightline_portable_driver))]
use portable::{SystemDriver, SystemWaker};
pub use random::Random;
pub(crate) use simulated::SimulatedDriver;
use simulated::SimulatedWaker;
pub(crate) use world::{TraceSink, World};

/// Where a shard learns what it cannot know by itself.
pub(crate) enum Driver {
    System(SystemDriver),
    Simulated(SimulatedDriver),
}

/// Ends the current or the next wait of its driver, from any thread.
#[derive(Clone, Debug)]
pub(crate) enum Waker {
    System(SystemWaker),
    Simulated(SimulatedWaker),
}

/// What a [`Source`](crate::Source) watches.
#[derive(Debug)]
pub enum Watched<'w> {
    /// A descriptor of the system.
    Descriptor(BorrowedFd<'w>),
    /// A part of a simulation.
    Device(&'w Device),
}

/// Something that a [`Source`](crate::Source) can watch: whatever has a descriptor, and what is
/// simulated.
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
    /// What is to be watched; always the same.
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
    /// The descriptor's number, or the device's.
    pub(crate) fn number(&self) -> i32 {
        match self {
            Self::Descriptor(descriptor) => descriptor.as_raw_fd(),
            Self::Device(device) => device.number(),
        }
    }
}

impl Driver {
    pub(crate) fn system() -> io::Result<Self> {
        SystemDriver::new().map(Self::System)
    }

    pub(crate) fn simulated(world: &Rc<World>) -> Self {
        Self::Simulated(SimulatedDriver::new(world))
    }

    /// The simulation that it is a part of.
    #[inline]
    pub(crate) fn simulation(&self) -> Option<&SimulatedDriver> {
        match self {
            Self::System(_) => None,
            Self::Simulated(driver) => Some(driver),
        }
    }

    /// Waits until something is ready, `timeout` has passed (`None`: never) or the waker rings. In
    /// a simulation it does not wait.
    #[inline]
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        on_event: impl FnMut(Readiness),
    ) -> io::Result<Heard> {
        match self {
            Self::System(driver) => driver.wait(timeout, on_event),
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
            (Self::System(driver), Watched::Descriptor(fd)) => driver.add(*fd, key, interests),
            (Self::Simulated(driver), Watched::Device(it)) => driver.add(it, key, interests),
            _ => Err(of_another_world(watched)),
        }
    }

    pub(crate) fn modify(
        &self,
        watched: &Watched<'_>,
        key: u64,
        interests: Interests,
    ) -> io::Result<()> {
        match (self, watched) {
            (Self::System(driver), Watched::Descriptor(fd)) => driver.modify(*fd, key, interests),
            (Self::Simulated(driver), Watched::Device(it)) => driver.add(it, key, interests),
            _ => Err(of_another_world(watched)),
        }
    }

    pub(crate) fn remove(&self, watched: &Watched<'_>) -> io::Result<()> {
        match (self, watched) {
            (Self::System(driver), Watched::Descriptor(fd)) => driver.remove(*fd),
            (Self::Simulated(driver), Watched::Device(device)) => {
                driver.remove(device);
                Ok(())
            }
            _ => Err(of_another_world(watched)),
        }
    }

    pub(crate) fn waker(&self) -> Waker {
        match self {
            Self::System(driver) => Waker::System(driver.waker()),
            Self::Simulated(driver) => Waker::Simulated(driver.waker()),
        }
    }

    /// Nanoseconds since [`started_at`](Self::started_at), or a moment less: a point in time that
    /// this has reached has passed by `Instant` too.
    #[inline]
    pub(crate) fn elapsed_nanos(&self) -> u64 {
        match self {
            Self::System(driver) => driver.elapsed_nanos(),
            Self::Simulated(driver) => driver.world.now(),
        }
    }

    pub(crate) fn started_at(&self) -> Instant {
        match self {
            Self::System(driver) => driver.started_at(),
            Self::Simulated(driver) => driver.world.started_at,
        }
    }
}

impl Waker {
    /// One that nobody hears.
    pub(crate) fn of_nobody() -> Self {
        Self::Simulated(SimulatedWaker::default())
    }

    pub(crate) fn wake(&self) {
        match self {
            Self::System(waker) => waker.wake(),
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

/// Whether a read of a TCP stream that returned less than asked for proves that nothing is left.
///
/// Only where events also report the end of stream: one that came with the last bytes is no edge.
pub const SHORT_READ_DRAINS: bool =
    cfg!(all(target_os = "linux", not(straightline_portable_driver)));

/// The key that no source may have: it means "another thread rang".
const WAKER_KEY: u64 = u64::MAX;

/// How many events one wait takes at most; more wait for the next one.
pub(crate) const EVENTS_MAX: usize = 256;

/// What a wait has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing was ready, and the time was over.
    Nothing,
    /// All that was ready.
    All,
    /// As much as one wait takes, or nothing because it was interrupted: there may be more.
    Part,
}

/// The direction that a fiber waits for, see [`Source`](crate::Source).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Something to read, or the peer's end of stream, or an error.
    Read,
    /// Room to write, or an error.
    Write,
}

/// The directions that a descriptor is registered for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interests {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

/// One edge: what a descriptor became ready for.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools)] // the flags of an event, in any combination
pub(crate) struct Readiness {
    pub(crate) key: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more; this never becomes false again.
    pub(crate) read_closed: bool,
    /// TCP urgent data came: from now on a read may come back short before it.
    pub(crate) urgent: bool,
}

impl Interests {
    pub(crate) const NONE: Self = Self { read: false, write: false };

    pub(crate) fn with(self, interest: Interest) -> Self {
        match interest {
            Interest::Read => Self { read: true, ..self },
            Interest::Write => Self { write: true, ..self },
        }
    }
}
