//! What a simulation has in the place of descriptors.
//!
//! A device is like a descriptor in epoll's hands: it is registered once, for directions that it
//! is watched for; whoever changes it says so, and the shard is told at its next look outside what
//! the device is ready for *then*. A change back in between is no event.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::rc::{Rc, Weak};

use super::world::World;
use super::{Interests, Readiness};

/// Something simulated that a [`Source`](crate::Source) can watch, in the place of a descriptor.
///
/// What is on its other side is the simulation's: see [`after`](crate::sim::after).
///
/// ```
/// use std::rc::Rc;
/// use std::time::Duration;
/// use straightline_sched::sim::{self, Device, Level};
/// use straightline_sched::{Interest, Source};
///
/// sim::run(7, || {
///     let bell = Rc::new(Source::new(Device::new("bell")));
///     sim::after(Duration::from_secs(60), {
///         let bell = Rc::clone(&bell);
///         move || {
///             bell.inner().set_level(Level { readable: true, ..Level::default() });
///             bell.inner().notify();
///         }
///     });
///     bell.wait(Interest::Read).unwrap();
///     assert!(sim::elapsed() >= Duration::from_secs(60)); // and no real time has passed
/// });
/// ```
pub struct Device {
    world: Weak<World>,
    number: i32,
}

/// What a [`Device`] is ready for, as epoll would say it of a descriptor. Its example is the
/// device's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
    /// Nothing further will come to be read. Once reported, this stays.
    pub read_closed: bool,
}

/// The devices of a simulation, by their numbers.
#[derive(Default)]
pub(super) struct Devices {
    made: i32,
    states: BTreeMap<i32, State>,
}

struct State {
    label: Rc<str>,
    level: Level,
    registration: Option<Registration>,
    /// Stands in its shard's list of changes.
    changed: bool,
}

struct Registration {
    key: u64,
    interests: Interests,
    changes: Rc<Changes>,
}

/// The devices of one shard that changed since it last looked outside.
pub(super) type Changes = RefCell<VecDeque<i32>>;

impl Device {
    /// A device that is ready for nothing. The label names it in traces, and where fibers are
    /// listed that wait for it.
    ///
    /// # Panics
    ///
    /// Outside of a simulation.
    pub fn new(label: impl Into<Rc<str>>) -> Self {
        let world = World::expect_current();
        let mut devices = world.devices.borrow_mut();
        devices.made += 1;
        let number = devices.made;
        let (label, level) = (label.into(), Level::default());
        devices.states.insert(number, State { label, level, registration: None, changed: false });
        Self { world: Rc::downgrade(&world), number }
    }

    /// Names it anew.
    pub fn set_label(&self, label: impl Into<Rc<str>>) {
        let label = label.into();
        self.with(|state| state.label = label);
    }

    /// What it is ready for from now on. Nobody is told by that: see [`notify`](Self::notify).
    pub fn set_level(&self, level: Level) {
        self.with(|state| state.level = level);
    }

    /// Has the shard that watches it look what it is ready for: an edge, as the kernel's when data
    /// arrives.
    pub fn notify(&self) {
        self.with(|state| state.change(self.number));
    }

    pub(super) fn number(&self) -> i32 {
        self.number
    }

    /// `None` if its simulation is over.
    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> Option<R> {
        let world = self.world.upgrade()?;
        let mut devices = world.devices.borrow_mut();
        devices.states.get_mut(&self.number).map(act)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(world) = self.world.upgrade() {
            let _state = world.devices.borrow_mut().states.remove(&self.number);
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = self.with(|state| Rc::clone(&state.label));
        f.debug_tuple("Device").field(&label.as_deref().unwrap_or("of a past simulation")).finish()
    }
}

impl Devices {
    /// Also says what the device is ready for, as every change of what it is watched for does.
    pub(super) fn register(
        &mut self,
        device: &Device,
        key: u64,
        interests: Interests,
        changes: &Rc<Changes>,
    ) -> io::Result<()> {
        let Some(state) = self.states.get_mut(&device.number) else {
            return Err(io::Error::other("a device of another simulation"));
        };
        let changes = Rc::clone(changes);
        state.registration = Some(Registration { key, interests, changes });
        state.changed = false;
        state.change(device.number);
        Ok(())
    }

    pub(super) fn deregister(&mut self, device: &Device) {
        if let Some(state) = self.states.get_mut(&device.number) {
            state.registration = None;
        }
    }

    /// What to tell of a device that changed, if it is ready for anything.
    pub(super) fn readiness(&mut self, number: i32) -> Option<Readiness> {
        let state = self.states.get_mut(&number)?;
        state.changed = false;
        let Registration { key, interests, .. } = *state.registration.as_ref()?;
        let level = state.level;
        let readiness = Readiness {
            key,
            readable: level.readable && interests.read,
            writable: level.writable && interests.write,
            read_closed: level.read_closed && interests.read,
            urgent: false,
        };
        (readiness.readable || readiness.writable || readiness.read_closed).then_some(readiness)
    }

    pub(super) fn label(&self, number: i32) -> Option<Rc<str>> {
        self.states.get(&number).map(|state| Rc::clone(&state.label))
    }
}

impl State {
    fn change(&mut self, number: i32) {
        if let Some(registration) = &self.registration
            && !self.changed
        {
            registration.changes.borrow_mut().push_back(number);
            self.changed = true;
        }
    }
}
