//! The proxy itself, as a handler, and how it is made.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::{Method, StatusCode};
use straightline_net::Transport;

use super::events::{ProxyEvent, ProxyObserver};
use super::exchange::Exchange;
use super::forwarded::ForwardedPolicy;
use super::keeper;
use super::metrics::ProxyMetrics;
use super::pool::Pool;
use super::queue::Queue;
use super::request_head::{HeadPolicy, max_forwards};
use super::respond::is_skipped;
use super::settings::{Ejections, HealthCheck, HostPolicy, ProxyLimits, ProxyTimeouts};
use super::shared::{Connector, Shared, connect_tcp};
use super::upstreams::{Upstream, Upstreams};
use crate::config::OnDisconnect;
use crate::message::{IntoResponse, Problem, Request, Response};
use crate::proto::{is_authority, is_token};
use crate::server::Handler;
use crate::web::PerShard;

/// A reverse proxy: a handler that passes requests on to upstream servers, and their responses
/// back.
///
/// A clone is the same proxy.
///
/// ```no_run
/// use straightline::Server;
/// use straightline::proxy::Proxy;
///
/// let proxy = Proxy::builder().upstream("127.0.0.1:9000").upstream("127.0.0.1:9001").build()?;
/// Server::builder().bind("127.0.0.1:8080").shutdown_on_signals().build(proxy)?.run()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

impl Proxy {
    /// Begins with no upstream, and defaults for everything else. Not a yield point.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder {
            upstreams: Vec::new(),
            host: HostPolicy::Keep,
            forwarded: ForwardedPolicy::default(),
            via: "straightline".to_owned(),
            timeouts: ProxyTimeouts::default(),
            limits: ProxyLimits::default(),
            upgrades: vec!["websocket".to_owned()],
            health: None,
            ejections: Ejections::default(),
            on_disconnect: OnDisconnect::Cancel,
            connector: Box::new(connect_tcp),
            observer: None,
        }
    }

    /// Passes a request on, and returns the response of an upstream, or a [`Problem`] in its place:
    /// a 502 if the upstream fails, a 504 if it takes too long, a 503 if there is none. CONNECT and
    /// TRACE are answered with a 405.
    ///
    /// A wrapper or a handler in front may change the request, such as its
    /// [target](Request::set_target), and may change the response.
    ///
    /// # Blocking
    ///
    /// A yield point. The body of the response is passed on when the handler has returned.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline closes the connection to the upstream.
    ///
    /// ```
    /// use straightline::proxy::Proxy;
    /// use straightline::{IntoResponse, Request, Response, Server};
    ///
    /// let proxy = Proxy::builder().upstream("127.0.0.1:9000").build()?;
    /// let handler = move |request: &mut Request| match request.path() {
    ///     "/about" => "a proxy\n".into_response(),
    ///     _ => proxy.pass(request),
    /// };
    /// Server::builder().bind("127.0.0.1:0").build(handler)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn pass(&self, request: &mut Request) -> Response {
        if let Some(response) = answer_of_proxy(request) {
            return response;
        }
        let pool = self.shared.pools.get();
        keeper::ensure(&self.shared, &pool, request);
        if self.shared.on_disconnect == OnDisconnect::Finish {
            request.on_disconnect(OnDisconnect::Finish);
        }
        let exchange = Exchange::begin(&self.shared, &pool, request);
        exchange.and_then(Exchange::run).unwrap_or_else(|failure| {
            let response = failure.into_response();
            // The rest of the body is not read, and the client is to know.
            if is_skipped(request) { response } else { response.close() }
        })
    }

    /// What the proxy has counted so far. Works from any thread. Not a yield point.
    pub fn metrics(&self) -> ProxyMetrics {
        ProxyMetrics::of(&self.shared.upstreams)
    }
}

impl<'r> Handler<'r> for Proxy {
    type Response = Response;

    /// As [`pass`](Proxy::pass).
    fn handle(&self, request: &'r mut Request) -> Response {
        self.pass(request)
    }
}

