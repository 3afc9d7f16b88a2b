//! What fibers share, wait for and send each other.
//!
//! | for | use |
//! |---|---|
//! | data that one at a time changes, and waits while it does | [`Mutex`] |
//! | data that many read and one at a time changes | [`RwLock`] |
//! | waiting until locked data is as you want it | [`Condvar`] |
//! | letting in so many at a time | [`Semaphore`] |
//! | "it has happened, go": start, stop, reload | [`Event`] |
//! | waiting until all have finished | [`WaitGroup`]; for results, [`JoinHandle::join`] |
//! | meeting at a point, all of a round | [`Barrier`] |
//! | making a value once, when it is first wanted | [`OnceCell`]; for a static, [`Lazy`] |
//! | work from many to one | [`mpsc`] |
//! | one answer | [`oneshot`] |
//! | news from one to many | [`broadcast`] |
//! | whichever of several comes first | [`select`] |
//!
//! Within one shard nothing of it is needed for data that no wait interrupts: there `Rc`, `Cell`
//! and `RefCell` do.
//!
//! # What holds for all of them
//!
//! **They work everywhere**: between the fibers of one shard, of several, and plain threads, which
//! block. All are `Send` and `Sync` if what is in them is; share them by `Arc`, or by `Rc` within a
//! shard.
//!
//! **They are fair.** Who waits is served in the order of coming, and a newcomer overtakes nobody.
//!
//! **A wait is a yield point, and may be where a fiber ends**: cancelled or past its deadline, it
//! leaves the line, and what it was handed just then (a lock, a permit, room in a channel, a
//! notification) goes to the next. No message is lost so, and no lock is ever poisoned.
//!
//! **An operation that may wait is a yield point also where it need not**: it lets others run if
//! the fiber has had the thread for its share, as [`checkpoint`] does, and raises there, before it
//! has taken anything. What is named `try_` is not, and neither is what only gives something back.
//!
//! **Who is given up leaves the line, and keeps what it has.** A fiber that swallows its cancels,
//! or outlasts the end of its shard, never runs again: where it waits, its turn goes to the next,
//! but a lock or permit that it holds stays held.
//!
//! **While a fiber unwinds it does not wait.** What its destructors call here succeeds if it need
//! not wait, and otherwise is an error at once: [`Unwinding`], or the type's own. Code that is no
//! destructor never sees that error, so an `unwrap` there is right.
//!
//! # Inside
//!
//! Each type is a small state under a short lock, which is never held while anything waits, wakes
//! or runs the user's code. `line` is who waits, in order, and what becomes of one who unwinds;
//! `gate` is a count with a line, under everything that is acquired; `waiter` is how a fiber or a
//! thread is parked and woken; `watch` is what `select` registers with; `owner` knows who holds a
//! lock.
//!
//! [`JoinHandle::join`]: crate::JoinHandle::join
//! [`checkpoint`]: crate::checkpoint()
//! [`Unwinding`]: crate::Unwinding

mod barrier;
pub mod broadcast;
mod condvar;
mod event;
mod gate;
mod lazy;
mod line;
pub mod mpsc;
mod mutex;
mod once_cell;
pub mod oneshot;
mod owner;
mod rwlock;
mod select;
mod semaphore;
mod wait_group;
pub(crate) mod waiter;
pub(crate) mod watch;

pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use lazy::Lazy;
pub use mutex::{Mutex, MutexGuard};
pub use once_cell::OnceCell;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use select::{Readable, Selectable, Timer, Writable, after, at, select};
pub use semaphore::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError};
pub use wait_group::WaitGroup;
