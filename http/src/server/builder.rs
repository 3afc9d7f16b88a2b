//! The builder of a server: its settings.

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use slog::Logger;
use straightline_net::{BoundListener, Keepalive};
use straightline_sched::DriverKind;
#[cfg(feature = "_tls")]
use straightline_tls::TlsConfig;

use super::handler::{Handler, Shareable, boxed, check};
use super::local::LocalServer;
use super::plan::Plan;
use super::running::Server;
use crate::config::{
    Address, AddressError, AllStuck, Capacity, Networks, OnDisconnect, PanicPolicy, Timeouts,
};
use crate::conn::{ErrorContext, Next};
use crate::control::Port;
use crate::message::{IntoResponse, Request};
use crate::proto::Limits;
use crate::telemetry::{AccessLogFormat, LogObserver, Observer};

/// The settings of a server before it is built, from [`Server::builder`].
///
/// ```
/// use std::time::Duration;
/// use straightline::{Limits, Request, Server};
///
/// let server = Server::builder()
///     .bind("127.0.0.1:0")
///     .workers(2)
///     .limits(Limits::default().with_body_bytes(1024))
///     .drain_timeout(Duration::from_secs(5))
///     .build(|request: &mut Request| format!("you asked for {}\n", request.path()))?;
/// println!("listening on http://{}", server.local_addrs()[0]);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ServerBuilder {
    plan: Plan,
}

impl Server {
    /// Begins to build a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder { plan: Plan::default() }
    }
}

impl ServerBuilder {
    /// Adds an address to listen on: text such as `"127.0.0.1:8080"` or `"unix:/run/app.sock"`, a
    /// host and a port, a [`SocketAddr`](std::net::SocketAddr), a [`Path`](std::path::Path), and
    /// whatever else converts into an [`Address`]. A name is resolved, and its first address
    /// counts. [`build`](Self::build) reports an invalid address. A file of a Unix socket to which
    /// no program is bound any more is replaced: a server that crashed leaves such a file. Any
    /// other file, and the socket of another program, is an error and is not touched. The server's
    /// own file is removed when a shutdown closes the port, or the server is dropped, unless
    /// another file has its place by then.
    pub fn bind(mut self, address: impl TryInto<Address, Error: Into<AddressError>>) -> Self {
        let address = address.try_into().map_err(|error| io::Error::from(error.into()));
        self.plan.ports.push(address.map(Port::Closed));
        self
    }

