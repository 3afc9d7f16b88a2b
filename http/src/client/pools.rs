//! The pools of a shard: one for each client that made a call there.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use straightline_sched::{shard_local, try_current};

use super::client_limits::ClientLimits;
use super::pool::Pool;

/// Finds the pool of a client on each shard.
///
/// When the client is dropped, its idle connections on the same shard are closed at once. Those on
/// another shard are closed by the next call of any client there, or when their time is over.
pub(super) struct PoolKey {
    limits: Arc<ClientLimits>,
}

type Entry = (Weak<ClientLimits>, Rc<Pool>);

shard_local! {
    static POOLS: RefCell<Vec<Entry>> = RefCell::default();
}

impl PoolKey {
    pub(super) fn new(limits: ClientLimits) -> Self {
        Self { limits: Arc::new(limits) }
    }

    /// The pool of the calling fiber's shard. Not a yield point.
    pub(super) fn of_shard(&self) -> io::Result<Rc<Pool>> {
        let pools = POOLS.get()?;
        let _closed = take(&pools, |(limits, _)| limits.strong_count() == 0);
        let mut pools = pools.borrow_mut();
        if let Some((_, pool)) = pools.iter().find(|entry| self.is_of(entry)) {
            return Ok(Rc::clone(pool));
        }
        let pool = Rc::new(Pool::new(*self.limits));
        pools.push((Arc::downgrade(&self.limits), Rc::clone(&pool)));
        Ok(pool)
    }

    fn is_of(&self, (limits, _): &Entry) -> bool {
        std::ptr::eq(limits.as_ptr(), Arc::as_ptr(&self.limits))
    }
}

impl Drop for PoolKey {
    fn drop(&mut self) {
        if try_current().is_some()
            && let Ok(pools) = POOLS.get()
        {
            drop(take(&pools, |entry| self.is_of(entry)));
        }
    }
}

/// Takes entries out, for the caller to drop when the table is not borrowed.
fn take(pools: &RefCell<Vec<Entry>>, is_gone: impl Fn(&Entry) -> bool) -> Vec<Entry> {
    pools.borrow_mut().extract_if(.., |entry| is_gone(entry)).collect()
}
