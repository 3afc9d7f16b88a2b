//! A server that listens, and its life until the last shard has ended.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

use straightline_sched::sync::{Selectable, after, mpsc, select};
use straightline_sched::{now, sim, stderr};

use super::guests::{Guest, Guests};
use super::handler::ServiceFactory;
use super::launch::{Launch, Message, Shard};
use super::shutdown_report::ShutdownReport;
use super::signals::SignalThread;
use crate::config::{Address, Phase, Settings};
use crate::control::{Listener, ServerHandle, Shared, Slot};
use crate::systemd::Manager;
use crate::telemetry::record_places;

/// A server whose sockets are open.
///
/// ```
/// use straightline::{Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").workers(1).build(|_: &mut Request| "hi\n")?;
/// let handle = server.handle();
/// handle.shutdown(); // usually from elsewhere, while it runs
/// let ended = server.run()?;
/// assert_eq!((ended.finished, ended.cancelled), (0, 0));
/// # std::io::Result::Ok(())
/// ```
pub struct Server {
    shared: Arc<Shared>,
    factory: Arc<ServiceFactory>,
    /// One group of listeners for each shard.
    shards: Vec<Vec<Listener>>,
    /// Servers that use the shards of this one.
    guests: Vec<Self>,
    _signals: Option<SignalThread>,
    _files: RemoveFiles,
}

/// Removes the socket files however the server ends, even if it never ran.
struct RemoveFiles(Arc<Shared>);

impl Drop for RemoveFiles {
    fn drop(&mut self) {
        self.0.remove_socket_files();
    }
}

impl Server {
    pub(super) fn new(
        shared: Arc<Shared>,
        factory: Arc<ServiceFactory>,
        shards: Vec<Vec<Listener>>,
        signals: Option<SignalThread>,
    ) -> Self {
        let files = RemoveFiles(Arc::clone(&shared));
        Self { shared, factory, shards, guests: Vec::new(), _signals: signals, _files: files }
    }

    /// The addresses on which the server listens, in the order of the binds and with the real
    /// ports.
    pub fn local_addrs(&self) -> &[Address] {
        &self.shared.local
    }

    /// The effective settings: those that the program has chosen, and the defaults. For a line in
    /// the log at the start, or for a page.
    ///
    /// Not a yield point.
    pub fn settings(&self) -> Settings {
        let Shared { config, observers, local, .. } = &*self.shared;
        Settings::of(config, self.shards.len(), local, !observers.prints_faults())
    }

