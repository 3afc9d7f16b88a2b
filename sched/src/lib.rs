//! The fiber scheduler of straightline.
//!
//! A *fiber* is a stackful coroutine that looks like a thread to the code that it runs. Where a
//! thread would block, the fiber gives its thread to the next fiber. It continues when the event
//! that it waits for has happened. A *shard* is the scheduler of one thread, and fibers never leave
//! their shard. So [`spawn`] needs neither `Send` nor `Arc`, and `Rc` and `Cell` work as usual.
//! Thread-locals work too, with one exception: *never wait inside a closure that ties state to the
//! thread*, see [below](#state-that-is-tied-to-the-thread).
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
//! });
//! ```
//!
//! **Scopes** end after their fibers, so the fibers may borrow: [`scope`], [`try_scope`].
//! **Deadlines** unwind work that takes too long, with its waits and its child fibers:
//! [`deadline`].
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
//! # });
//! ```
//!
//! **Channels and locks**, for fibers and plain threads alike, are in [`sync`];
//! [`select`](sync::select) waits for the first of several events.
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
//! # });
//! ```
//!
//! **Blocking calls and futures.** [`offload`] runs a call that would block the thread on a pool of
//! threads; [`block_on`] waits for a future. [`fs`] and [`process`] have std's files and child
//! processes, so that these do not block the thread either.
//!
//! ```
//! # use straightline_sched as sched;
//! # sched::run(|| {
//! let is_package = sched::offload(|| std::path::Path::new("Cargo.toml").exists())?;
//! let text = sched::block_on(async move { if is_package { "a package" } else { "a folder" } });
//! assert_eq!(text, Ok("a package"));
//! # std::io::Result::Ok(())
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! **Inspection.** [`inspect`] lists the fibers, and [`inspect_with_backtraces`] shows where each
//! one waits; [`stats`] has the counters; [`stack_usage`] shows how much stack fibers use. The
//! [`Reporter`] is told about fibers that misbehave or keep their thread for too long.
//!
//! ```
//! # use straightline_sched as sched;
//! # sched::run(|| {
//! sched::FiberBuilder::new().name("idler").spawn(sched::park)?;
//! sched::yield_now();
//! for fiber in sched::inspect() {
//!     println!("{fiber}"); // fiber `idler` (spawned at ...): waiting for 0.0 s: unpark
//! }
//! assert_eq!(sched::stats().fibers, 2); // `idler` and this fiber
//! # std::io::Result::Ok(())
//! # })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! Beyond the tour: [`uncancellable`] for a commit, [`fiber_local!`] for data of one request,
//! [`shard_local!`] for data that all requests of a thread share, [`spawn_stackless`] for fibers
//! that hold no stack while they rest, [`Source`] to wait for a descriptor, [`ShardHandle`] to
//! reach a shard from another thread, [`on_switch`] for libraries whose context has to follow the
//! fiber. With the feature `tracing`, spans of that crate do (the module `tracing`). A library that
//! asks for `Send` and `Sync` gets a [`ShardBound`].
//!
//! # Yield points
//!
//! A fiber runs until it waits: no other fiber interrupts it. So data needs no lock if there is no
//! yield point while it is inconsistent. The documentation of each call that may wait says under
//! *Blocking* when it does. A fiber that computes keeps its thread until it waits; a [`checkpoint`]
//! in its loop lets other fibers run.
//!
//! # State that is tied to the thread
//!
//! Some code ties state to its thread while a closure runs, and assumes that no other code of the
//! thread runs until the closure returns. If a fiber waits inside the closure, other fibers run. No
//! library can prevent that, and the consequences can be memory errors:
//!
//! - If the initialiser of a lazy `thread_local!` waits (for example, it connects), the next fiber
//!   runs it again, and the first value is dropped while the first fiber uses it.
//! - If the initialiser of a `LazyLock`, `OnceLock` or `Once` waits, the next fiber that needs the
//!   value blocks its thread; if that is the same thread, it blocks for ever.
//! - Values that are set while a closure runs (`scoped_tls`, `slog_scope::scope`) are restored in
//!   the wrong order.
//!
//! For a value that the fibers of a thread share, and whose initialiser waits, take a
//! [`shard_local!`]. For one that the whole process shares, take a [`sync::Lazy`]. For a value that
//! holds while a closure runs, take a [`fiber_local!`]. A `thread_local!` is sound if it contains
//! our [`sync::OnceCell`], whose initialiser may wait:
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
//! # });
//! ```
//!
//! [`Config::tripwire`], or `STRAIGHTLINE_TRIPWIRE=1` in the environment, finds such waits and
//! reports them by name; [`sim::check`] fails if it finds one.
//!
//! # Ending a fiber
//!
//! A fiber that is cancelled ([`JoinHandle::cancel`], the end of its scope or of [`run`]), or whose
//! [`deadline`] has passed, unwinds from the yield point at which it waits, or from its next one.
//! Its destructors run, and nothing is printed. The documentation of each call says under
//! *Cancellation* what the unwind leaves behind.
//!
//! - A fiber that unwinds does not wait: blocking calls in its destructors return at once.
//! - `catch_unwind` catches a cancellation too: resume the unwind if [`is_cancel`] returns true. A
//!   fiber that swallows it again and again is *abandoned*: it never runs again, it is counted and
//!   reported, and what it has borrowed stays borrowed. So the fiber that opened its scope is given
//!   up too, and its thread never ends; see [`JoinError::is_abandoned`] and [`run`].
//! - Unwinding needs `panic = "unwind"`, the default.
//!
//! Before you run existing code on fibers, read [`guide::hazards`]. [`guide::soundness`] says what
//! safe code can rely on, and why. [`guide::drivers`] says what each driver costs.
//!
//! # What runs where
//!
//! - **On the shard's thread**: its fibers, one at a time, in the order in which they became ready.
//!   All other closures that this crate takes run there too, except for the two cases below.
//! - **On threads of a pool**: the jobs of [`offload`] and of [`fs`], on separate pools. The
//!   threads start when there is a job, and end after they have been idle for a while.
//! - **On one thread of the process** (`straightline-watch`): the watchdog, and its calls of the
//!   [`Reporter`]. It looks for fibers that keep their thread and for shards that do not poll for
//!   events. It reports nothing if the limits in [`Config`] are `None`.
//!
//! To use more cores, use more shards: start a thread for each, and call [`run`] on it. Shards
//! share nothing. [`ShardHandle::spawn`], [`Fiber::unpark`] and all of [`sync`] work across shards.

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

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!(
    "straightline is tested on x86-64 and compiled for AArch64. For another architecture see what \
     `corosensei` supports, run the tests with each driver, and add the architecture here"
);

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "straightline needs 64-bit pointers: an event's key is one, and stacks need the address space"
);

