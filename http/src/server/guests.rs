//! Servers that use the shards of another server, their *host*: an admin server beside the public
//! one, with its own handler, limits, timeouts, capacity and shutdown.
//!
//! A guest is a whole server except for its threads. On each thread of the host it has a slot of
//! its own, the *twin* of the host's slot, and a root fiber with a shard's whole life. What the
//! watchdog reports about a thread holds for the host's slot and for its twins: each server then
//! lends and replaces by itself. Only the host starts threads, and each of its threads has the
//! guests.
//!
//! A thread ends when the host's part of it and the parts of all guests have ended. The guests end
//! after the host, so that an admin server can be asked during the host's drain.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use straightline_sched::{FiberBuilder, JoinHandle};

use super::handler::ServiceFactory;
use super::lending::settle;
use super::shard::{Calls, StartGuest, serve_beside};
use super::shard_replacement::replace_stuck;
use crate::config::Phase;
use crate::control::{Listener, Shared, Slot};

/// The guests of a server.
#[derive(Default)]
pub(super) struct Guests {
    all: Vec<Arc<Guest>>,
}

/// A server that uses the shards of another one.
pub(super) struct Guest {
    shared: Arc<Shared>,
    factory: Arc<ServiceFactory>,
    /// By the numbers of the host's slots.
    twins: Mutex<HashMap<usize, Arc<Slot>>>,
}

/// Starts one more shard of the host, if that is allowed and possible.
type StartSpare<'s> = dyn Fn() -> Option<Arc<Slot>> + 's;

impl Guest {
    pub(super) fn new(shared: Arc<Shared>, factory: Arc<ServiceFactory>) -> Self {
        Self { shared, factory, twins: Mutex::default() }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The guest's slot on the thread of that slot of the host.
    fn twin(&self, host: usize) -> Arc<Slot> {
        let mut twins = self.twins.lock();
        Arc::clone(twins.entry(host).or_insert_with(|| self.shared.shards.add(true)))
    }

    /// As the host's `start_spare`, for this guest.
    fn start_spare(&self, start_spare: &StartSpare<'_>) -> Option<Arc<Slot>> {
        start_spare().map(|host| self.twin(host.index))
    }
}

impl Guests {
    pub(super) fn new(all: Vec<Guest>) -> Arc<Self> {
        Arc::new(Self { all: all.into_iter().map(Arc::new).collect() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Guest> {
        self.all.iter().map(|guest| &**guest)
    }

    /// Gives the slots of each guest its listeners, before the host's first shard starts.
    pub(super) fn give(
        &self,
        hosts: &[Arc<Slot>],
        shards: Vec<Vec<Vec<Listener>>>,
    ) -> io::Result<()> {
        for (guest, shards) in self.all.iter().zip(shards) {
            let keeps_copies = guest.shared.config.keeps_copies();
            let slots = guest.shared.shards.all();
            for ((host, slot), own) in hosts.iter().zip(slots).zip(shards) {
                slot.give(own, keeps_copies)?;
                guest.twins.lock().insert(host.index, slot);
            }
        }
        Ok(())
    }

    /// What begins the guests' lives on the thread of that slot of the host.
    pub(super) fn starts(&self, host: &Arc<Slot>) -> Vec<Box<StartGuest>> {
        let start = |guest: &Arc<Guest>| -> Box<StartGuest> {
            let (guest, host) = (Arc::clone(guest), Arc::clone(host));
            // The slot is there before the thread is.
            let slot = guest.twin(host.index);
            Box::new(move || start(guest, slot, host))
        };
        self.all.iter().map(start).collect()
    }

    /// The guests' slots on the thread of that slot of the host.
    pub(super) fn twins(&self, host: &Slot) -> Vec<Arc<Slot>> {
        self.all.iter().map(|guest| guest.twin(host.index)).collect()
    }

    /// The thread of that slot of the host is busy, or is not any more.
    pub(super) fn set_busy(&self, host: &Slot, is_busy: bool, start_spare: &StartSpare<'_>) {
        for guest in &self.all {
            guest.twin(host.index).set_busy(is_busy);
            settle(&guest.shared, &|| guest.start_spare(start_spare));
        }
    }

    /// The thread of that slot of the host was stuck, and has returned.
    pub(super) fn settle(&self, start_spare: &StartSpare<'_>) {
        self.all.iter().for_each(|guest| {
            settle(&guest.shared, &|| guest.start_spare(start_spare));
        });
    }

    /// The thread of that slot of the host is stuck.
    pub(super) fn replace_stuck(&self, host: &Slot, start_spare: &StartSpare<'_>) {
        for guest in &self.all {
            // Whether all shards are stuck is a question for the host.
            replace_stuck(&guest.shared, &guest.twin(host.index), &|| {
                guest.start_spare(start_spare)
            });
        }
    }

    /// The host's slot `from` is renewed by its slot `to`: the guests move too.
    pub(super) fn follow(&self, from: &Slot, to: usize) {
        for guest in &self.all {
            let (from, to) = (guest.twin(from.index), guest.twin(to));
            let keeps_copies = guest.shared.config.keeps_copies();
            let moved = from.is_spare()
                || from
                    .copies()
                    .is_ok_and(|own| !own.is_empty() && to.give(own, keeps_copies).is_ok());
            // Otherwise the guest stays, and the old thread with it.
            if moved {
                from.leave();
                from.wake();
                settle(&guest.shared, &|| None);
            }
        }
    }

    /// The guests end once the host's drain is over on all its shards, or at once if the host's
    /// connections are force-closed.
    pub(super) fn end_after(&self, host: &Shared) {
        let is_over = |slot: &Arc<Slot>| slot.has_ended() || slot.is_stuck();
        if host.phase() == Phase::ForceClosing {
            self.all.iter().for_each(|guest| guest.shared.advance(Phase::ForceClosing));
        } else if host.phase() >= Phase::Draining && host.shards.all().iter().all(is_over) {
            self.all.iter().for_each(|guest| guest.shared.shutdown_if_serving());
        }
    }
}

/// Begins a guest's life on the calling fiber's shard, which is that of the slot `host`.
fn start(guest: Arc<Guest>, slot: Arc<Slot>, host: Arc<Slot>) -> io::Result<JoinHandle<()>> {
    let calls = Calls {
        // The host settles for its guests, too.
        on_recovery: Box::new(|| ()),
        // A thread is renewed as a whole.
        renew: Box::new(move || {
            host.ask_for_renewal();
            false
        }),
        is_shared: true,
    };
    FiberBuilder::new().name("guest server").spawn(move || {
        let Guest { shared, factory, .. } = &*guest;
        let result = serve_beside(shared, &slot, Arc::clone(factory), &calls);
        slot.record_ended();
        shared.shards.forget(&slot);
        if !slot.is_retired() || result.is_err() {
            result.err().into_iter().for_each(|error| shared.record_failure(error));
            shared.shutdown_if_serving();
        }
    })
}