/// Makes a [`Proxy`].
///
/// ```
/// use std::time::Duration;
/// use straightline::proxy::{HealthCheck, HostPolicy, Proxy, ProxyTimeouts};
///
/// let proxy = Proxy::builder()
///     .upstream("10.0.0.1:9000")
///     .upstream("backend.internal:9000")
///     .host(HostPolicy::Upstream)
///     .timeouts(ProxyTimeouts::default().with_first_byte(Duration::from_secs(10)))
///     .health_check(HealthCheck::new("/healthz"))
///     .build()?;
/// # std::io::Result::Ok(())
/// ```
#[must_use]
pub struct ProxyBuilder {
    upstreams: Vec<String>,
    host: HostPolicy,
    forwarded: ForwardedPolicy,
    via: String,
    timeouts: ProxyTimeouts,
    limits: ProxyLimits,
    upgrades: Vec<String>,
    health: Option<HealthCheck>,
    ejections: Ejections,
    on_disconnect: OnDisconnect,
    connector: Box<Connector>,
    observer: Option<Box<ProxyObserver>>,
}

impl ProxyBuilder {
    /// Adds an upstream: an address or a name, and a port. A name is resolved for each new
    /// connection. Each request goes to the upstream that has the fewest in flight. At most 64.
    pub fn upstream(mut self, address: impl Into<String>) -> Self {
        self.upstreams.push(address.into());
        self
    }

    /// Which `Host` the upstreams get. Default: the client's.
    pub fn host(mut self, host: HostPolicy) -> Self {
        self.host = host;
        self
    }

    /// What the upstreams are told about the client, in `Forwarded` and `X-Forwarded-For`, `-Host`
    /// and `-Proto`. Default: what the proxy knows itself, in place of what the client says.
    pub fn forwarded(mut self, policy: ForwardedPolicy) -> Self {
        self.forwarded = policy;
        self
    }

    /// The name of the proxy in the `Via` field of requests. Default: `straightline`.
    pub fn via(mut self, name: impl Into<String>) -> Self {
        self.via = name.into();
        self
    }

    /// How long the proxy waits for its upstreams.
    pub fn timeouts(mut self, timeouts: ProxyTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The bounds on what upstreams send, and on connections.
    pub fn limits(mut self, limits: ProxyLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The protocols to which a client may switch its connection, by `Upgrade`. A request for
    /// another one is passed on without that field. Default: `websocket` alone. `h2c` would let
    /// clients send requests that the proxy does not see.
    pub fn upgrades<P: Into<String>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        self.upgrades = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Checks which upstreams are well. Default: none is checked.
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.health = Some(check);
        self
    }

    /// When upstreams that fail are ejected for a while.
    pub fn ejections(mut self, ejections: Ejections) -> Self {
        self.ejections = ejections;
        self
    }

    /// What happens to a request whose client disconnects. Default: [`OnDisconnect::Cancel`], which
    /// closes the connection to the upstream at once. A client that has only closed its writing
    /// side looks the same; for such clients choose [`OnDisconnect::Finish`].
    pub fn on_disconnect(mut self, what: OnDisconnect) -> Self {
        self.on_disconnect = what;
        self
    }

    /// How a connection to an upstream is opened, within [`ProxyTimeouts::connect`]; the function
    /// gets its address, and may wait. Default: TCP. This is the place for TLS, or for Unix
    /// sockets.
    ///
    /// ```
    /// use straightline::net::UnixStream;
    /// use straightline::proxy::Proxy;
    ///
    /// let proxy = Proxy::builder()
    ///     .upstream("app:80")
    ///     .connector(|_| Ok(Box::new(UnixStream::connect("/run/app.sock")?)))
    ///     .build()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn connector(
        mut self,
        connect: impl Fn(&str) -> io::Result<Box<dyn Transport>> + Send + Sync + 'static,
    ) -> Self {
        self.connector = Box::new(connect);
        self
    }

