//! The paths of the admin listener.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use http::header::ORIGIN;
use http::{Method, StatusCode};
use straightline_sched::sim;
use straightline_sched::sync::mpsc;

use super::admin_server::AdminServer;
use super::log_level;
use crate::config::{Address, AddressError, AllowedHosts, Peer};
use crate::control::{BACKTRACES_MAX, ServerHandle, listing};
use crate::message::{IntoResponse, Request, Response};
use crate::server::{Handler, Server};
use crate::telemetry::LogLevel;

/// What an admin listener answers about a server: see the [module](crate::admin).
///
/// As a handler, it can also be a part of another server, such as one with a password:
///
/// ```
/// use straightline::admin::Admin;
/// use straightline::{IntoResponse, Next, Request, Server, StatusCode};
///
/// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hello\n")?;
/// let guarded = |request: &mut Request, next: Next<'_>| match request.headers().get("x-secret") {
///     Some("7d1c") => next.run(request),
///     _ => StatusCode::UNAUTHORIZED.into_response(),
/// };
/// let admin = Server::builder().bind("127.0.0.1:0").wrap(guarded).build(Admin::of(&server))?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    server: ServerHandle,
    settings: Arc<str>,
    hosts: AllowedHosts,
    log_level: Option<LogLevel>,
    /// A listing is being made. There is one at a time, because each has a thread.
    is_listing: Arc<AtomicBool>,
}

