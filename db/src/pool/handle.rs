//! The handle of a pool, and a connection that was handed out.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use straightline_sched::sync::{after, oneshot, select};

use super::config::PoolConfig;
use super::manager::Manager;
use super::shared::{Lease, Shared};
use super::stats::{Count, PoolStats};
use crate::error::Error;

/// Connections for the fibers of one shard. A clone is cheap, and is the same pool.
///
/// The pool hands out connections in the order of asking, makes new ones up to
/// [`PoolConfig::connections_max`], and replaces those that break. It does not connect before the
/// first use. Each shard makes a pool for itself, of the same configuration: in
/// `ServerBuilder::build_with`, in a `straightline::web::PerShard`, or in a
/// [`shard_local!`](straightline_sched::shard_local!).
///
/// When the last handle is dropped the pool is [closed](Self::close).
///
/// [`Manager`] has an example that runs.
pub struct Pool<M: Manager> {
    shared: Rc<Shared<M>>,
    /// Closes the pool with its last handle. Connections that are handed out hold `shared` alone.
    closer: Rc<Closer<M>>,
}

struct Closer<M: Manager>(Rc<Shared<M>>);

/// A connection of a [`Pool`], which goes back when this is dropped.
///
/// It goes back as its [`Manager`] decides: to the next fiber, after a cleaning, or not at all. A
/// drop never waits.
pub struct Pooled<M: Manager> {
    lease: Lease<M>,
}

impl<M: Manager> Pool<M> {
    /// A pool for the calling shard, without a connection yet. Not a yield point.
    pub fn new(manager: M, config: &PoolConfig) -> Self {
        let shared = Rc::new(Shared::new(manager, config.clone()));
        Self { closer: Rc::new(Closer(Rc::clone(&shared))), shared }
    }

    /// Waits for a connection.
    ///
    /// An idle connection is handed out at once. Otherwise the fiber waits behind those that came
    /// before, until a connection comes back or a new one was made for it.
    ///
    /// # Blocking
    ///
    /// A yield point. It waits for [`PoolConfig::acquire_timeout`] at most.
    ///
    /// # Cancellation
    ///
    /// A fiber that is cancelled or past its deadline leaves the queue. A connection that it was
    /// given just then goes to the next fiber, and a connect that was started for it goes on.
    ///
    /// # Errors
    ///
    /// [`Error::AcquireTimeout`]; [`Error::TooManyWaiting`]; [`Error::Connect`] or
    /// [`Error::ConnectTimeout`] if the connection that was made for this fiber failed, with the
    /// address; [`Error::Closed`]; [`Error::Unwinding`] if it would have to wait in a destructor of
    /// a fiber that unwinds.
    ///
    /// # Panics
    ///
    /// Outside of a fiber, if it has to wait.
    pub fn get(&self) -> Result<Pooled<M>, Error> {
        if let Some(lease) = self.shared.take_idle() {
            return Ok(Pooled { lease });
        }
        let ticket = self.shared.join_queue()?;
        self.shared.connect_for_waiting();
        let waited = self.shared.config.acquire_timeout;
        let timeout = after(waited);
        let mut is_late = false;
        loop {
            match ticket.answer.try_recv() {
                Ok(answer) => return answer.map(|lease| Pooled { lease }),
                Err(oneshot::TryRecvError::Disconnected) => return Err(Error::Closed),
                Err(oneshot::TryRecvError::Empty) if is_late => break,
                Err(oneshot::TryRecvError::Empty) => {}
            }
            is_late = select(&[&ticket.answer, &timeout])? == 1;
        }
        self.shared.counters.add(Count::AcquireTimeouts);
        Err(Error::AcquireTimeout { waited, waiting: self.shared.waiting().saturating_sub(1) })
    }

    /// Closes the idle connections, and lets the fibers that wait fail with [`Error::Closed`].
    /// Connections that are handed out stay usable, and are closed when they come back. Not a yield
    /// point.
    ///
    /// ```
    /// use straightline_db::{Error, Manager, Pool, PoolConfig, Returned};
    ///
    /// struct Numbers;
    ///
    /// impl Manager for Numbers {
    ///     type Connection = u32;
    ///
    ///     fn connect(&self) -> Result<u32, Error> {
    ///         Ok(5)
    ///     }
    ///
    ///     fn address(&self) -> String {
    ///         "here".to_owned()
    ///     }
    ///
    ///     fn is_open(&self, _: &u32) -> bool {
    ///         true
    ///     }
    ///
    ///     fn returned(&self, _: &mut u32) -> Returned {
    ///         Returned::Reuse
    ///     }
    /// }
    ///
    /// straightline_sched::run(|| {
    ///     let pool = Pool::new(Numbers, &PoolConfig::default());
    ///     assert_eq!(*pool.get()?, 5);
    ///     pool.close();
    ///     assert!(matches!(pool.get(), Err(Error::Closed)));
    ///     Ok::<(), Error>(())
    /// })
    /// # .unwrap();
    /// ```
    pub fn close(&self) {
        self.shared.close();
    }

    /// The counters of this pool, that is of this shard. Not a yield point.
    pub fn stats(&self) -> PoolStats {
        self.shared.counters.stats()
    }

    /// What makes the connections. Not a yield point.
    pub fn manager(&self) -> &M {
        &self.shared.manager
    }
}

impl<M: Manager> Pooled<M> {
    /// Closes the connection instead of giving it back, for one whose state is not known any more.
    /// Not a yield point.
    pub fn close(this: Self) {
        this.lease.close();
    }
}

impl<M: Manager> Drop for Closer<M> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<M: Manager> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared), closer: Rc::clone(&self.closer) }
    }
}

impl<M: Manager> Deref for Pooled<M> {
    type Target = M::Connection;

    fn deref(&self) -> &M::Connection {
        self.lease.connection()
    }
}

impl<M: Manager> DerefMut for Pooled<M> {
    fn deref_mut(&mut self) -> &mut M::Connection {
        self.lease.connection_mut()
    }
}

impl<M: Manager> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("address", &self.shared.manager.address())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl<M: Manager> fmt::Debug for Pooled<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").finish_non_exhaustive()
    }
}
