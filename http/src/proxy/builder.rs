//! How a proxy is made.

use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use straightline_net::Transport;

use super::events::{ProxyEvent, ProxyObserver};
use super::forwarded::ForwardedPolicy;
use super::pool::Pool;
use super::proxy::Proxy;
use super::request_head::HeadPolicy;
use super::settings::{Ejections, HealthCheck, HostPolicy, ProxyLimits, ProxyTimeouts};
use super::shared::{Connector, Shared, connect_tcp};
use super::upstreams::Upstreams;
use crate::config::OnDisconnect;
use crate::proto::{is_authority, is_token};
use crate::web::PerShard;

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
        let upstreams =
            Upstreams::new(upstreams, limits.connections, self.ejections, self.observer);
        let upstreams = Arc::new(upstreams);
        let pools = PerShard::new({
            let upstreams = Arc::clone(&upstreams);
            let (idle_max, idle_time) = (limits.idle_connections, timeouts.idle);
            move || Pool::new(&upstreams, idle_max, idle_time)
        });
        Ok(Proxy::of(Shared {
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
        }))
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

impl fmt::Debug for ProxyBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBuilder")
            .field("upstreams", &self.upstreams)
            .field("timeouts", &self.timeouts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, message)
}

/// The upstreams that a request has tried are a set of 64 bits.
const UPSTREAMS_MAX: usize = 64;
