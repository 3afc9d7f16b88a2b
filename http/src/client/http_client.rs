//! The client: an agent of `ureq` with connections of ours.

use std::fmt;
use std::ops::Deref;

#[cfg(feature = "_tls")]
use straightline_tls::TlsConnector;
use ureq::config::{Config, ConfigBuilder};
use ureq::typestate::AgentScope;
use ureq::{Agent, Proxy};

use super::client_limits::ClientLimits;
use super::client_tls::ClientTls;
use super::connector::{NoResolver, ShardConnector};
use super::dialer::Dialer;
use super::pools::PoolKey;
use crate::config::Networks;

/// An HTTP client for fibers: an [`Agent`] of `ureq`, to which it dereferences, so all its methods
/// are there. The page of the [module](super) says what is different.
///
/// A clone is cheap, and shares the connections. It is `Send` and `Sync`: make one for the program.
///
/// ```
/// use straightline::client::Client;
/// use straightline::{Request, Server, sched};
///
/// sched::run(|| {
///     let server = Server::builder().bind("127.0.0.1:0").workers(1);
///     let server = server.build(|request: &mut Request| format!("this is {}", request.target()))?;
///     let url = format!("http://{}/a?b", server.local_addrs()[0]);
///     let handle = server.handle();
///     let serving = std::thread::spawn(|| server.run());
///
///     let client = Client::new();
///     let mut response = client.get(url).call()?;
///     assert_eq!(response.status(), 200);
///     assert_eq!(response.body_mut().read_to_string()?, "this is /a?b");
///
///     handle.shutdown();
///     sched::offload(|| serving.join()).unwrap().unwrap()?;
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })
/// # .unwrap();
/// ```
///
/// # Blocking
///
/// A call is a yield point, and so is a read of its response's body.
///
/// # Cancellation
///
/// A cancel or a deadline ends a call, and a read of a body, by unwinding, and closes the
/// connection.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
}

/// The settings of a [`Client`], which [`Client::builder`] makes.
///
/// ```
/// use straightline::client::{Client, ureq::Proxy};
///
/// let client = Client::builder()
///     .configure(|config| config.https_only(true).max_redirects(3).user_agent("stock/1.0"))
///     .proxy(Some(Proxy::new("http://proxy.example:3128")?))
///     .build();
/// # drop(client);
/// # Ok::<(), straightline::client::ureq::Error>(())
/// ```
#[must_use]
pub struct ClientBuilder {
    config: ConfigBuilder<AgentScope>,
    limits: ClientLimits,
    tls: ClientTls,
    refused: Networks,
}

impl Client {
    /// A client with the default settings. Not a yield point.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// The settings, with their defaults. Not a yield point.
    pub fn builder() -> ClientBuilder {
        let config = Config::builder()
            .http_status_as_error(false)
            .proxy(None)
            .user_agent(USER_AGENT)
            .max_response_header_size(HEAD_BYTES_MAX)
            .input_buffer_size(BUFFER_BYTES)
            .output_buffer_size(BUFFER_BYTES);
        ClientBuilder {
            config,
            limits: ClientLimits::default(),
            tls: ClientTls::default(),
            refused: Networks::default(),
        }
    }
}

impl ClientBuilder {
    /// Changes the settings of `ureq`, which hold for all calls. Those that are about idle
    /// connections have no effect: [`ClientLimits`] has them. Not a yield point.
    pub fn configure(
        mut self,
        change: impl FnOnce(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope>,
    ) -> Self {
        self.config = change(self.config);
        self
    }

    /// The bounds of the connections. Default: [`ClientLimits::default`]. Not a yield point.
    pub fn limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Networks whose servers the client does not call: a call is a [`RefusedAddress`] error then.
    /// For a client that calls what users have named
    /// ([`Networks::not_public`]), so that they cannot make it call servers that only this machine
    /// reaches. Default: none. Not a yield point.
    ///
    /// The addresses are checked behind the look-up of the name, and are the ones that the client
    /// then connects to, so a name cannot change in between. Each redirect is checked as the first
    /// request is. Of a name with several addresses, those that are not refused are taken. A
    /// [proxy](Self::proxy) may have any address. Behind one, addresses in URLs are checked, but no
    /// names, because the proxy looks them up.
    ///
    /// ```
    /// use straightline::Networks;
    /// use straightline::client::Client;
    ///
    /// let client = Client::builder().refuse(Networks::not_public()).build();
    /// # drop(client);
    /// ```
    ///
    /// [`RefusedAddress`]: super::RefusedAddress
    pub fn refuse(mut self, networks: Networks) -> Self {
        self.refused = networks;
        self
    }

    /// The proxy for all calls, by CONNECT; [`Proxy::try_from_env`] has that of the environment.
    /// Default: none, whatever the environment says: a server's calls should not depend on a
    /// variable that was set for a shell. Not a yield point.
    pub fn proxy(mut self, proxy: Option<Proxy>) -> Self {
        self.config = self.config.proxy(proxy);
        self
    }

    /// Whom to trust in calls with `https`, and who the client is. Default: the roots of the
    /// platform, which the first such call reads. Not a yield point.
    #[cfg(feature = "_tls")]
    pub fn tls(mut self, connector: TlsConnector) -> Self {
        self.tls = ClientTls::new(connector);
        self
    }

    /// The client. Not a yield point.
    pub fn build(self) -> Client {
        let config = self.config.max_idle_connections(0).max_idle_connections_per_host(0).build();
        let dialer = Dialer { tls: self.tls, refused: self.refused };
        let connector = ShardConnector::new(PoolKey::new(self.limits), dialer);
        Client { agent: Agent::with_parts(config, connector, NoResolver) }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Client {
    type Target = Agent;

    fn deref(&self) -> &Agent {
        &self.agent
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

const USER_AGENT: &str = concat!("straightline/", env!("CARGO_PKG_VERSION"));

/// As the server's own limit on the head of a request.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// One read of what a socket usually has. `ureq` itself takes 128 KiB, for each call.
const BUFFER_BYTES: usize = 16 * 1024;
