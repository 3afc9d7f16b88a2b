//! The fiber scheduler of straightline.
//!
//! A *fiber* is a stackful coroutine that looks like a thread to the code it runs. Where it would
//! block, it gives its thread to the next one, and it comes back when what it waits for has
//! happened. A *shard* is one thread's scheduler, and fibers never leave theirs: so [`spawn`] needs
//! neither `Send` nor `Arc`, and `Rc` and `Cell` do what they always do. So do thread-locals, with
//! one exception: *never wait inside of a closure that ties state to the thread*, see
//! [below](#state-that-is-tied-to-the-thread).
//!
//! # A tour
//!
//! **Spawn and join.** [`run`] makes the calling thread a shard until its closure returns.
//!
//! ```
//! use std::time::Duration;
//! use straightline_sched as sched;
//!
//! sched::run(|| {
//!     let slow = sched::spawn(|| {
//!         sched::sleep(Duration::from_millis(1)); // others run meanwhile
//!         "slow"
//!     });
//!     let fast = sched::spawn(|| "fast");
//!     assert_eq!((fast.join().unwrap(), slow.join().unwrap()), ("fast", "slow"));
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! **Scopes** end with their fibers, which therefore may borrow: [`scope`], [`try_scope`].
//! **Deadlines** unwind what takes too long, waits and children included: [`deadline`].
//!
//! ```
//! # use std::time::Duration;
//! # use straightline_sched as sched;
//! # sched::run(|| {
//! let names = ["ann", "bob"];
//! let mut lengths = [0; 2];
//! sched::scope(|s| {
//!     for (name, length) in names.iter().zip(&mut lengths) {
//!         s.spawn(|| *length = name.len());
//!     }
//! });
//! assert_eq!(lengths, [3, 3]);
//!
//! let late = sched::deadline(Duration::from_millis(5), || {
//!     sched::scope(|s| s.spawn(|| sched::sleep(Duration::MAX)).join().unwrap());
//! });
//! assert_eq!(late, Err(sched::DeadlineExceeded)); // and the child has ended
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! **Channels and locks**, for fibers and plain threads alike, are in [`sync`];
//! [`select`](sync::select) waits for whichever of several things comes first.
//!
//! ```
//! # use std::time::Duration;
//! # use straightline_sched as sched;
//! use straightline_sched::sync::{after, mpsc, select};
//!
//! # sched::run(|| {
//! let (sender, answers) = mpsc::channel(8);
//! sched::spawn(move || sender.send(42));
//! match select(&[&answers, &after(Duration::from_secs(10))]).unwrap() {
//!     0 => assert_eq!(answers.try_recv(), Ok(42)),
//!     _ => println!("no answer"),
//! }
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! **What blocks, and what is asynchronous.** [`offload`] takes a call that would block the thread
//! to a pool; [`block_on`] waits for a future.
//!
//! ```
//! # use straightline_sched as sched;
//! # sched::run(|| {
//! let manifest = sched::offload(|| std::fs::read_to_string("Cargo.toml"))??;
//! let bytes = sched::block_on(async { manifest.len() }).unwrap();
//! assert_eq!(bytes, manifest.len());
//! # std::io::Result::Ok(())
//! # })??;
//! # std::io::Result::Ok(())
//! ```
//!
//! **Looking inside.** [`inspect`] lists the fibers, and [`inspect_with_backtraces`] says where
//! they stand; [`stats`] counts; [`stack_census`] tells what stacks are used. Fibers that
//! misbehave, and those that keep their thread for too long, are told to the [`Reporter`].
//!
//! ```
//! # use straightline_sched as sched;
//! # sched::run(|| {
//! sched::Builder::new().name("idler").spawn(sched::park)?;
//! sched::yield_now();
//! for fiber in sched::inspect() {
//!     println!("{fiber}"); // fiber `idler` (spawned at ...): waiting for 0.0 s: unpark
//! }
//! assert_eq!(sched::stats().fibers_now, 2); // this one is the other
//! # std::io::Result::Ok(())
//! # })??;
//! # std::io::Result::Ok(())
//! ```
//!
//! Beyond the tour: [`uncancellable`] for a commit, [`fiber_local!`] for what belongs to one
//! request, [`shard_local!`] for what all requests of a thread share, [`spawn_episodes`] for fibers
//! that hold no stack while they rest, [`Source`] to wait for a descriptor, [`Handle`] to reach a
//! shard from another thread.
//!
//! # Yield points
//!
//! A fiber runs until it waits: nothing interrupts it. So data that no yield point interrupts needs
//! no lock. Each call that may wait says under *Blocking* when it does. A fiber that computes for
//! long keeps its thread for as long; [`checkpoint`] in such a loop lets the others in.
//!
//! # State that is tied to the thread
//!
//! Some code ties state to its thread for as long as a closure runs, and takes for granted that
//! nothing else of the thread runs meanwhile. A fiber that waits inside of the closure lets others
//! run; no library can prevent that. What comes of it goes as far as memory errors:
//!
//! - the initialiser of a lazy `thread_local!` that waits (it connects, say) is run again by the
//!   next fiber, and the first value is dropped while the first fiber uses it;
//! - a `LazyLock`, `OnceLock` or `Once` whose initialiser waits blocks the thread of the next fiber
//!   that wants it, for ever if that is the same thread;
//! - what is set for the time of a closure (`scoped_tls`, `slog_scope::scope`) ends out of order.
//!
//! What a thread's fibers share and has to wait when it is made is a [`shard_local!`], what the
//! whole process shares a [`sync::Lazy`], and what holds for the time of a closure a
//! [`fiber_local!`]. A `thread_local!` is sound around our [`sync::OnceCell`], which may wait:
//!
//! ```
//! use std::rc::Rc;
//! use straightline_sched::{self as sched, sync::OnceCell};
//!
//! # struct Client;
//! # impl Client { fn connect() -> Self { sched::yield_now(); Self } }
//! thread_local! {
//!     static CLIENT: OnceCell<Rc<Client>> = const { OnceCell::new() };
//! }
//!
//! fn client() -> Rc<Client> {
//!     let made = CLIENT.with(|cell| cell.get_or_init(|| Rc::new(Client::connect())).cloned());
//!     made.expect("only a destructor may not wait")
//! }
//! # sched::run(|| {
//! #     let clients = [(); 3].map(|()| sched::spawn(client)).map(|fiber| fiber.join().unwrap());
//! #     assert!(clients.iter().all(|client| Rc::ptr_eq(client, &clients[0])));
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! [`Config::tripwire`], or `STRAIGHTLINE_TRIPWIRE=1` in the environment, finds such waits and
//! reports them by name; [`sim::check`] fails by them.
//!
//! # Ending a fiber
//!
//! A fiber that is cancelled ([`JoinHandle::cancel`], the end of its scope or of [`run`]), or past
//! its [`deadline`], unwinds from the yield point that it waits at or comes to next. Its
//! destructors run, and nothing is printed. What that leaves behind each call says under
//! *Cancellation*.
//!
//! - While a fiber unwinds it does not wait: blocking calls in its destructors return at once.
//! - `catch_unwind` catches it as well: pass it on if [`is_cancel`] says so. A fiber that
//!   swallows it again and again is *given up*: it never runs again, which is counted and
//!   reported, and what it has borrowed stays borrowed. So the fiber of its scope is given up
//!   too, and its thread never ends; see [`JoinError::is_given_up`] and [`run`].
//! - It needs `panic = "unwind"`, the default.
//!
//! The rest of what to know before putting old code onto fibers is in `docs/hazards.md` of the
//! repository; what safe code can rely on, and why, in `docs/soundness.md`.
//!
//! # What runs where
//!
//! - **On the shard's thread**: its fibers, one at a time, in the order in which they became ready.
//!   Everything else in this crate that takes a closure runs it there too, except for what follows.
//! - **On threads of a pool**: the jobs of [`offload`]. They start when there is something to do,
//!   and end when they were idle for a while.
//! - **On one thread of the process** (`straightline-watch`): the watch over fibers that do not
//!   give way and shards that do not ask what is new, and the [`Reporter`]'s calls about them.
//!   `Config::stall_limit: None` does without.
//!
//! More cores are more shards: start a thread for each, and call [`run`] on it. They share nothing.
//! [`Handle::spawn`], [`Fiber::unpark`] and all of [`sync`] work across them.

