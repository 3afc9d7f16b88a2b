//! The shards of a simulation: the mailboxes of those that have not ended, by their numbers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::mailbox::Mailbox;
use crate::driver::{Driver, World};

/// The mailboxes of the shards that have not ended, by the shards' numbers.
#[derive(Default)]
struct Mailboxes(RefCell<BTreeMap<u64, Arc<Mailbox>>>);

/// A new shard begins, in a simulation or not.
pub(super) fn enter(shard_id: u64, driver: &Driver, mailbox: &Arc<Mailbox>) {
    if let Some(simulation) = driver.simulation() {
        let mailboxes = simulation.world.local(Mailboxes::default);
        mailboxes.0.borrow_mut().insert(shard_id, Arc::clone(mailbox));
    }
}

/// A shard has ended.
pub(super) fn leave(shard_id: u64, driver: &Driver) {
    if let Some(simulation) = driver.simulation() {
        let mailboxes = simulation.world.local(Mailboxes::default);
        mailboxes.0.borrow_mut().remove(&shard_id);
    }
}

/// The mailbox of that shard, if it belongs to the simulation that the caller is in.
pub(super) fn of_simulation(shard_id: u64) -> Option<Arc<Mailbox>> {
    let mailboxes = World::current()?.local(Mailboxes::default);
    mailboxes.0.borrow().get(&shard_id).cloned()
}
