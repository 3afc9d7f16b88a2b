//! From a description to bound sockets.

use std::fmt;
use std::io::{self, Write};
use std::mem;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use slog::Logger;
use straightline_net::{Keepalive, ListenOptions};
use straightline_sched::{DriverKind, is_cancel, stderr};

use super::accept::{Listener, open_all};
use super::access_log::AccessLog;
use super::address::{Address, IntoAddress};
use super::capacity::Capacity;
use super::descriptors::{self, Descriptors};
use super::events::{Event, Hooks};
use super::log::LogHooks;
use super::running::Server;
use super::shared::Shared;
use super::signals::{Handled, SignalThread};
use super::timeouts::Timeouts;
use crate::proto::Limits;
use crate::request::Request;
use crate::response::IntoResponse;
use crate::telemetry::AccessLogFormat;

/// A server in the making; got from [`Server::builder`].
///
/// ```
/// use std::time::Duration;
/// use straightline::{Limits, Request, Server};
///
/// let server = Server::builder()
///     .bind("127.0.0.1:0")
///     .workers(2)
///     .limits(Limits { body_bytes: 1024, ..Limits::default() })
///     .drain_timeout(Duration::from_secs(5))
///     .build(|request: &mut Request| format!("you asked for {}\n", request.path()))?;
/// println!("listening on http://{}", server.local_addrs()[0]);
/// # std::io::Result::Ok(())
/// ```
pub struct Builder {
    addresses: Vec<io::Result<Address>>,
    config: Config,
    access_log: Option<(AccessLogFormat, Box<dyn Write + Send>)>,
    access_log_bytes: usize,
    signals: Handled,
    raises_descriptor_limit: bool,
}

/// What every shard is told.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) workers: Option<NonZeroUsize>,
    pub(super) limits: Limits,
    pub(super) timeouts: Timeouts,
    pub(super) capacity: Capacity,
    pub(super) on_disconnect: OnDisconnect,
    pub(super) ready_delay: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) busy_limit: Option<Duration>,
    pub(super) stuck_limit: Option<Duration>,
    pub(super) all_stuck: AllStuck,
    pub(super) replacements: usize,
    pub(super) stack_bytes: usize,
    pub(super) driver: Option<DriverKind>,
    pub(super) listen: ListenOptions,
    pub(super) logger: Option<Logger>,
    pub(super) prints_panics: bool,
    pub(super) descriptors: Descriptors,
    hooks: Vec<Arc<dyn Hooks>>,
}

/// What becomes of a handler whose client goes away: closes the connection, or its side of it, or
/// breaks it. A client that vanishes without a word is not noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It works on, and finds out when it reads or writes. The default: what was begun is done, and
    /// clients that close their side after the request are answered.
    Finish,
    /// It unwinds at its next yield point. It is noticed at once if the handler waits then.
    Cancel,
}

/// What becomes of a server when all of its shards are stuck, and there may be no further one.
///
/// ```
/// use straightline::{AllStuck, Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").all_stuck(AllStuck::AbortProcess);
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllStuck {
    /// [`Server::run`] returns an error, so that the program can end with a status that its
    /// supervisor understands. The default. The stuck threads go on until the process ends.
    EndServer,
    /// The process is aborted (SIGABRT, which leaves a core where those are wanted), after a line
    /// on standard error. For a program that does not end when `run` does.
    AbortProcess,
}

impl Config {
    /// Whether a shard's listeners may come to be another one's.
    pub(super) fn keeps_copies(&self) -> bool {
        self.busy_limit.is_some() || self.stuck_limit.is_some()
    }

    #[inline]
    pub(super) fn tell(&self, event: &Event<'_>) {
        match &self.hooks[..] {
            // What nobody else would ever hear of.
            [] => {
                if let Event::FiberReported { .. }
                | Event::ShardStuck { .. }
                | Event::AllStuck { .. } = event
                {
                    stderr().put_through(format!("straightline: {event}\n"), WRITE_TIME);
                }
            }
            hooks => hooks.iter().for_each(|hooks| tell_one(&**hooks, event)),
        }
    }
}