    /// Adds a listener that is open already: the standard library's, one of
    /// [`net`](straightline_net), or a descriptor
    /// ([`BoundListener::try_from`](straightline_net::BoundListener)). [`build`](Self::build)
    /// reports a socket that does not listen.
    ///
    /// All shards accept from the one socket, and so may other processes that have it: a service is
    /// replaced without a client noticing ([`guide::deploy`](crate::guide::deploy)). A shutdown
    /// accepts what is in the queue, and leaves the socket and its file as they are. If no other
    /// process has the socket, clients that connect in the last moment are reset, other than with
    /// [`bind`](Self::bind). The settings for TCP clients, such as [`keepalive`](Self::keepalive),
    /// are set on the socket.
    ///
    /// ```
    /// use straightline::{Request, Server};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// Server::builder().listener(listener).build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn listener(mut self, listener: impl Into<BoundListener>) -> Self {
        self.plan.ports.push(Ok(Port::Open(listener.into())));
        self
    }

    /// Adds all listeners that this process was started with, by systemd or another service manager
    /// with the same protocol (`LISTEN_FDS`): see [`inherit`](straightline_net::inherit). If there
    /// are none, [`build`](Self::build) returns an error that says why. The manager keeps the
    /// socket, so a restart of the service refuses no client. To choose some of them by name, pass
    /// what [`inherit::listeners`](straightline_net::inherit::listeners) returns to
    /// [`listener`](Self::listener).
    ///
    /// ```
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().inherited_listeners().build(|_: &mut Request| "hi\n");
    /// assert!(server.is_err()); // this program was started by hand
    /// ```
    pub fn inherited_listeners(mut self) -> Self {
        self.plan.ports.extend(Port::inherited());
        self
    }

    /// As [`inherited_listeners`](Self::inherited_listeners); if there are none, listens on
    /// `address`, as [`bind`](Self::bind) does. So one program runs by hand, and by a socket unit
    /// of systemd, whose addresses then count.
    ///
    /// ```
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().inherited_or_bind("127.0.0.1:0");
    /// server.build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn inherited_or_bind(
        mut self,
        address: impl TryInto<Address, Error: Into<AddressError>>,
    ) -> Self {
        let Some(ports) = Port::inherited_if_any() else { return self.bind(address) };
        self.plan.ports.extend(ports);
        self
    }

    /// Each connection from these networks comes through a proxy, and must begin with a header of
    /// the PROXY protocol, which names the client: [`ProxyHeaderError`](crate::ProxyHeaderError)
    /// has the rules. Other connections are served as they are. Default: none.
    ///
    /// ```
    /// use straightline::{Networks, Request, Server};
    ///
    /// let proxies = Networks::new(["10.0.0.0/8"])?;
    /// let server = Server::builder().bind("127.0.0.1:0").proxy_protocol(proxies);
    /// server.build(|request: &mut Request| format!("hello, {}\n", request.peer()))?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn proxy_protocol(mut self, proxies: Networks) -> Self {
        self.plan.config.proxies = proxies;
        self
    }

    /// Serves HTTPS: all listeners of this server speak TLS. Default: none does.
    ///
    /// For HTTP beside it, such as an [`https::redirect`](crate::https::redirect), make a second
    /// server and let it [use this one's shards](Server::also). A stream that the program gives to
    /// [`ServerHandle::serve`](crate::ServerHandle::serve) is served as it is: give it a
    /// [`TlsStream`](straightline_tls::TlsStream). A client for which there is no room is
    /// disconnected without an answer. The certificates are read again at SIGHUP
    /// ([`on_reload`](Self::on_reload)), and by [`reload_tls`](crate::ServerHandle::reload_tls).
    #[cfg(feature = "_tls")]
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.plan.config.tls = Some(config);
        self
    }

    /// How many shards serve, each on a thread of its own. Default: one per core.
    ///
    /// # Panics
    ///
    /// If `workers` is 0.
    #[track_caller]
    pub fn workers(mut self, workers: usize) -> Self {
        let workers = NonZeroUsize::new(workers);
        let workers = workers.expect("straightline: `workers(0)`: say 1 or more, or leave it out");
        self.plan.config.workers = Some(workers);
        self
    }

    /// The limits for the parts of a request.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.plan.config.limits = limits;
        self
    }

    /// How long the server waits for its clients and handlers.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.plan.config.timeouts = timeouts;
        self
    }

    /// How many clients and requests the server serves at a time, and what happens to further ones.
    pub fn capacity(mut self, capacity: Capacity) -> Self {
        self.plan.config.capacity = capacity;
        self
    }

    /// Whether a handler is cancelled if its client disconnects. Default: [`OnDisconnect::Finish`].
    pub fn on_disconnect(mut self, what: OnDisconnect) -> Self {
        self.plan.config.on_disconnect = what;
        self
    }

    /// What happens when a handler panics, or the function of a streamed body or of an upgraded
    /// connection. Default: [`PanicPolicy::Answer`]. Background fibers and other fibers that a
    /// handler spawns do not count.
    pub fn on_panic(mut self, policy: PanicPolicy) -> Self {
        self.plan.config.on_panic = policy;
        self
    }

    /// How long a shard's thread may be busy without a look at its sockets before another shard
    /// accepts from its listeners as well; `None` for never. One handler that does not wait can be
    /// the cause, or many handlers that compute for long one after the other. No client loses
    /// anything. The other shard is the shard with the fewest connections, or a spare shard, which
    /// is started if no shard is healthy ([`replacements`](Self::replacements)). It stops accepting
    /// when the busy shard has been healthy for ten times this limit. Default: 100 milliseconds.
    /// The clients of the other shard meet that shard's [state](Self::build_with), which is empty
    /// on a spare shard.
    pub fn busy_limit(mut self, limit: Option<Duration>) -> Self {
        self.plan.config.busy_limit = limit;
        self
    }

    /// How long one handler that does not wait may keep a shard's thread before the shard's clients
    /// are disconnected and another shard gets its listeners for good; `None` for never. If the
    /// handler comes to a yield point later, it is cancelled, and its shard ends. Default: ten
    /// seconds, as the clients of that shard lose their connections. Code that computes for long
    /// belongs in [`sched::offload`](straightline_sched::offload).
    pub fn stuck_limit(mut self, limit: Option<Duration>) -> Self {
        self.plan.config.stuck_limit = limit;
        self
    }

    /// How many shards may run in addition to [`workers`](Self::workers), in the place of busy or
    /// stuck shards. Default: 4. Each is a thread. A stuck shard keeps its thread too, and a core
    /// if it computes. A spare shard ends when it has had no connections and no fibers of
    /// connections for ten seconds.
    pub fn replacements(mut self, count: usize) -> Self {
        self.plan.config.replacements = count;
        self
    }

    /// What happens when all shards are stuck and no further shard may be started: each in turn may
    /// block on a `LazyLock` whose initialiser waits. Default: [`AllStuck::EndServer`].
    pub fn all_stuck(mut self, what: AllStuck) -> Self {
        self.plan.config.all_stuck = what;
        self
    }

    /// How long a shutdown still accepts and serves before it closes the port, so that a load
    /// balancer notices the shutdown and sends clients elsewhere. Meanwhile
    /// [`ServerHandle::is_ready`](crate::ServerHandle::is_ready) returns false, and each answer
    /// says `Connection: close`. Default: zero, as not every server has a load balancer. With one:
    /// somewhat longer than the time between two of its probes. The drain timeout begins after this
    /// delay.
    pub fn ready_delay(mut self, delay: Duration) -> Self {
        self.plan.config.ready_delay = delay;
        self
    }

    /// How long a shutdown waits for requests in flight before it force-closes them. Default: 25
    /// seconds. A supervisor that stops a process kills it after a while, and then handlers do not
    /// even unwind. So this and the ready delay together should be some seconds shorter than the
    /// supervisor's limit: Kubernetes grants 30 seconds, systemd 90, `docker stop` 10 by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.plan.config.drain_timeout = timeout;
        self
    }

    /// The stack of each fiber, in bytes. Default: 256 KiB. Only touched pages are resident.
    pub fn stack_bytes(mut self, bytes: usize) -> Self {
        self.plan.config.stack_bytes = bytes;
        self
    }

    /// Measures how much of its stack each fiber uses, for
    /// [`sched::stack_usage`](straightline_sched::stack_usage) in a handler. Default: no: it costs.
    pub fn stack_usage(mut self, is_measured: bool) -> Self {
        self.plan.config.stack_usage = is_measured;
        self
    }

    /// How the shards find out which sockets are ready. Default: the value of the environment
    /// variable `STRAIGHTLINE_DRIVER` (`epoll` or `polling`), or the system's own driver if the
    /// variable is not set; see [`sched::Config::driver`](straightline_sched::Config::driver). With
    /// a driver that this system does not have, [`Server::run`] returns an error.
    pub fn driver(mut self, kind: DriverKind) -> Self {
        self.plan.config.driver = Some(kind);
        self
    }

    /// How many bytes the kernel keeps for each TCP connection: of a response until the client has
    /// acknowledged it, and of a request until it is read. These are `SO_SNDBUF` and `SO_RCVBUF`,
    /// see [`ListenOptions`](straightline_net::ListenOptions::send_buffer). Default: `None` for
    /// both: the kernel chooses by the speed of each connection (up to 4 MiB and 6 MiB on most
    /// systems). [`notsent_lowat`](Self::notsent_lowat) bounds the memory of a slow client anyway.
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
        (self.plan.config.send_buffer, self.plan.config.receive_buffer) = (send, receive);
        self
    }

    /// How many bytes of a response may wait in the kernel to be sent, for each TCP connection:
    /// `TCP_NOTSENT_LOWAT`, see [`ListenOptions`](straightline_net::ListenOptions::notsent_lowat).
    /// It bounds the memory for a client that does not read. Default: 128 KiB, which a fast client
    /// reads in a wake-up or two; `None` is the system's default, usually without a bound.
    pub fn notsent_lowat(mut self, bytes: Option<usize>) -> Self {
        self.plan.config.notsent_lowat = bytes;
        self
    }

    /// When the system probes a silent TCP client, and when it considers the client gone
    /// (`SO_KEEPALIVE`). Default: a probe after one minute, gone after two ([`Keepalive`]), also on
    /// an upgraded connection. `None`: never.
    pub fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.plan.config.keepalive = keepalive;
        self
    }

    /// The logger to which [`LogObserver`] writes the events. It is also the logger of the shards'
    /// fibers ([`sched::logger`](straightline_sched::logger)). Default: none; faults are then told
    /// on standard error, see [`quiet`](Self::quiet). [`LogLevel`](crate::LogLevel) is a level for
    /// it that can change.
    pub fn logger(mut self, logger: Logger) -> Self {
        self.plan.config.logger = Some(logger.clone());
        self.observer(LogObserver::new(logger))
    }

    /// The access log: a file, or the standard output, which gets a line for each request, on a
    /// thread of its own. Lines that cannot be written as fast as requests arrive are left out, and
    /// [counted](crate::Metrics::access_log_dropped). Targets and fields are cut to 2 KiB. Only
    /// [`AccessLogFormat::Json`] has the [route](crate::Request::set_route). Default: none.
    ///
    /// ```
    /// use straightline::{AccessLogFormat, Request, Server};
    ///
    /// let server = Server::builder().access_log(AccessLogFormat::Json, std::io::stdout());
    /// server.bind("127.0.0.1:0").build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn access_log(
        mut self,
        format: AccessLogFormat,
        writer: impl Write + Send + 'static,
    ) -> Self {
        self.plan.access_log = Some((format, Box::new(writer)));
        self
    }

    /// How many bytes of the access log may wait. Default: 4 MiB, a second of a busy server.
    pub fn access_log_bytes(mut self, bytes: usize) -> Self {
        self.plan.access_log_bytes = bytes;
        self
    }

    /// Adds code that gets events as they happen. Default: none; faults are then told on standard
    /// error, see [`quiet`](Self::quiet).
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.plan.observers.add(observer);
        self
    }

    /// Adds a function around the handler, which gets each request and [`Next`]: it may change the
    /// request, call the rest, change the response, or answer by itself. What a handler's panic or
    /// timeout becomes passes through it as a response. The first wrapper is the outermost.
    /// Wrappers do not see requests that the server refuses because they are malformed or because
    /// it has no room for them: [`Event::RequestFinished`](crate::Event::RequestFinished) and
    /// [`error_responses`](Self::error_responses) do. A wrapper returns before the response is
    /// sent, so the client may get another response: [`Next::run`] has a table. Log from
    /// `RequestFinished`, which has the status that is sent. All wrappers together have
    /// [`Timeouts::handler`] for themselves, in addition to the handler.
    ///
    /// ```
    /// use straightline::{Next, Request, Response, Server, sched};
    ///
    /// /// Says how long each response took.
    /// fn timed(request: &mut Request, next: Next<'_>) -> Response {
    ///     let begin = sched::now();
    ///     let response = next.run(request);
    ///     response.header("server-timing", format!("all;dur={}", begin.elapsed().as_millis()))
    /// }
    ///
    /// Server::builder().bind("127.0.0.1:0").wrap(timed).build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wrap<R: IntoResponse>(
        mut self,
        wrapper: impl Fn(&mut Request, Next<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.plan
            .wrappers
            .push(Arc::new(move |request, next| wrapper(request, next).into_response()));
        self
    }

    /// Makes the bodies of the error responses (4xx and 5xx) that have no body of their own: those
    /// of the server, for malformed requests, timeouts, panics, overload and the like; and those of
    /// a handler or wrapper that returns only a [`StatusCode`](crate::StatusCode), a
    /// [`BodyError`](crate::BodyError) or an error. Default: a line of text.
    /// [`ErrorContext::to_problem`] makes problem details of all of them; [`ErrorContext`] says
    /// more. It is also called once when the server is built, for the 503 that all rejected clients
    /// get. The function must not wait. If it panics, or its body is not in memory, the client gets
    /// the line of text.
    pub fn error_responses<R: IntoResponse>(
        mut self,
        respond: impl Fn(&ErrorContext<'_>) -> R + Send + Sync + 'static,
    ) -> Self {
        self.plan.errors = Some(Arc::new(move |error| respond(error).into_response()));
        self
    }

    /// Without a [`logger`](Self::logger) and an [`observer`](Self::observer), a server tells its
    /// faults on standard error, such as a fiber that keeps its thread: five lines of each kind in
    /// ten seconds, and then how many more there were. What clients did wrong is one line a minute.
    /// This turns it off, except for the panics that the panic hook prints.
    ///
    /// ```
    /// use straightline::{Request, Server};
    ///
    /// Server::builder().bind("127.0.0.1:0").quiet().build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn quiet(mut self) -> Self {
        self.plan.observers.be_quiet();
        self
    }

    /// Shuts the server down at SIGTERM or SIGINT; a second signal, a fifth of a second later or
    /// more, force-closes the connections. SIGHUP, which by default would end the process at once,
    /// becomes [a reload](Self::on_reload). They count also if they were blocked.
    pub fn shutdown_on_signals(mut self) -> Self {
        self.plan.signals.stop = true;
        self
    }

    /// Code that runs at SIGHUP: for example, it reads a settings file again, or reopens a log
    /// file. [`Event::Reloaded`](crate::Event::Reloaded) reports the outcome, also if there is no
    /// such code and nothing to reload. A server with TLS reads its certificates again before that,
    /// also without such code, and reports that by events of their own. The code runs on a thread
    /// of its own, and may take long. If another signal arrives meanwhile, the code runs once more
    /// afterwards.
    ///
    /// ```
    /// use std::sync::RwLock;
    /// use straightline::{Request, Server};
    ///
    /// static GREETING: RwLock<String> = RwLock::new(String::new());
    /// let server = Server::builder().bind("127.0.0.1:0").shutdown_on_signals().on_reload(|| {
    ///     *GREETING.write().unwrap() = std::fs::read_to_string("greeting.txt")?;
    ///     Ok(())
    /// });
    /// server.build(|_: &mut Request| GREETING.read().unwrap().clone())?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn on_reload(
        mut self,
        reload: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        self.plan.signals.reload = Some(Arc::new(reload));
        self
    }

    /// Tells the service manager that has started this process, such as systemd, when the server is
    /// ready, reloads and shuts down, and that it is alive: see [`systemd`](crate::systemd).
    /// Without such a manager nothing happens. Default: no.
    ///
    /// ```
    /// use straightline::{Request, Server};
    ///
    /// Server::builder().bind("127.0.0.1:0").systemd().build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn systemd(mut self) -> Self {
        self.plan.tells_manager = true;
        self
    }

    /// Lists every fiber on standard error at SIGUSR1 or SIGQUIT (Ctrl-\\ in a terminal): its age,
    /// its request line, and what it waits for and since when, with the backtraces of up to 64
    /// fibers of each shard. The server goes on.
    pub fn inspect_on_signals(mut self) -> Self {
        self.plan.signals.list = true;
        self
    }

    /// Panics are printed by [`sched::stderr`](straightline_sched::stderr) instead of the panic
    /// hook that is set when the server runs: for the whole process, and for good. std's own hook
    /// blocks the thread that panics if no program reads the standard error any more. Default: no,
    /// because a panic hook of the program would not be called. A cancel or a timeout is no panic,
    /// and prints nothing. With `RUST_BACKTRACE=1` all frames are printed, also the runtime's. The
    /// first such panic loads debug information on its thread: 350 ms in a debug build.
    pub fn print_panics(mut self) -> Self {
        self.plan.config.prints_panics = true;
        self
    }

    /// Whether [`build`](Self::build) raises the number of descriptors that this process may open
    /// from the soft limit to the hard limit, but to no more than 1,048,576. Default: yes.
    /// [`Event::Started`](crate::Event::Started) reports the outcome. Processes that this one
    /// starts have the same limit: one that waits with `select` may fail above 1,023.
    pub fn raise_descriptor_limit(mut self, raise: bool) -> Self {
        self.plan.raises_descriptor_limit = raise;
        self
    }

    /// Opens the sockets. From now on clients can connect, and wait until [`Server::run`] serves
    /// them.
    ///
    /// Not a yield point; for the main thread, before there are fibers.
    ///
    /// All shards share `handler`. For a handler with its own state per shard, which need not be
    /// `Send`, see [`build_with`](Self::build_with).
    ///
    /// # Errors
    ///
    /// An invalid address, or none; an address in use; any other error of a bind, with the address
    /// in the message. A mistake in the handler ([`Handler::check`]), such as contradicting routes;
    /// a route that allows [longer bodies](Handler::largest_body). A [driver](Self::driver) that
    /// does not exist ([`Config::check`](straightline_sched::Config::check)).
    pub fn build<H>(self, handler: H) -> io::Result<Server>
    where
        H: for<'r> Handler<'r> + Shareable + 'static,
    {
        check(&handler, &self.plan.config.limits)?;
        let handler = Arc::new(handler);
        self.plan.build(Arc::new(move || {
            let handler = Arc::clone(&handler);
            Box::new(move |request: &mut Request| {
                IntoResponse::response_of(|| handler.handle(request))
            })
        }))
    }

    /// As [`build`](Self::build), but each shard makes a handler for itself: the handler's state
    /// (an `Rc<RefCell<…>>`, a connection pool) never leaves the thread.
    ///
    /// Each shard has a state of its own, and chance decides which shard a client's connection
    /// reaches. `make_handler` also runs later: for a spare shard beside a
    /// [busy](Self::busy_limit) one, for the replacement of a [stuck](Self::stuck_limit) one, and
    /// for one that is [renewed](crate::PanicPolicy::DrainShard). Their state begins empty, also
    /// with one [worker](Self::workers). So keep only caches and pools there, and share everything
    /// else between the shards, as a handler of [`build`](Self::build) does.
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
        self.plan.build(Arc::new(move || boxed(make_handler())))
    }

    /// A server on the shard of the calling fiber, without listeners and without threads: it serves
    /// the streams that the program gives to [`ServerHandle::serve`](crate::ServerHandle::serve).
    /// [`LocalServer`] has an example. The shard's own settings are those of the caller's
    /// [`sched::Config`](straightline_sched::Config): `workers`, `replacements`, `stack_bytes`,
    /// `stack_usage`, `driver`, `busy_limit`, `stuck_limit` and `all_stuck` have no effect here.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// An [address](Self::bind) or TLS, which such a server cannot have; a mistake in the handler
    /// ([`Handler::check`]); no stack for its fiber; no thread for the access log or the signals.
    ///
    /// # Panics
    ///
    /// Outside of a fiber.
    #[track_caller]
    pub fn build_local<H>(self, handler: H) -> io::Result<LocalServer>
    where
        H: for<'r> Handler<'r> + 'static,
    {
        check(&handler, &self.plan.config.limits)?;
        self.plan.build_local(boxed(handler))
    }
}
