//! The devices of a simulation, in the place of descriptors.
//!
//! A device is like a descriptor for epoll: it is registered once, for the directions in which it
//! is watched. Code that changes it notifies its shard, and the shard's next poll reports what the
//! device is ready for *then*. If it has changed back in between, there is no event.

use std::fmt;
use std::rc::{Rc, Weak};

use super::device_table::{Level, State};
use super::readiness::Interest;
use super::world::World;

/// A simulated thing that a [`Source`](crate::Source) can watch, in the place of a descriptor.
///
/// The simulation is on its other side: see [`after`](crate::sim::after).
///
/// ```
/// use std::rc::Rc;
/// use std::time::Duration;
/// use straightline_sched::sim::{self, Device, Level};
/// use straightline_sched::{Interest, Source};
///
/// sim::run(7, || {
///     let flag = Rc::new(Source::new(Device::new("flag")));
///     sim::after(Duration::from_secs(60), {
///         let flag = Rc::clone(&flag);
///         move || {
///             flag.inner().set_level(Level::default().with_readable(true));
///             flag.inner().notify();
///         }
///     });
///     flag.wait(Interest::Read).unwrap();
///     assert!(sim::elapsed() >= Duration::from_secs(60)); // and no real time has passed
/// });
/// ```
pub struct Device {
    world: Weak<World>,
    number: i32,
}

impl Device {
    /// A device that is ready for nothing. The label names it in traces, and in the list of the
    /// fibers that wait for it.
    ///
    /// # Panics
    ///
    /// Outside of a simulation.
    #[track_caller]
    pub fn new(label: impl Into<Rc<str>>) -> Self {
        let world = World::expect_current();
        let number = world.devices.borrow_mut().add(label.into());
        Self { world: Rc::downgrade(&world), number }
    }

    /// Replaces the label.
    pub fn set_label(&self, label: impl Into<Rc<str>>) {
        let label = label.into();
        self.with(|state| state.label = label);
    }

    /// Sets what it is ready for from now on. That alone is no event: see [`notify`](Self::notify).
    pub fn set_level(&self, level: Level) {
        self.with(|state| state.level = level);
    }

    /// Makes the shard that watches it look what it is ready for: an edge, as the kernel's when
    /// data arrives.
    pub fn notify(&self) {
        self.with(|state| state.change(self.number));
    }

    pub(super) fn number(&self) -> i32 {
        self.number
    }

    pub(super) fn is_ready(&self, interest: Interest) -> bool {
        let is_ready = self.with(|state| match interest {
            Interest::Read => state.level.readable || state.level.read_closed,
            Interest::Write => state.level.writable,
        });
        is_ready.unwrap_or(false)
    }

    /// `None` if its simulation is over.
    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> Option<R> {
        let world = self.world.upgrade()?;
        let mut devices = world.devices.borrow_mut();
        devices.state(self.number).map(act)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(world) = self.world.upgrade() {
            let _state = world.devices.borrow_mut().remove(self.number);
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.with(|state| Rc::clone(&state.label));
        f.debug_tuple("Device").field(&label.as_deref().unwrap_or("of a past simulation")).finish()
    }
}