fn tell_one(hooks: &dyn Hooks, event: &Event<'_>) {
    let told = catch_unwind(AssertUnwindSafe(|| hooks.on_event(event)));
    match told {
        Err(payload) if is_cancel(&*payload) => resume_unwind(payload),
        // What it says has been printed, and the event's own matter goes on.
        Err(payload) => {
            // Its destructor is the hook's code as well.
            let dropped = catch_unwind(AssertUnwindSafe(move || drop(payload)));
            dropped.unwrap_or_else(mem::forget);
        }
        Ok(()) => {}
    }
}

/// A function from a request to a response: what [`Builder::build`] takes.
///
/// There is nothing to implement: every such function and closure is a handler. The trait only lets
/// the returned type mention the request's lifetime, as the one of an
/// `fn(&mut Request) -> impl IntoResponse` does.
///
/// It runs on a fiber of a shard's thread, so it may wait, and should not block that thread
/// ([`sched::offload`](straightline_sched::offload) takes what blocks). When the drain of a stop is
/// over, what is left of it unwinds at its next yield point.
///
/// ```
/// use straightline::{Request, Server};
///
/// fn named(request: &mut Request) -> String {
///     format!("{} {}\n", request.method(), request.path())
/// }
///
/// Server::builder().bind("127.0.0.1:0").build(named)?;
/// Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "a closure\n")?;
/// # std::io::Result::Ok(())
/// ```
pub trait Handler<'r>: Fn(&'r mut Request) -> Self::Response {
    /// What the function returns.
    type Response: IntoResponse;
}