    /// Gets the events, on the thread where they happen. Default: the server's logger.
    pub fn observer(mut self, observer: impl Fn(&ProxyEvent<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Makes the proxy. It connects when the first request comes. Not a yield point.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: there is no upstream, or there are too many; an address has no port, or is
    /// none; a text cannot stand in its field; a time or a limit is 0 that must not be.
    ///
    /// ```
    /// use straightline::proxy::Proxy;
    ///
    /// assert!(Proxy::builder().build().is_err());
    /// assert!(Proxy::builder().upstream("nowhere").build().is_err());
    /// assert!(Proxy::builder().upstream("[::1]:9000").build().is_ok());
    /// ```
    pub fn build(self) -> io::Result<Proxy> {
        self.check()?;
        let Self { upstreams, limits, timeouts, .. } = self;
        let queue = Queue::new(limits.queue, timeouts.queue);
        let upstreams =
            Upstreams::new(upstreams, limits.connections, queue, self.ejections, self.observer);
        let upstreams = Arc::new(upstreams);
        let pools = PerShard::new({
            let upstreams = Arc::clone(&upstreams);
            let (idle_max, idle_time) = (limits.idle_connections, timeouts.idle);
            move || Pool::new(&upstreams, idle_max, idle_time)
        });
        let shared = Shared {
            upstreams,
            heads: HeadPolicy { host: self.host, forwarded: self.forwarded, via: self.via },
            timeouts,
            limits,
            upgrades: self.upgrades,
            health: self.health,
            on_disconnect: self.on_disconnect,
            connector: self.connector,
            pools,
            is_checked: AtomicBool::new(false),
        };
        Ok(Proxy { shared: Arc::new(shared) })
    }

    fn check(&self) -> io::Result<()> {
        match self.upstreams.len() {
            0 => return Err(invalid("a proxy needs an upstream".to_owned())),
            count if count > UPSTREAMS_MAX => {
                return Err(invalid(format!("more than {UPSTREAMS_MAX} upstreams: {count}")));
            }
            _ => {}
        }
        for address in &self.upstreams {
            let port = address.rsplit_once(':').map(|(_, port)| port);
            let has_port = port.is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
            if !is_authority(address.as_bytes()) || !has_port {
                let message = format!("an upstream that is no address with a port: {address:?}");
                return Err(invalid(message));
            }
        }
        let is_name = |text: &str| !text.is_empty() && text.bytes().all(is_token);
        if !is_name(&self.via) {
            return Err(invalid(format!("a name that cannot stand in Via: {:?}", self.via)));
        }
        if let Some(other) = self.upgrades.iter().find(|protocol| !is_name(protocol)) {
            return Err(invalid(format!("a protocol that cannot stand in Upgrade: {other:?}")));
        }
        if let HostPolicy::Fixed(host) = &self.host
            && !is_authority(host.as_bytes())
        {
            return Err(invalid(format!("not a host: {host:?}")));
        }
        if let Some(HealthCheck { path, .. }) = &self.health
            && !(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(invalid(format!("a health check needs a path: {path:?}")));
        }
        self.check_numbers()
    }

    fn check_numbers(&self) -> io::Result<()> {
        let ProxyTimeouts { connect, first_byte, write, body, upgraded, .. } = &self.timeouts;
        let health = self.health.as_ref().map_or(Duration::MAX, |check| {
            check.interval.min(check.timeout) // neither may be zero
        });
        let times = [*connect, *first_byte, *write, *body, *upgraded, health];
        let ProxyLimits { head_bytes, fields, connections, attempts, .. } = self.limits;
        if times.contains(&Duration::ZERO) {
            return Err(invalid("a time of the proxy is zero".to_owned()));
        }
        if [head_bytes, fields, connections, attempts].contains(&0) {
            return Err(invalid("a limit of the proxy is zero".to_owned()));
        }
        Ok(())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.shared.upstreams.all().iter().map(Upstream::address);
        f.debug_struct("Proxy")
            .field("upstreams", &addresses.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ProxyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBuilder")
            .field("upstreams", &self.upstreams)
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// What the proxy answers itself. A tunnel would let clients reach every address that the proxy
/// reaches, and TRACE would show a client the fields that the proxy adds.
fn answer_of_proxy(request: &Request) -> Option<Response> {
    match *request.method() {
        Method::CONNECT | Method::TRACE => {
            let detail = format!("The proxy does not pass {} on.", request.method());
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED).with_detail(detail);
            Some(problem.into_response().header("allow", ALLOWED).close())
        }
        // RFC 9110 section 7.6.2
        Method::OPTIONS if max_forwards(request) == Some(0) => {
            Some(Response::new(StatusCode::NO_CONTENT).header("allow", ALLOWED))
        }
        _ => None,
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message)
}

const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// The upstreams that a request has tried are a set of 64 bits.
const UPSTREAMS_MAX: usize = 64;
