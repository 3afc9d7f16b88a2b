//! A shard's driver in a simulation: the world's clock and devices. It never waits.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::device::Device;
use super::device_table::Changes;
use super::readiness::{Interests, Readiness};
use super::world::World;

pub(crate) struct SimulatedDriver {
    pub(crate) world: Rc<World>,
    changes: Rc<Changes>,
    waker: SimulatedWaker,
}

/// A simulated shard never waits, so nothing has to be woken; the runner asks it whether it has
/// mail.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimulatedWaker {
    notified: Arc<AtomicBool>,
}

impl SimulatedDriver {
    pub(crate) fn new(world: &Rc<World>) -> Self {
        let (changes, waker) = (Rc::default(), SimulatedWaker::default());
        Self { world: Rc::clone(world), changes, waker }
    }

    /// Reports the changes since the last call.
    pub(super) fn look(&self, mut on_event: impl FnMut(Readiness)) {
        self.waker.notified.store(false, Ordering::Relaxed);
        while let Some(number) = {
            let mut changes = self.changes.borrow_mut();
            changes.pop_front()
        } {
            let readiness = self.world.devices.borrow_mut().readiness(number);
            readiness.into_iter().for_each(&mut on_event);
        }
    }

    /// Whether a poll would report something.
    pub(crate) fn has_news(&self) -> bool {
        self.waker.notified.load(Ordering::Relaxed) || !self.changes.borrow().is_empty()
    }

    pub(super) fn add(&self, device: &Device, key: u64, interests: Interests) -> io::Result<()> {
        self.world.devices.borrow_mut().register(device.number(), key, interests, &self.changes)
    }

    pub(super) fn remove(&self, device: &Device) {
        self.world.devices.borrow_mut().deregister(device.number());
    }

    pub(crate) fn label(&self, number: i32) -> Option<Rc<str>> {
        self.world.devices.borrow().label(number)
    }

    pub(super) fn waker(&self) -> SimulatedWaker {
        self.waker.clone()
    }
}

impl SimulatedWaker {
    pub(super) fn wake(&self) {
        self.notified.store(true, Ordering::Relaxed);
    }
}