impl<'r, H, R> Handler<'r> for H
where
    H: Fn(&'r mut Request) -> R,
    R: IntoResponse,
{
    type Response = R;
}

/// Makes a shard's handler, on the shard's thread.
pub(super) type ServiceFactory = dyn Fn() -> Rc<crate::conn::Service> + Send + Sync;

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            addresses: Vec::new(),
            config: Config {
                workers: None,
                limits: Limits::default(),
                timeouts: Timeouts::default(),
                capacity: Capacity::default(),
                on_disconnect: OnDisconnect::Finish,
                ready_delay: Duration::ZERO,
                drain_timeout: Duration::from_secs(25),
                busy_limit: Some(Duration::from_millis(100)),
                stuck_limit: Some(Duration::from_secs(10)),
                all_stuck: AllStuck::EndServer,
                replacements: 4,
                stack_bytes: straightline_sched::Config::default().stack_bytes,
                driver: None,
                listen: ListenOptions::new()
                    .notsent_lowat(Some(NOTSENT_LOWAT))
                    .keepalive(Some(Keepalive::default())),
                logger: None,
                prints_panics: false,
                descriptors: Descriptors::default(),
                hooks: Vec::new(),
            },
            access_log: None,
            access_log_bytes: 4 << 20,
            signals: Handled::default(),
            raises_descriptor_limit: true,
        }
    }

    /// Adds an address to listen on: a [`SocketAddr`](std::net::SocketAddr), an [`Address`], a path
    /// or the text of one. A faulty one is reported by [`build`](Self::build).
    ///
    /// The file of a Unix socket that nobody has bound any more, as a server leaves it that
    /// crashed, is replaced; any other file, and the socket of another program, is an error and
    /// stays. The server's own file is removed when a stop closes the port, or the server is
    /// dropped, unless another file is there by then.
    pub fn bind(mut self, address: impl IntoAddress) -> Self {
        self.addresses.push(address.into_address());
        self
    }

    /// How many shards, which are threads, serve. Default: one per core.
    ///
    /// # Panics
    ///
    /// If `workers` is 0.
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = Some(NonZeroUsize::new(workers).expect("at least one worker"));
        self
    }

    /// How much of everything a request may have.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// How long the server waits for its clients and handlers.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.config.timeouts = timeouts;
        self
    }

    /// How many clients and requests it takes at a time, and what becomes of the others.
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.config.capacity = capacity;
        self
    }

    /// Whether handlers are ended whose client goes away. Default: [`OnDisconnect::Finish`].
    pub fn on_disconnect(mut self, what: OnDisconnect) -> Self {
        self.config.on_disconnect = what;
        self
    }

    /// How long a shard's thread may go on without a look at what is new, before another shard
    /// accepts from its listeners as well; `None` for never. One handler that does not wait can be
    /// the reason, or many that compute for long one after the other. It costs nobody anything: the
    /// shard that is chosen is the one with the fewest connections, or a spare one that is started
    /// if no other is well ([`replacements`](Self::replacements)), and it stops when the busy one
    /// has been well for ten times this limit. Default: 100 milliseconds.
    pub fn busy_limit(mut self, limit: Option<Duration>) -> Self {
        self.config.busy_limit = limit;
        self
    }

    /// How long a shard's thread may be kept by one handler that does not wait, before its clients
    /// are disconnected, and another shard has its listeners for good; `None` for never. If the
    /// handler ever comes to a yield point, it is cancelled, and its shard ends. Default: ten
    /// seconds, as it costs the clients of that shard their connections; what computes for long
    /// belongs into [`sched::offload`](straightline_sched::offload).
    pub fn stuck_limit(mut self, limit: Option<Duration>) -> Self {
        self.config.stuck_limit = limit;
        self
    }

    /// How many shards there may be beyond [`workers`](Self::workers), in the place of those that
    /// are busy or stuck. Default: 4. Each is a thread, and each stuck one keeps its own, and a
    /// core if it computes. A spare one ends when it has had neither clients nor fibers of theirs
    /// for ten seconds.
    pub fn replacements(mut self, count: usize) -> Self {
        self.config.replacements = count;
        self
    }

    /// What happens when all shards are stuck, and there may be no further one. A lock of the
    /// standard library whose holder waits does that, a `LazyLock` whose initialiser does for
    /// example: each shard in turn blocks on it, and no thread can undo that. Default:
    /// [`AllStuck::EndServer`].
    pub fn all_stuck(mut self, what: AllStuck) -> Self {
        self.config.all_stuck = what;
        self
    }

    /// How long a stop goes on to serve, while [`ServerHandle::is_ready`](super::ServerHandle)
    /// says no and each answer `Connection: close`, before it closes the port: for a load balancer
    /// to notice, and clients to go elsewhere. Default: not at all, as not everybody has one; with
    /// one, the time between two of its probes and some more. It comes on top of the drain timeout.
    pub fn ready_delay(mut self, delay: Duration) -> Self {
        self.config.ready_delay = delay;
        self
    }

    /// How long a stop waits for requests in flight before it cuts them. Default: 25 seconds.
    ///
    /// Whoever stops the process kills it after a while, and then nothing is cut with care. So this
    /// and the ready delay together should be some seconds shorter than that: Kubernetes grants 30
    /// seconds, systemd 90, `docker stop` 10 unless it is told otherwise.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.config.drain_timeout = timeout;
        self
    }

    /// The stack of each fiber, in bytes. Default: 256 KiB. Only touched pages are resident.
    pub fn stack_bytes(mut self, bytes: usize) -> Self {
        self.config.stack_bytes = bytes;
        self
    }

    /// How the shards learn which sockets are ready. Default: what the environment variable
    /// `STRAIGHTLINE_DRIVER` says (`epoll` or `polling`), or the system's own where that is not
    /// set; see [`sched::Config::driver`](straightline_sched::Config::driver). A driver that this
    /// system does not have is an error of [`Server::run`].
    pub fn driver(mut self, kind: DriverKind) -> Self {
        self.config.driver = Some(kind);
        self
    }

    /// How much of a response the kernel keeps until its client has acknowledged it, for each
    /// connection of TCP, and how much of a request until it is read: `SO_SNDBUF` and `SO_RCVBUF`,
    /// see [`ListenOptions::send_buffer`] and [`receive_buffer`](ListenOptions::receive_buffer).
    /// Default: `None` for both, which lets the kernel choose by the speed of each connection (up
    /// to 4 MiB and 6 MiB on most systems). What a slow client holds is bounded by
    /// [`notsent_lowat`](Self::notsent_lowat) anyway.
    ///
    /// ```
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0");
    /// let server = server.socket_buffers(Some(256 << 10), Some(64 << 10));
    /// server.build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn socket_buffers(mut self, send: Option<usize>, receive: Option<usize>) -> Self {
        self.config.listen = self.config.listen.send_buffer(send).receive_buffer(receive);
        self
    }

    /// How much of a response may wait in the kernel to be sent, for each connection of TCP:
    /// `TCP_NOTSENT_LOWAT`, see [`ListenOptions::notsent_lowat`]. It bounds what a client that does
    /// not read costs. Default: 128 KiB, the work of a wake-up or two of a fast client; `None` is
    /// what the system has, usually no bound.
    pub fn notsent_lowat(mut self, bytes: Option<usize>) -> Self {
        self.config.listen = self.config.listen.notsent_lowat(bytes);
        self
    }

    /// When a client of TCP that says nothing is asked whether it is still there, and taken for
    /// gone (`SO_KEEPALIVE`). Default: after a minute, and gone after two ([`Keepalive`]): it is of
    /// use where no other timeout runs, as on a connection that was upgraded. `None`: never.
    pub fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.config.listen = self.config.listen.keepalive(keepalive);
        self
    }

    /// Where events are written, by [`LogHooks`]; it is also the logger of the shards' fibers
    /// ([`sched::logger`](straightline_sched::logger)). Default: nowhere, and everything is counted
    /// all the same.
    pub fn logger(mut self, logger: Logger) -> Self {
        self.config.logger = Some(logger.clone());
        self.hooks(LogHooks::new(logger))
    }

    /// Where a line is written for each request, on a thread of its own: a file, or the standard
    /// output. Lines that cannot be written as fast as requests come are left out, and
    /// [counted](crate::Metrics::access_log_dropped); of long targets and fields a line has the
    /// first 2 KiB. Default: nowhere.
    ///
    /// ```
    /// use straightline::{AccessLogFormat, Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0");
    /// let server = server.access_log(AccessLogFormat::Combined, std::io::stdout());
    /// server.build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn access_log(
        mut self,
        format: AccessLogFormat,
        writer: impl Write + Send + 'static,
    ) -> Self {
        self.access_log = Some((format, Box::new(writer)));
        self
    }

    /// How many bytes of the access log may wait to be written. Default: 4 MiB, some ten thousand
    /// lines, which is a second of a busy server.
    pub fn access_log_bytes(mut self, bytes: usize) -> Self {
        self.access_log_bytes = bytes;
        self
    }

    /// Who is told of events as they happen; each call adds one. Default: nobody, but for fibers
    /// that keep their thread, which are then told on standard error.
    pub fn hooks(mut self, hooks: impl Hooks) -> Self {
        self.config.hooks.push(Arc::new(hooks));
        self
    }

    /// Stops the server at SIGTERM or SIGINT; the second one does not wait for the drain. SIGHUP,
    /// which by itself would end the process at once, is [a reload](Self::on_reload).
    ///
    /// All of them are taken even if the process was started with them held back.
    pub fn stop_on_signals(mut self) -> Self {
        self.signals.stop = true;
        self
    }

    /// What is done at SIGHUP: read a file of settings again, say, or open a log file anew. Without
    /// it there is nothing to reload. Either way an [`Event::Reloaded`] says what came of it.
    ///
    /// It runs on a thread of its own, and may take its time. A signal that comes meanwhile has it
    /// run once more behind that.
    ///
    /// ```
    /// use std::sync::{Arc, RwLock};
    /// use straightline::{Request, Server};
    ///
    /// let greeting = Arc::new(RwLock::new(String::from("hello\n")));
    /// let server = Server::builder().bind("127.0.0.1:0").stop_on_signals().on_reload({
    ///     let greeting = Arc::clone(&greeting);
    ///     move || {
    ///         *greeting.write().unwrap() = std::fs::read_to_string("greeting.txt")?;
    ///         Ok(())
    ///     }
    /// });
    /// server.build(move |_: &mut Request| greeting.read().unwrap().clone())?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_reload(
        mut self,
        reload: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.signals.reload = Some(Arc::new(reload));
        self
    }

    /// Lists every fiber on standard error at SIGUSR1 or SIGQUIT (Ctrl-\\ in a terminal): its age,
    /// its request line, what it waits for and since when, with the backtraces of up to 64 of each
    /// shard. The server goes on.
    pub fn inspect_on_signals(mut self) -> Self {
        self.signals.list = true;
        self
    }

    /// Has panics printed by [`sched::stderr`](straightline_sched::stderr), instead of the panic
    /// hook that there is when the server runs: for the whole process, and for good. std's own hook
    /// writes on the thread that panics, so that once nobody reads the standard error any more,
    /// each panic of a handler is the end of a shard. Default: no, because a hook of the program's
    /// own would be called no more.
    ///
    /// It prints what std's does, with a backtrace if `RUST_BACKTRACE` says so. A cancel or a
    /// timeout is no panic, and prints nothing.
    pub fn print_panics(mut self) -> Self {
        self.config.prints_panics = true;
        self
    }

    /// Whether [`build`](Self::build) raises the number of descriptors that this process may open
    /// (the soft limit) to what it may raise it to (the hard one), but to no more than 1,048,576.
    /// Default: yes; [`Event::Started`] tells what came of it.
    ///
    /// It holds for the whole process, and for processes that it starts: one of those that waits
    /// with `select` may not cope with numbers above 1,023.
    pub fn raise_descriptor_limit(mut self, raise: bool) -> Self {
        self.raises_descriptor_limit = raise;
        self
    }

    /// Opens the sockets. From now on clients can connect, and wait to be served by
    /// [`Server::run`].
    ///
    /// Not a yield point; for the main thread, before there are fibers.
    ///
    /// All shards share `handler`. For one with a state of its own per shard, which need not be
    /// `Send`, see [`build_with`](Self::build_with).
    ///
    /// # Errors
    ///
    /// A faulty address, or none; an address in use; whatever else the system says to a bind, with
    /// the address in the message.
    pub fn build<H>(self, handler: H) -> io::Result<Server>
    where
        H: for<'r> Handler<'r> + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        self.build_shards(Arc::new(move || {
            let handler = Arc::clone(&handler);
            Rc::new(move |request: &mut Request| (*handler)(request).into_response())
        }))
    }

    /// As [`build`](Self::build), with a handler made by each shard for itself: what the handler
    /// holds (an `Rc<RefCell<…>>`, a connection pool) never leaves the thread.
    ///
    /// ```
    /// use std::cell::Cell;
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").build_with(|| {
    ///     let served = Cell::new(0); // neither Sync nor locked
    ///     move |_request: &mut Request| {
    ///         served.set(served.get() + 1);
    ///         format!("number {} of this shard\n", served.get())
    ///     }
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build).
    pub fn build_with<H>(
        self,
        make_handler: impl Fn() -> H + Send + Sync + 'static,
    ) -> io::Result<Server>
    where
        H: for<'r> Handler<'r> + 'static,
    {
        self.build_shards(Arc::new(move || {
            let handler = make_handler();
            Rc::new(move |request: &mut Request| handler(request).into_response())
        }))
    }

    fn build_shards(mut self, factory: Arc<ServiceFactory>) -> io::Result<Server> {
        let workers = match self.config.workers {
            Some(workers) => workers.get(),
            None => available_parallelism()?.get(),
        };
        if self.addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no address to listen on"));
        }
        self.settle_descriptors();
        let mut shards: Vec<Vec<Listener>> = (0..workers).map(|_| Vec::new()).collect();
        let (mut local, mut files) = (Vec::new(), Vec::new());
        for address in self.addresses {
            let (address, group, file) = open_all(&address?, workers, &self.config.listen)?;
            local.push(address);
            files.extend(file);
            for (shard, listener) in shards.iter_mut().zip(group) {
                shard.push(listener);
            }
        }
        let access_log = match self.access_log {
            Some((format, writer)) => {
                Some(AccessLog::start(format, writer, self.access_log_bytes)?)
            }
            None => None,
        };
        let shared = Shared::new(self.config, factory, local, workers, access_log);
        *shared.socket_files.lock() = files;
        let signals = SignalThread::install(&shared, self.signals)?;
        Ok(Server::new(shared, shards, signals))
    }

    fn settle_descriptors(&mut self) {
        let of_default = Capacity::default().connections;
        self.config.descriptors = descriptors::settle(self.raises_descriptor_limit);
        // The default was made for the limit that there might be.
        if self.config.capacity.connections == of_default {
            self.config.capacity.connections =
                descriptors::connections(self.config.descriptors.limit);
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// How long what is told on standard error may take to leave, as it may be the last of the process.
/// Arbitrary: far more than it takes if anybody reads.
const WRITE_TIME: Duration = Duration::from_millis(50);

/// The default of [`Builder::notsent_lowat`]. Arbitrary: what the kernel sends meanwhile is that
/// and the window of the connection, so it is hardly ever idle.
const NOTSENT_LOWAT: usize = 128 << 10;
