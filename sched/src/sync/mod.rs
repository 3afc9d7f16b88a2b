//! What fibers share, wait for and send each other.
//!
//! | for | use |
//! |---|---|
//! | data that one fiber at a time changes, with waits in between | [`Mutex`] |
//! | data that many fibers read and one at a time changes | [`RwLock`] |
//! | waiting until locked data fulfils a condition | [`Condvar`] |
//! | a limit on how many do something at the same time | [`Semaphore`] |
//! | a signal to all: start, stop, reload | [`Flag`] |
//! | waiting until all have finished | [`WaitGroup`]; for results, [`JoinHandle::join`] |
//! | a point where all members of a round meet | [`Barrier`] |
//! | a value that is made once, at its first use | [`OnceCell`]; for a static, [`Lazy`] |
//! | work from many senders to one receiver | [`mpsc`] |
//! | one answer | [`oneshot`] |
//! | messages from one to many | [`broadcast`] |
//! | the same for many receivers on many shards, and for late ones | [`hub`](crate::hub) |
//! | waiting for the first of several | [`select`]; for a future among them, [`Polled`] |
//! | the same for a fiber that rests | [`WakeOn`] |
//!
//! Within one shard, data that is not changed across a wait needs none of these: `Rc`, `Cell` and
//! `RefCell` are enough.
//!
//! # What holds for all of them
//!
//! **They work everywhere**: between the fibers of one shard, between those of several shards, and
//! with plain threads, which block. All are `Send` and `Sync` if their data is; share them by
//! `Arc`, or by `Rc` within a shard.
//!
//! **They are fair.** Waiters are served in the order in which they came, and a later caller
//! overtakes none of them.
//!
//! **A wait is a yield point, and a fiber may end there.** A fiber that is cancelled or past its
//! deadline leaves the queue. What it was granted just then (a lock, a permit, room in a channel, a
//! notification) goes to the next waiter. So no message is lost, and no lock is ever poisoned.
//!
//! **An operation that may wait is a yield point also where it need not wait**: it lets other
//! fibers run if the fiber has used up its share of the thread, as [`checkpoint`] does. It raises
//! there, before it has taken anything. Calls named `try_…`, and calls that only give something
//! back, are no yield points.
//!
//! **A fiber that is abandoned leaves the queue, and keeps what it holds.** A fiber that swallows
//! its cancels, or outlasts the end of its shard, never runs again. Where it waits, its turn goes
//! to the next waiter, but a lock or permit that it holds stays held.
//!
//! **A fiber that unwinds does not wait.** What its destructors call here succeeds if it need not
//! wait, and otherwise returns an error at once: [`Unwinding`], or an error of the type's own. Code
//! outside of destructors never gets that error, so `unwrap` is right there.
//!
//! # Inside
//!
//! Each type is a small state under a short lock. No code waits, wakes or runs the user's code
//! under that lock. `wait_queue` has the waiters in their order, and says what becomes of a waiter
//! that unwinds; `raw_semaphore` is a count with such a queue, under everything that is acquired;
//! `waiter` parks and wakes a fiber or a thread; `watch` is what `select` registers with; `owner`
//! names the fiber that holds a lock.
//!
//! [`JoinHandle::join`]: crate::JoinHandle::join
//! [`checkpoint`]: crate::checkpoint()
//! [`Unwinding`]: crate::Unwinding

mod barrier;
pub mod broadcast;
mod condvar;
mod flag;
mod lazy;
pub mod mpsc;
mod mutex;
mod once_cell;
pub mod oneshot;
mod owner;
mod polled;
mod raw_semaphore;
mod ready;
mod rwlock;
mod select;
mod semaphore;
mod wait_group;
mod wait_queue;
pub(crate) mod waiter;
mod wake_on;
pub(crate) mod watch;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use flag::{Flag, FlagReader};
pub use lazy::Lazy;
pub use mutex::{Mutex, MutexGuard};
pub use once_cell::OnceCell;
pub use polled::Polled;
pub use ready::Ready;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use select::{Selectable, Timer, after, at, select};
pub use semaphore::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};
pub use wait_group::WaitGroup;
pub use wake_on::WakeOn;