// What each part does on a system is written down for these, and was at least compiled for them. No
// other system gets the ways of its neighbours by accident.
#[cfg(not(any(
    all(target_os = "linux", any(target_env = "gnu", target_env = "musl")),
    target_os = "macos",
    target_os = "freebsd"
)))]
compile_error!(
    "straightline knows Linux (glibc, musl), macOS and FreeBSD. For another system say in each \
     `cfg(target_os)` of the crates `straightline-sched` and `straightline-net` what it has: the \
     driver, the clock, guards, what keeps a thread, signals, socket options"
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "straightline needs 64-bit pointers: an event's key is one, and stacks need the address space"
);

mod block_on;
mod core;
mod driver;
mod fiber;
#[cfg(feature = "slog")]
mod log;
mod offload;
mod primitives;
mod queued_writer;
mod shard_thread;
mod signal_mask;
pub mod sim;
pub mod sync;
mod watch;

pub use crate::block_on::block_on;
pub use crate::core::{
    BeforePark, Builder, Config, DeadlineExceeded, Fiber, FiberInfo, FiberLocal, FiberState,
    Handle, JoinError, JoinHandle, Lease, Report, Reporter, Scope, ShardLocal, Source, SpawnError,
    Stats, ThreadBoundWait, TryScope, Unwinding, before_park, checkpoint, clock, current, deadline,
    driver_kind, inspect, inspect_with_backtraces, note_unwound_write, now, park, park_timeout,
    poll_checkpoint, random_u64, remaining, run, run_with, scope, set_label, sleep, spawn,
    spawn_episodes, stack_census, stats, system_time, try_scope, uncancellable, wait_for_armed,
    wake_later, with_own_locals, yield_now,
};
pub use crate::driver::{DriverKind, Interest, Watch, Watched};
pub use crate::fiber::backtrace::Backtrace;
pub use crate::fiber::census::StackUse;
pub use crate::fiber::unwind::is_cancel;
pub use crate::fiber::{GivenUp, Label};
#[cfg(feature = "slog")]
pub use crate::log::{logger, set_thread_logger, with_logger};
pub use crate::offload::{OffloadConfig, OffloadError, OffloadPool, OffloadStats, offload};
pub use crate::queued_writer::{QueuedWriter, stderr};
pub use crate::shard_thread::{ShardHandle, spawn_shard};
pub use crate::signal_mask::unblock_signals;
pub use crate::watch::{Stall, StallCause};
