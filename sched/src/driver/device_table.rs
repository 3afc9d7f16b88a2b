//! The devices of a simulation by their numbers: what each is ready for, and which shard watches
//! it.
//!
//! A [`Device`](super::Device) is a number and a reference to this table, as a descriptor is a
//! number and a reference to the kernel's table.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;

use super::readiness::{Interests, Readiness};
use crate::with_fields::with_fields;

/// What a [`Device`](super::Device) is ready for, as epoll would report it for a descriptor. The
/// device has an example.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Level {
    /// A read would not block.
    pub readable: bool,
    /// A write would not block.
    pub writable: bool,
    /// Nothing further will come to be read. Once reported, this stays.
    pub read_closed: bool,
}

with_fields! { Level {
    with_readable: readable: bool,
    with_writable: writable: bool,
    with_read_closed: read_closed: bool,
} }

/// The devices of a simulation, by their numbers.
#[derive(Default)]
pub(super) struct Devices {
    made: i32,
    states: BTreeMap<i32, State>,
}

pub(super) struct State {
    pub(super) label: Rc<str>,
    pub(super) level: Level,
    registration: Option<Registration>,
    /// It stands in its shard's list of changes.
    changed: bool,
}

struct Registration {
    key: u64,
    interests: Interests,
    changes: Rc<Changes>,
}

/// The devices of one shard that changed since its last poll.
pub(super) type Changes = RefCell<VecDeque<i32>>;

impl Devices {
    /// Adds a device that is ready for nothing; returns its number.
    pub(super) fn add(&mut self, label: Rc<str>) -> i32 {
        self.made += 1;
        let level = Level::default();
        self.states.insert(self.made, State { label, level, registration: None, changed: false });
        self.made
    }

    pub(super) fn remove(&mut self, number: i32) -> Option<State> {
        self.states.remove(&number)
    }

    pub(super) fn state(&mut self, number: i32) -> Option<&mut State> {
        self.states.get_mut(&number)
    }

    /// Also reports what the device is ready for, as epoll does at each change of the registration.
    pub(super) fn register(
        &mut self,
        number: i32,
        key: u64,
        interests: Interests,
        changes: &Rc<Changes>,
    ) -> io::Result<()> {
        let Some(state) = self.states.get_mut(&number) else {
            return Err(io::Error::other("a device of another simulation"));
        };
        let changes = Rc::clone(changes);
        state.registration = Some(Registration { key, interests, changes });
        state.changed = false;
        state.change(number);
        Ok(())
    }

    pub(super) fn deregister(&mut self, number: i32) {
        if let Some(state) = self.states.get_mut(&number) {
            state.registration = None;
        }
    }

    /// The event of a device that changed, if it is ready for anything.
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
            disarmed: false,
        };
        (readiness.readable || readiness.writable || readiness.read_closed).then_some(readiness)
    }

    pub(super) fn label(&self, number: i32) -> Option<Rc<str>> {
        self.states.get(&number).map(|state| Rc::clone(&state.label))
    }
}

impl State {
    /// Makes the shard that watches the device, if one does, look at it.
    pub(super) fn change(&mut self, number: i32) {
        if let Some(registration) = &self.registration
            && !self.changed
        {
            registration.changes.borrow_mut().push_back(number);
            self.changed = true;
        }
    }
}
