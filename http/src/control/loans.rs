//! Which shards accept from the listeners of which other shards.
//!
//! The listeners of a shard are lent to one helper at a time. Only this table knows both. The
//! helper's slot holds a [`Loan`], which says only whether it is over: no slot refers to another
//! slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};

use super::listener::Listener;
use super::slot::{Handed, Loan, Slot};

/// The loans of a server.
#[derive(Debug, Default)]
pub(crate) struct Loans {
    all: Mutex<Vec<Lent>>,
    /// How often listeners were lent.
    count: AtomicU64,
}

/// The listeners of a shard that are lent to another shard.
#[derive(Debug)]
struct Lent {
    owner: Arc<Slot>,
    helper: Arc<Slot>,
    loan: Arc<Loan>,
}

/// The loans, locked: while this lives, no other thread changes them, and no spare shard retires.
pub(crate) struct OpenLoans<'l> {
    all: MutexGuard<'l, Vec<Lent>>,
    count: &'l AtomicU64,
}

impl Loans {
    pub(crate) fn lock(&self) -> OpenLoans<'_> {
        OpenLoans { all: self.all.lock(), count: &self.count }
    }

    /// How often listeners were lent.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl OpenLoans<'_> {
    /// Ends the loans whose owners need no help any more. Returns those owners.
    pub(crate) fn end_unneeded(&mut self) -> Vec<Arc<Slot>> {
        let mut owners = Vec::new();
        self.all.retain(|lent| {
            let goes_on = lent.owner.needs_help();
            if !goes_on {
                lent.end();
                owners.push(Arc::clone(&lent.owner));
            }
            goes_on
        });
        owners
    }

    /// Whether a healthy shard accepts from the listeners of `owner`.
    pub(crate) fn is_helped(&self, owner: &Slot) -> bool {
        self.all.iter().any(|lent| lent.owner.index == owner.index && lent.helper.can_help())
    }

    /// Whether listeners of another shard are lent to `slot`.
    pub(crate) fn is_helper(&self, slot: &Slot) -> bool {
        self.all.iter().any(|lent| lent.helper.index == slot.index)
    }

    /// Lets `helper` accept from the listeners of `owner`. A loan of them to another helper ends.
    pub(crate) fn lend(&mut self, owner: &Arc<Slot>, helper: &Arc<Slot>, listeners: Vec<Listener>) {
        if let Some(place) = self.all.iter().position(|lent| lent.owner.index == owner.index) {
            self.all.swap_remove(place).end();
        }
        let loan = Arc::new(Loan::default());
        helper.hand(Handed { listeners, loan: Some(Arc::clone(&loan)) });
        self.all.push(Lent { owner: Arc::clone(owner), helper: Arc::clone(helper), loan });
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Lent {
    fn end(&self) {
        self.loan.end();
        self.helper.wake();
    }
}