mod block_on;
mod core;
mod driver;
mod fiber;
pub mod fs;
pub mod guide;
pub mod hub;
#[cfg(feature = "slog")]
mod log;
mod offload;
mod primitives;
pub mod process;
mod queued_writer;
mod shard_bound;
mod shard_local;
mod shard_thread;
mod signal_mask;
pub mod sim;
pub mod sync;
#[cfg(feature = "tracing")]
pub mod tracing;
mod watchdog;
mod with_fields;

pub use crate::block_on::block_on;
pub use crate::core::{
    BeforePark, Config, DeadlineExceeded, Fiber, FiberBuilder, FiberInfo, FiberLocal, FiberState,
    JoinError, JoinHandle, Lease, OnSwitch, Report, Reporter, Scope, ShardHandle, Source,
    SpawnError, StatKind, Stats, ThreadBoundWait, TryScope, Unwinding, before_park, checkpoint,
    current, deadline, driver_kind, inspect, inspect_with_backtraces, note_unwound_write, now,
    on_switch, park, park_timeout, poll_checkpoint, random_u64, remaining, run, run_with, scope,
    set_label, sleep, spawn, spawn_stackless, stack_usage, stats, system_time, try_current,
    try_scope, turn_start, uncancellable, wait_for_armed, wake_at, wake_later, with_own_locals,
    yield_now,
};
#[doc(hidden)]
pub use crate::core::{ShardTime, with_own_locals_or_end};
pub use crate::driver::{DriverKind, Interest, Watch, Watched};
pub use crate::fiber::backtrace::Backtrace;
pub use crate::fiber::stack_usage::StackUsage;
pub use crate::fiber::unwind::is_cancel;
pub use crate::fiber::{Abandoned, Label, SwitchHook};
#[cfg(feature = "slog")]
pub use crate::log::{logger, set_thread_logger, with_logger};
pub use crate::offload::{OffloadConfig, OffloadError, OffloadPool, OffloadStats, offload};
pub use crate::queued_writer::{QueuedWriter, stderr};
pub use crate::shard_bound::{ShardBound, WrongShard};
pub use crate::shard_local::ShardLocal;
pub use crate::shard_thread::{ShardJoinHandle, spawn_shard};
pub use crate::signal_mask::unblock_signals;
pub use crate::watchdog::{Stall, StallCause};