    /// A handle that shuts the server down and reads its numbers.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle::new(&self.shared)
    }

    /// Lets another server use the shards of this one: an admin server, say, with its own handler,
    /// limits, timeouts, capacity, counters and observers, on the threads of the public one.
    ///
    /// The other server's [handle](Self::handle) shuts it down alone. Otherwise it ends with this
    /// server: it serves until the drain of this server is over on all shards, and then drains in
    /// its own drain timeout; so an admin server can be asked meanwhile. A second
    /// [`shutdown`](ServerHandle::shutdown) of this server force-closes both.
    ///
    /// The [report](ShutdownReport) that [`run`](Self::run) returns has the connections and fibers
    /// of this server alone; its `took` includes the drain of the other server. What happened to
    /// the connections of the other server is in the [counters](ServerHandle::counters) of that
    /// server's handle.
    ///
    /// What is a matter of threads comes from this server: `stack_bytes`, `stack_usage`, `driver`,
    /// `logger`, `busy_limit`, `stuck_limit`, `replacements` and `all_stuck`. A handler that keeps
    /// its thread makes the clients of both servers wait until another shard accepts for it. A
    /// panic with [`PanicPolicy::DrainShard`](crate::PanicPolicy::DrainShard) renews both servers'
    /// parts of the thread, if this server has that policy.
    ///
    /// For two servers with threads of their own, call [`run`](Self::run) of each on a thread (the
    /// second example).
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the two servers do not have the same number of
    /// [workers](crate::ServerBuilder::workers).
    ///
    /// ```
    /// use straightline::{Limits, Request, Server};
    ///
    /// let public = Server::builder().bind("127.0.0.1:0").workers(2);
    /// let public = public.build(|_: &mut Request| "hello\n")?;
    /// let observed = public.handle();
    /// let admin = Server::builder().bind("127.0.0.1:0").workers(2);
    /// let admin = admin.limits(Limits::default().with_body_bytes(0)).build(
    ///     move |_: &mut Request| observed.metrics().to_prometheus(),
    /// )?;
    /// let handle = public.handle();
    /// let server = public.also(admin)?;
    /// handle.shutdown(); // usually from elsewhere
    /// server.run()?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// ```
    /// use std::thread;
    /// use straightline::{Request, Server};
    ///
    /// let public = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hello\n")?;
    /// let admin = Server::builder().bind("127.0.0.1:0").workers(1);
    /// let admin = admin.build(|_: &mut Request| "fine\n")?;
    /// let (stop_public, stop_admin) = (public.handle(), admin.handle());
    /// let admin = thread::spawn(|| admin.run());
    /// stop_public.shutdown(); // usually from elsewhere
    /// public.run()?;
    /// stop_admin.shutdown();
    /// admin.join().unwrap()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn also(mut self, mut other: Self) -> io::Result<Self> {
        let (own, others) = (self.shards.len(), other.shards.len());
        if own != others {
            let message = format!("a server with {others} workers cannot share {own} shards");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        self.guests.append(&mut other.guests);
        self.guests.push(other);
        Ok(self)
    }

    /// Serves until a shutdown begins, and then until the requests in flight are answered. Each
    /// shard has a thread of its own, and the calling thread waits. Returns a report of the
    /// shutdown.
    ///
    /// # Blocking
    ///
    /// Blocks the calling thread, which is not a shard's thread. From a fiber it is a yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding, and shuts the server down as
    /// [`ServerHandle::shutdown`] does; its shards then end by themselves.
    ///
    /// # Errors
    ///
    /// If a shard cannot be started: the other shards then shut down. If all shards are stuck and
    /// no further shard may be started, see
    /// [`ServerBuilder::all_stuck`](crate::ServerBuilder::all_stuck). If no listener is left
    /// because all were shut down from outside: the requests in flight are answered first.
    ///
    /// # Panics
    ///
    /// If a shard panics, which handlers cannot cause: it is a bug in this library, or other code
    /// has closed a descriptor of the server. The other shards shut down first.
    pub fn run(self) -> io::Result<ShutdownReport> {
        let Self { shared, factory, shards, guests, _signals, _files } = self;
        record_places(shared.config.prints_panics);
        shared.report_start();
        let (guests, guests_shards, _guests_files) = begin_guests(guests);
        let (launch, messages) = Launch::new(&shared, factory, &guests);
        // Also if the wait below is unwound.
        let servers = guests.iter().map(Guest::shared).chain([&shared]);
        let _shutdown: Vec<_> = servers.map(|shared| ShutdownOnDrop(Arc::clone(shared))).collect();
        let mut running = Vec::with_capacity(shards.len());
        let (slots, keeps_copies) = (shared.shards.all(), shared.config.keeps_copies());
        // All slots get their listeners first: otherwise, if a listener of the first shard failed
        // at once, it would count as the server's last listener.
        let given = slots.iter().zip(shards);
        let given = given.map(|(slot, own)| slot.give(own, keeps_copies));
        let given: io::Result<()> = given.collect();
        let mut result = given.and_then(|()| guests.give(&slots, guests_shards));
        if result.is_ok() {
            result = start_all(&shared, &launch, &slots, &mut running);
        }
        if result.is_err() {
            shared.advance(Phase::ForceClosing);
        }
        let mut panic = None;
        while !running.is_empty() && !has_waited_enough(&shared, &guests, running.len()) {
            guests.end_after(&shared);
            if shared.phase() > Phase::Serving {
                // The shutdown ends in time by itself, also if all threads are stuck.
                shared.tell_manager(Manager::beat);
            }
            let (slot, ended) = match next(&shared, &mut running, &messages)? {
                Next::Ended(slot, ended) => (slot, ended),
                Next::Started(slot, handle) => {
                    running.push((slot, handle));
                    continue;
                }
                Next::AllStuck => {
                    result = Err(io::Error::other(ALL_STUCK));
                    shared.advance(Phase::ForceClosing);
                    continue;
                }
                Next::Nothing => continue,
            };
            match ended.join() {
                Ok(ended) => result = result.and(ended.and_then(|served| served)),
                Err(payload) => panic = Some(payload),
            }
            shared.shards.forget(&slot);
            // When a shard ends, the server shuts down, unless the shard was retired.
            let is_retired = slot.is_retired();
            if !is_retired || panic.is_some() || result.is_err() {
                shared.shutdown_if_serving();
            }
        }
        let stuck = running.len() as u64;
        let servers: Vec<_> = guests.iter().map(Guest::shared).chain([&shared]).collect();
        finish(&servers);
        match panic {
            Some(payload) => std::panic::resume_unwind(payload),
            None => match shared.take_failure() {
                Some(failure) => result.and(Err(failure)),
                None => result.map(|()| ShutdownReport::of(&shared, stuck)),
            },
        }
    }
}

/// Starts the shards of these slots, until one cannot be started.
fn start_all(
    shared: &Shared,
    launch: &Arc<Launch>,
    slots: &[Arc<Slot>],
    running: &mut Vec<(Arc<Slot>, Shard)>,
) -> io::Result<()> {
    shared.set_starting(true);
    let result = slots.iter().try_for_each(|slot| {
        running.push((Arc::clone(slot), launch.start(slot)?));
        Ok(())
    });
    shared.set_starting(false);
    result
}

/// The shards of these servers have ended, or will not end any more.
fn finish(servers: &[&Arc<Shared>]) {
    // Nothing else closes the connections of stuck shards and of fibers that were abandoned.
    for slot in servers.iter().flat_map(|shared| shared.shards.all()) {
        slot.streams.shut_down();
    }
    with_heart(servers, || {
        for shared in servers {
            shared.tell_manager(Manager::finish);
            if let Some(log) = &shared.access_log {
                log.finish();
            }
        }
        if !sim::is_simulated() {
            // Output that is not written by then is lost if the program exits now.
            stderr().flush_within(FLUSH_TIME);
        }
    });
}

