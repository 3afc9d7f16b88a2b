//! When a shard's thread does not come back in time: another one accepts from its listeners.
//!
//! A client belongs to the queue of one shard from its handshake on, so it waits for that one. But
//! the queue is the socket's, and any shard that has a descriptor of the socket may accept from it:
//! each client is accepted once, by whichever shard is quicker. So listeners are *lent* as soon as
//! a shard is busy (`Builder::busy_limit`), to the healthy shard with the fewest connections, and
//! to a spare one that is started if none is healthy. The busy shard keeps its own descriptors and
//! goes on with them when it comes back; who was accepted elsewhere stays there. So a loan is
//! harmless when nothing was wrong but that the machine had no time for a thread, and it ends only
//! when the shard has been well for a while: a handler that computes again and again changes
//! nothing each time.
//!
//! `settle` is all of it: it compares the loans with the state of the shards, and may be called
//! whenever that has changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::running::News;
use super::shard;
use super::shared::Shared;
use super::slot::{Handed, Slot};
use crate::config::Phase;
use crate::telemetry::Event;

/// A shard's listeners that another one accepts from.
#[derive(Debug)]
pub(super) struct Loan {
    owner: Arc<Slot>,
    helper: Arc<Slot>,
    is_over: AtomicBool,
}

impl Loan {
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.helper.wake();
    }
}

/// Lends what is to be lent, and takes back what is not.
pub(super) fn settle(shared: &Arc<Shared>) {
    if shared.phase() > Phase::Unready {
        return; // each empties the queues that it has, and accepts nobody after that
    }
    let mut steps = Vec::new();
    {
        let mut loans = shared.loans.lock();
        loans.retain(|loan| {
            let goes_on = loan.owner.needs_help();
            if !goes_on {
                loan.end();
                steps.push((Arc::clone(&loan.owner), None));
            }
            goes_on
        });
        for owner in shared.slots().into_iter().filter(|slot| slot.needs_help()) {
            if let Some(helper) = lend(shared, &mut loans, &owner) {
                steps.push((owner, Some(helper)));
            }
        }
    }
    // Not under the lock: these are the hooks of somebody else.
    for (owner, helper) in steps {
        shared.observers.emit(&match helper {
            Some(helper) => Event::ListenersLent { shard: owner.index, helper: helper.index },
            None => Event::ListenersReturned { shard: owner.index },
        });
    }
}

/// Lends the listeners of `owner`, unless a shard that is well has them already. Returns the one
/// that gets them.
fn lend(shared: &Arc<Shared>, loans: &mut Vec<Arc<Loan>>, owner: &Arc<Slot>) -> Option<Arc<Slot>> {
    let before = loans.iter().position(|loan| loan.owner.index == owner.index);
    if before.is_some_and(|place| loans[place].helper.can_help()) {
        return None;
    }
    // A spare shard has none. And with no descriptors left nobody could accept either.
    let listeners = owner.copies().ok().filter(|listeners| !listeners.is_empty())?;
    let helper = helper(shared).or_else(|| start_spare(shared))?;
    if let Some(place) = before {
        loans.swap_remove(place).end();
    }
    let (owner, is_over) = (Arc::clone(owner), AtomicBool::new(false));
    let loan = Arc::new(Loan { owner, helper: Arc::clone(&helper), is_over });
    helper.hand(Handed { listeners, loan: Some(Arc::clone(&loan)) });
    loans.push(loan);
    shared.lent.fetch_add(1, Ordering::Relaxed);
    Some(helper)
}

/// The shard that has the least to do of those that are well; spare ones are to become idle.
pub(super) fn helper(shared: &Shared) -> Option<Arc<Slot>> {
    let healthy = shared.slots().into_iter().filter(|slot| slot.can_help());
    healthy.min_by_key(|slot| (slot.is_spare.load(Ordering::SeqCst), slot.connections()))
}

/// A shard without listeners of its own; none if there may not be more, or it cannot be started.
pub(super) fn start_spare(shared: &Arc<Shared>) -> Option<Arc<Slot>> {
    if shared.phase() > Phase::Unready || shared.threads() >= shared.threads_max() {
        return None;
    }
    let news = shared.news.lock().clone()?;
    let slot = shared.add_slot(true);
    // Without a thread to be had there is none.
    let Ok(handle) = shard::start(shared, &slot) else {
        slot.ends();
        shared.forget(&slot);
        return None;
    };
    // The server's own thread waits for it at the end; if that is over, nobody does.
    let _ = news.try_send(News::Started(Arc::clone(&slot), handle));
    Some(slot)
}

/// Retires a spare shard that has nothing to do, unless something was lent to it meanwhile.
pub(super) fn retire_spare(shared: &Shared, slot: &Slot) -> bool {
    let loans = shared.loans.lock();
    let is_idle = loans.iter().all(|loan| loan.helper.index != slot.index)
        && slot.is_spare.load(Ordering::SeqCst);
    if is_idle {
        slot.is_retired.store(true, Ordering::SeqCst);
    }
    is_idle
}
