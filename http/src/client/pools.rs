//! The pools of a shard: one for each client that made a call there.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Weak};

use straightline_sched::shard_local;

use super::client_limits::ClientLimits;
use super::pool::Pool;

/// Finds the pool of a client on each shard. The pools of a client that is gone are dropped by the
/// next call of another client on their shard, or with the shard.
pub(super) struct PoolKey {
    limits: Arc<ClientLimits>,
}

shard_local! {
    static POOLS: RefCell<Vec<(Weak<ClientLimits>, Rc<Pool>)>> = RefCell::default();
}

impl PoolKey {
    pub(super) fn new(limits: ClientLimits) -> Self {
        Self { limits: Arc::new(limits) }
    }

    /// The pool of the calling fiber's shard. Not a yield point.
    pub(super) fn of_shard(&self) -> io::Result<Rc<Pool>> {
        let pools = POOLS.get()?;
        let mut pools = pools.borrow_mut();
        let is_of_this = |(limits, _): &&(Weak<ClientLimits>, _)| {
            std::ptr::eq(limits.as_ptr(), Arc::as_ptr(&self.limits))
        };
        if let Some((_, pool)) = pools.iter().find(is_of_this) {
            return Ok(Rc::clone(pool));
        }
        pools.retain(|(limits, _)| limits.strong_count() > 0);
        let pool = Rc::new(Pool::new(*self.limits));
        pools.push((Arc::downgrade(&self.limits), Rc::clone(&pool)));
        Ok(pool)
    }
}