/// Calls `wait`, which blocks its thread for a bounded time. A watchdog that expects messages gets
/// them meanwhile.
fn with_heart(servers: &[&Arc<Shared>], wait: impl Fn() + Sync) {
    let beats = |shared: &Shared| shared.config.manager.as_ref()?.beat_interval();
    if !servers.iter().any(|shared| beats(shared).is_some()) {
        return wait();
    }
    let (ended, end) = std::sync::mpsc::channel::<Infallible>();
    let waits = &wait;
    let has_ended = thread::scope(|scope| {
        let work = move || {
            let _ended = ended;
            waits();
        };
        let thread = thread::Builder::new().name("straightline-finish".into());
        let is_started = thread.spawn_scoped(scope, work).is_ok();
        while is_started && end.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            servers.iter().for_each(|shared| shared.tell_manager(Manager::beat));
        }
        is_started
    });
    if !has_ended {
        wait(); // no thread is left
    }
}

/// What keeps the sockets' files and the signals of a server.
type Keep = (Option<SignalThread>, RemoveFiles);

/// The guests begin: the guests, their listeners for each shard, and what they keep until the end.
fn begin_guests(guests: Vec<Server>) -> (Arc<Guests>, Vec<Vec<Vec<Listener>>>, Vec<Keep>) {
    let (mut all, mut shards, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for guest in guests {
        let Server { shared, factory, shards: own, guests: _, _signals: signals, _files: files } =
            guest;
        shared.report_start();
        all.push(Guest::new(shared, factory));
        shards.push(own);
        kept.push((signals, files));
    }
    (Guests::new(all), shards, kept)
}

/// What `Server::run` does next.
enum Next {
    Ended(Arc<Slot>, Shard),
    Started(Arc<Slot>, Shard),
    AllStuck,
    /// It is time to check again.
    Nothing,
}

/// Waits for a shard to end, or for something else to happen.
fn next(
    shared: &Shared,
    running: &mut Vec<(Arc<Slot>, Shard)>,
    messages: &mpsc::Receiver<Message>,
) -> io::Result<Next> {
    // Only during a shutdown does the time matter.
    let pause = match shared.phase() {
        Phase::Serving => Duration::MAX,
        _ => LOOK_EVERY,
    };
    let pause = after(pause);
    let mut awaited: Vec<_> = running.iter().map(|(_, handle)| handle as &dyn Selectable).collect();
    let count = awaited.len();
    awaited.push(messages);
    awaited.push(&pause);
    let draining = shared.draining();
    if shared.phase() < Phase::Draining {
        awaited.push(&draining);
    }
    let index = select(&awaited)?;
    Ok(match messages.try_recv() {
        // Messages first: the `Started` message of the shard that has ended may still be unread.
        Ok(Message::Started(slot, handle)) => Next::Started(slot, handle),
        Ok(Message::AllStuck) => Next::AllStuck,
        Err(_) if index < count => {
            let (slot, handle) = running.swap_remove(index);
            Next::Ended(slot, handle)
        }
        Err(_) => Next::Nothing,
    })
}

/// Whether the remaining shards will not end any more.
fn has_waited_enough(shared: &Shared, guests: &Guests, running: usize) -> bool {
    let Some(since) = shared.shutdown_since() else { return false };
    if shared.phase() >= Phase::Draining && shared.shards.stuck() >= running {
        return true; // their clients were disconnected long ago
    }
    let waited = now().saturating_duration_since(since);
    let config = &shared.config;
    let drained = match shared.phase() {
        Phase::Serving => return false,
        Phase::Unready | Phase::Draining => config.ready_delay.saturating_add(config.drain_timeout),
        Phase::ForceClosing => Duration::ZERO,
    };
    let own = drained.saturating_add(FORCE_CLOSE_TIME);
    // The guests drain afterwards, all at the same time.
    let drains = guests.iter().map(|guest| match shared.phase() {
        Phase::ForceClosing => FORCE_CLOSE_TIME,
        _ => guest.shared().config.drain_timeout.saturating_add(FORCE_CLOSE_TIME),
    });
    waited >= own.saturating_add(drains.max().unwrap_or_default())
}

/// The error that `Server::run` returns if all shards are stuck.
const ALL_STUCK: &str = "every shard is stuck, and no other may start";

/// How often a shutdown checks the time. Arbitrary: shorter than a user notices.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long shards may take to force-close their connections: a section that must not be cancelled
/// has ten seconds.
const FORCE_CLOSE_TIME: Duration = Duration::from_secs(12);

/// How long a shutdown may take to print the remaining output. Arbitrary.
const FLUSH_TIME: Duration = Duration::from_secs(1);

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("local_addrs", &self.shared.local)
            .field("workers", &self.shards.len())
            .finish_non_exhaustive()
    }
}

/// Shuts the shards down however `Server::run` is left.
struct ShutdownOnDrop(Arc<Shared>);

impl Drop for ShutdownOnDrop {
    fn drop(&mut self) {
        self.0.shutdown_if_serving();
    }
}