impl Admin {
    /// About that server. Not a yield point.
    ///
    /// ```
    /// use straightline::admin::Admin;
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hello\n")?;
    /// let admin = Admin::of(&server);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn of(server: &Server) -> Self {
        let settings = server.settings().to_string().into();
        Self {
            server: server.handle(),
            settings,
            hosts: AllowedHosts::default(),
            log_level: None,
            is_listing: Arc::default(),
        }
    }

    /// The level of the program's log, which `PUT /log-level` changes: a [`LogLevel`] whose
    /// [`filter`](LogLevel::filter) the program's logger has. Default: none, and `/log-level` is a
    /// 404. Not a yield point.
    ///
    /// ```
    /// use slog::{Discard, Level, Logger, o};
    /// use straightline::admin::Admin;
    /// use straightline::{LogLevel, Request, Server};
    ///
    /// let level = LogLevel::new(Level::Info);
    /// let logger = Logger::root(level.filter(Discard), o!());
    /// let server = Server::builder().bind("127.0.0.1:0").logger(logger);
    /// let server = server.build(|_: &mut Request| "hello\n")?;
    /// let admin = Admin::of(&server).log_level(&level);
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn log_level(mut self, level: &LogLevel) -> Self {
        self.log_level = Some(level.clone());
        self
    }

    /// The hosts that it answers to, besides addresses and `localhost`: the names by which the
    /// monitoring reaches it, if it does so by names. A request for another host gets a 421,
    /// because it may come from a page whose name resolves to this address (DNS rebinding). Clients
    /// of a Unix socket may name any host. Not a yield point.
    ///
    /// ```
    /// use straightline::admin::Admin;
    /// use straightline::{AllowedHosts, Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hello\n")?;
    /// let admin = Admin::of(&server).allowed_hosts(AllowedHosts::new(["app.internal"]));
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn allowed_hosts(mut self, hosts: AllowedHosts) -> Self {
        self.hosts = hosts;
        self
    }

    /// Starts the listener, on a thread of its own. It ends when the result is dropped.
    ///
    /// Not a yield point; for the main thread, before there are fibers.
    ///
    /// # Errors
    ///
    /// As [`ServerBuilder::build`](crate::ServerBuilder::build): the address is invalid or in use;
    /// the thread cannot be started.
    ///
    /// ```
    /// use straightline::admin::Admin;
    /// use straightline::{Request, Server};
    ///
    /// let server = Server::builder().bind("127.0.0.1:0").build(|_: &mut Request| "hello\n")?;
    /// let admin = Admin::of(&server).start("127.0.0.1:0")?;
    /// println!("metrics on http://{}/metrics", admin.local_addr());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn start(
        self,
        address: impl TryInto<Address, Error: Into<AddressError>>,
    ) -> io::Result<AdminServer> {
        AdminServer::start(address, self)
    }

    fn answer(&self, request: &Request) -> Response {
        if *request.peer() != Peer::Unix && !self.hosts.allows(request.host()) {
            return (StatusCode::MISDIRECTED_REQUEST, UNKNOWN_HOST).into_response();
        }
        let allowed: &[Method] = match request.path() {
            "/" | "/metrics" | "/healthz" | "/readyz" | "/fibers" | "/settings" => {
                &[Method::GET, Method::HEAD]
            }
            "/log-level" => &[Method::GET, Method::HEAD, Method::PUT],
            "/drain" => &[Method::POST],
            _ => return StatusCode::NOT_FOUND.into_response(),
        };
        if !allowed.contains(request.method()) {
            return Response::method_not_allowed(allowed);
        }
        if request.headers().contains(ORIGIN) {
            return (StatusCode::FORBIDDEN, "not for pages\n").into_response();
        }
        match request.path() {
            "/metrics" => {
                let text = self.server.metrics().to_prometheus();
                text.into_response().content_type("text/plain; version=0.0.4")
            }
            "/readyz" if !self.server.is_ready() => unavailable("stopping\n"),
            "/healthz" | "/readyz" => self.health(),
            "/fibers" => self.fibers(request.query().unwrap_or_default()),
            "/settings" => self.settings.to_string().into_response(),
            "/log-level" => log_level::answer(self.log_level.as_ref(), request),
            "/drain" => {
                // A second call would force-close the connections.
                if self.server.is_ready() {
                    self.server.shutdown();
                }
                (StatusCode::ACCEPTED, "draining\n").into_response()
            }
            _ => PATHS.into_response(),
        }
    }

    fn health(&self) -> Response {
        if self.server.is_responsive(PROBE_TIME) {
            "well\n".into_response()
        } else {
            unavailable("no thread answers\n")
        }
    }

    fn fibers(&self, query: &str) -> Response {
        let backtraces = query.strip_prefix("backtraces=").map(str::parse::<usize>);
        let Ok(backtraces) = backtraces.unwrap_or(Ok(0)) else {
            return (StatusCode::BAD_REQUEST, "backtraces is no number\n").into_response();
        };
        if sim::is_simulated() {
            return StatusCode::NOT_IMPLEMENTED.into_response();
        }
        if self.is_listing.swap(true, Ordering::SeqCst) {
            return unavailable("another list is being made\n");
        }
        let (sender, listed) = mpsc::unbounded();
        let (server, is_listing) = (self.server.clone(), Arc::clone(&self.is_listing));
        // The call blocks its thread for as long as a shard does not answer.
        let started = thread::Builder::new().name("straightline-listing".into()).spawn(move || {
            let shards = server.inspect(backtraces.min(BACKTRACES_MAX), LISTING_TIME);
            is_listing.store(false, Ordering::SeqCst);
            // The client may be gone.
            let _ = sender.try_send(listing(&shards));
        });
        if started.is_err() {
            self.is_listing.store(false, Ordering::SeqCst);
            return unavailable("no thread is left\n");
        }
        match listed.recv() {
            Ok(text) => text.into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

impl<'r> Handler<'r> for Admin {
    type Response = Response;

    fn handle(&self, request: &'r mut Request) -> Response {
        self.answer(request).header("cache-control", "no-store")
    }
}

fn unavailable(text: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

const UNKNOWN_HOST: &str = "\
the admin listener answers to IP addresses, to localhost, and to the names that the program allows \
with Admin::allowed_hosts
";

const PATHS: &str = "\
GET  /metrics   the metrics, for Prometheus
GET  /healthz   200 if a thread answers
GET  /readyz    200 if a thread answers, until a shutdown begins
GET  /fibers    all fibers; ?backtraces=N adds backtraces
GET  /settings  the settings
GET  /log-level the level of the log
PUT  /log-level ?level=L changes it; &seconds=N for a while only
POST /drain     begins a shutdown
";

/// How long a probe waits for a thread. Arbitrary: a healthy thread answers in a millisecond, and
/// a probe of Kubernetes waits for a second by default.
const PROBE_TIME: Duration = Duration::from_millis(900);

/// How long a list waits for each shard.
const LISTING_TIME: Duration = Duration::from_secs(1);
