//! The fiber of each shard that looks after its pool: it closes connections that are idle for too
//! long or that their upstreams have closed. On one of the shards it also checks the health of the
//! upstreams.
//!
//! It is a background fiber of the server, which begins with a request and ends when there is
//! nothing to look after, or when the shard drains. Then the pool is closed.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use straightline_sched as sched;
use straightline_sched::sync::{FlagReader, after, select};

use super::health;
use super::pool::Pool;
use super::settings::HealthCheck;
use super::shared::Shared;
use crate::message::Request;

/// Starts the fiber, if it does not run.
///
/// Not a yield point.
pub(super) fn ensure(shared: &Arc<Shared>, pool: &Rc<Pool>, request: &Request) {
    // A request that a test has made is not of a shard that has background fibers.
    if request.link().is_detached() || !pool.keep() {
        return;
    }
    let checks = Cell::new(false);
    let watch = Watch { shared: Arc::clone(shared), pool: Rc::clone(pool), checks };
    let draining = request.draining();
    // If there is no stack, the next request tries again.
    let _ = request.server().spawn(move || watch.run(&draining));
}

struct Watch {
    shared: Arc<Shared>,
    pool: Rc<Pool>,
    /// This shard checks the upstreams.
    checks: Cell<bool>,
}

impl Watch {
    fn run(self, draining: &FlagReader) {
        let (shared, pool) = (&*self.shared, &*self.pool);
        let every = shared.timeouts.idle.clamp(SWEEP_TIME_MIN, SWEEP_TIME_MAX);
        sched::scope(|scope| {
            loop {
                if let Some(check) = self.begin_checks() {
                    for index in 0..shared.upstreams.all().len() {
                        scope.spawn(move || health::watch(shared, check, index));
                    }
                }
                if select(&[draining, &after(every)]) != Ok(1) {
                    pool.close();
                    return scope.cancel();
                }
                if pool.sweep() == 0 && shared.health.is_none() {
                    return;
                }
            }
        });
    }

    /// The checks, if they are this shard's from now on.
    fn begin_checks(&self) -> Option<&HealthCheck> {
        let check = self.shared.health.as_ref()?;
        let begins = !self.checks.get() && !self.shared.is_checked.swap(true, Ordering::Relaxed);
        begins.then(|| {
            self.checks.set(true);
            check
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.checks.get() {
            self.shared.is_checked.store(false, Ordering::Relaxed);
        }
        self.pool.leave();
    }
}

/// How often a pool is swept, so how long the descriptor of a connection is kept that its upstream
/// has closed. Arbitrary: a sweep costs a system call for each idle connection.
const SWEEP_TIME_MAX: Duration = Duration::from_secs(1);

/// At the most often, however short the idle time is.
const SWEEP_TIME_MIN: Duration = Duration::from_millis(10);
