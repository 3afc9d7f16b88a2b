//! What a pool knows about PostgreSQL: how to connect, and what to do with a connection that comes
//! back.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use straightline_sched::sync::{Polled, after, select};
use straightline_sched::{FiberBuilder, block_on};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Config, Connection, SimpleQueryMessage};

use super::client::{Client, TransactionState};
use super::endpoint::{Connector, Endpoint, Secure, SocketOptions, Target, in_order, targets};
use super::notifications::Notifications;
use super::wire::Wire;
use crate::error::Error;
use crate::pool::{Manager, Returned};

/// Makes connections to a PostgreSQL server. A clone is cheap and shares the settings, so give
/// one to each shard.
///
/// # The address
///
/// A URL (`postgres://user:password@host:5432/database?sslmode=require`) or pairs
/// (`host=/run/postgresql user=ann`), as [`tokio_postgres::Config`] reads them. All of its settings
/// have an effect here. A host that begins with `/` is the folder of a Unix socket.
///
/// # TLS
///
/// | `sslmode` | with a connector | without one |
/// |---|---|---|
/// | `disable` | no TLS | no TLS |
/// | `prefer` (the default) | TLS, if the server offers it | no TLS |
/// | `require`, `verify-full` | TLS, or an error | an error of `build` |
///
/// Wherever there is TLS, the server's certificate has to lead to a root that the connector trusts,
/// and has to have the name of the host: here `require` is what `verify-full` is elsewhere. A
/// handshake that fails is an error, also with `prefer`. But with `prefer` an attacker in the
/// middle can say that there is no TLS, so ask for `require` where the network is not trusted. A
/// Unix socket has no TLS.
#[derive(Clone)]
pub struct Postgres {
    settings: Arc<Settings>,
}

/// The settings of a [`Postgres`].
///
/// ```
/// use straightline_db::postgres::Postgres;
///
/// let postgres = Postgres::builder("host=/run/postgresql user=ann").statements_max(20).build()?;
/// assert!(Postgres::new("postgres://ann@localhost/?sslmode=require").is_err()); // no connector
/// # Ok::<(), straightline_db::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct PostgresBuilder {
    address: Address,
    statements_max: usize,
    reset: bool,
    connector: Option<Connector>,
}

#[derive(Clone)]
enum Address {
    Text(String),
    Config(Box<Config>),
}

struct Settings {
    config: Config,
    targets: Vec<Target>,
    socket: SocketOptions,
    statements_max: usize,
    reset: bool,
    connector: Option<Connector>,
}

impl Postgres {
    /// Connections to that address, without TLS. Nothing is connected yet. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the address cannot be read, or asks for TLS.
    ///
    /// ```
    /// use straightline_db::postgres::Postgres;
    ///
    /// Postgres::new("postgres://ann@localhost/shop")?;
    /// assert!(Postgres::new("mysql://ann@localhost").is_err());
    /// # Ok::<(), straightline_db::Error>(())
    /// ```
    pub fn new(address: &str) -> Result<Self, Error> {
        Self::builder(address).build()
    }

    /// The settings for that address. Not a yield point.
    pub fn builder(address: &str) -> PostgresBuilder {
        PostgresBuilder::new(Address::Text(address.to_owned()))
    }

    /// The settings for a configuration that the program has made. Not a yield point.
    ///
    /// ```
    /// use straightline_db::postgres::{Postgres, tokio_postgres};
    ///
    /// let mut config = tokio_postgres::Config::new();
    /// config.host("localhost").user("ann").application_name("shop");
    /// let postgres = Postgres::builder_from(config).build()?;
    /// # Ok::<(), straightline_db::Error>(())
    /// ```
    pub fn builder_from(config: Config) -> PostgresBuilder {
        PostgresBuilder::new(Address::Config(Box::new(config)))
    }

    fn secure(&self, endpoint: &Endpoint) -> Secure {
        let name = match endpoint {
            Endpoint::Tcp { host, .. } => host.clone(),
            Endpoint::Unix(_) => String::new(), // it has no TLS
        };
        Secure { connector: self.settings.connector.clone(), name }
    }

    /// A connection of its own, beside every pool, that gets the messages of `NOTIFY` in these
    /// channels.
    ///
    /// # Blocking
    ///
    /// A yield point. Only the caller's deadline, and the `connect_timeout` of the address, bound
    /// it.
    ///
    /// # Cancellation
    ///
    /// Nothing is left.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`], and [`Error::Postgres`] if the server does not listen.
    pub fn listen(&self, channels: &[&str]) -> Result<Notifications, Error> {
        let (client, connection, endpoint) = self.first_of(|endpoint| {
            let (client, connection) = self.open(endpoint)?;
            Ok((client, connection, endpoint.to_string()))
        })?;
        Notifications::begin(client, connection, endpoint, channels)
    }

    /// Tries the addresses in their order, until `open` succeeds. The error is that of the last
    /// one.
    fn first_of<T>(&self, open: impl Fn(&Endpoint) -> Result<T, Error>) -> Result<T, Error> {
        let mut last = None;
        for target in in_order(&self.settings.targets, &self.settings.config) {
            let endpoints = match target.endpoints() {
                Ok(endpoints) => endpoints,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            for endpoint in endpoints {
                match open(&endpoint) {
                    Ok(opened) => return Ok(opened),
                    Err(error) => last = Some(error),
                }
            }
        }
        Err(last.unwrap_or_else(|| Error::connect(self.address(), "the name has no address")))
    }

    fn connect_to(&self, endpoint: &Endpoint) -> Result<Client, Error> {
        let settings = &*self.settings;
        let (inner, connection) = self.open(endpoint)?;
        let driver = FiberBuilder::new().name("postgres: connection").spawn(move || {
            // How it ended is what the calls of the client say.
            let _ = block_on(connection);
        });
        let driver = driver.map_err(|error| Error::connect(endpoint.to_string(), error))?;
        let client = Client::new(inner, endpoint.clone(), driver, settings.statements_max);
        check_session(&client, settings.config.get_target_session_attrs()).map_err(|error| {
            match error {
                Error::Postgres(source) => Error::connect(endpoint.to_string(), source),
                other => other,
            }
        })?;
        Ok(client)
    }

    /// A connection without the fiber that does its input and output.
    fn open(
        &self,
        endpoint: &Endpoint,
    ) -> Result<(tokio_postgres::Client, Connection<Wire, Wire>), Error> {
        let settings = &*self.settings;
        let wire = endpoint.connect(&settings.socket);
        let wire = wire.map_err(|error| Error::connect(endpoint.to_string(), error))?;
        let mut config = settings.config.clone();
        if endpoint.is_local() {
            config.ssl_mode(SslMode::Disable);
        }
        let connected = block_on(config.connect_raw(wire, self.secure(endpoint)))?;
        connected.map_err(|error| Error::connect(endpoint.to_string(), error))
    }
}

/// Checks that the session allows what the address asks for.
fn check_session(client: &Client, asked: TargetSessionAttrs) -> Result<(), Error> {
    if asked == TargetSessionAttrs::Any {
        return Ok(());
    }
    let answer = client.simple_query("SHOW transaction_read_only")?;
    let is_read_only = answer.iter().any(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0) == Some("on"),
        _ => false,
    });
    if is_read_only == (asked == TargetSessionAttrs::ReadOnly) {
        return Ok(());
    }
    let why = if is_read_only { "the session is read-only" } else { "the session allows writes" };
    Err(Error::connect(client.endpoint.to_string(), why))
}

impl Manager for Postgres {
    type Connection = Client;

    fn connect(&self) -> Result<Client, Error> {
        self.first_of(|endpoint| self.connect_to(endpoint))
    }

    fn address(&self) -> String {
        let targets: Vec<_> = self.settings.targets.iter().map(Target::to_string).collect();
        targets.join(", ")
    }

    fn is_open(&self, client: &Client) -> bool {
        !client.is_closed()
    }

    fn returned(&self, client: &mut Client) -> Returned {
        let is_used = client.take_used();
        if client.is_closed() {
            Returned::Close
        } else if client.is_in_flight() {
            Returned::Abort
        } else if client.transaction.get() != TransactionState::None
            || (is_used && (self.settings.reset || thread::panicking()))
        {
            Returned::Clean
        } else {
            Returned::Reuse
        }
    }

    fn clean(&self, client: &mut Client) -> Result<(), Error> {
        client.wait(client.inner.batch_execute("ROLLBACK"))?;
        if self.settings.reset {
            client.wait(client.inner.batch_execute(RESET))?;
        }
        client.transaction.set(TransactionState::None);
        client.take_used();
        Ok(())
    }

    /// Sends cancel requests until the server has answered. The first one may come before the
    /// statement that it is for.
    fn abort(&self, client: &mut Client) -> Result<(), Error> {
        let token = client.inner.cancel_token();
        // It is answered when the statement is over.
        let answered = Polled::new(Box::pin(client.inner.batch_execute("")));
        loop {
            let wire = client.endpoint.connect(&self.settings.socket);
            let wire = wire.map_err(|error| Error::connect(client.endpoint.to_string(), error))?;
            block_on(token.cancel_query_raw(wire, self.secure(&client.endpoint)))??;
            if select(&[&answered, &after(CANCEL_AGAIN)])? == 0 {
                return Ok(());
            }
        }
    }
}

impl PostgresBuilder {
    fn new(address: Address) -> Self {
        Self { address, statements_max: STATEMENTS_MAX, reset: false, connector: None }
    }

    /// Makes connections with TLS, see [`Postgres`]. Default: none, and no TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, connector: straightline_tls::TlsConnector) -> Self {
        self.connector = Some(connector);
        self
    }

    /// How many prepared statements a connection keeps. 0 keeps none, for a program whose SQL is
    /// different each time. Default: 100; each takes some kilobytes in the server.
    pub fn statements_max(mut self, statements: usize) -> Self {
        self.statements_max = statements;
        self
    }

    /// Whether a connection that was used is made as new before the next user gets it: an open
    /// transaction, settings (`SET`), the role, temporary tables, cursors, `LISTEN` and advisory
    /// locks are gone then. It takes two round trips for each use, on another fiber. Default: no; a
    /// program that changes its session undoes that itself.
    pub fn reset(mut self, reset: bool) -> Self {
        self.reset = reset;
        self
    }

    /// Checks the settings. Nothing is connected yet. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the address cannot be read, or asks for TLS and there is no connector.
    pub fn build(self) -> Result<Postgres, Error> {
        let mut config = match self.address {
            Address::Config(config) => *config,
            Address::Text(text) => parse(&text)?,
        };
        let has_tls = self.connector.is_some();
        match config.get_ssl_mode() {
            SslMode::Disable => {}
            SslMode::Prefer if has_tls => {}
            SslMode::Prefer => {
                config.ssl_mode(SslMode::Disable);
            }
            _ if has_tls => {}
            _ => {
                let text = "the address of the database asks for TLS, and there is no connector: \
                            set `PostgresBuilder::tls` (feature `tls`)";
                return Err(Error::Config(text.to_owned()));
            }
        }
        let settings = Settings {
            targets: targets(&config)?,
            socket: SocketOptions::new(&config),
            config,
            statements_max: self.statements_max,
            reset: self.reset,
            connector: self.connector,
        };
        Ok(Postgres { settings: Arc::new(settings) })
    }
}

/// Reads an address. `verify-full` is what `require` means here, and `tokio-postgres` does not know
/// the word.
fn parse(text: &str) -> Result<Config, Error> {
    let known = text.replace("sslmode=verify-full", "sslmode=require");
    known.parse().map_err(|error: tokio_postgres::Error| {
        // The address itself is not told: it may contain a password.
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Error::Config(format!(
            "the address of the database cannot be read: {error}{}",
            cause.unwrap_or_default()
        ))
    })
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its password.
        f.debug_tuple("Postgres").field(&self.settings.config).finish()
    }
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBuilder")
            .field("statements_max", &self.statements_max)
            .field("reset", &self.reset)
            .finish_non_exhaustive()
    }
}

/// What `DISCARD ALL` does, without the prepared statements, which are kept on purpose.
const RESET: &str = "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; \
                     SELECT pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

/// For the statements of a program of some size. Arbitrary.
const STATEMENTS_MAX: usize = 100;

/// When a cancel request without effect is repeated. A server that is not overloaded answers within
/// milliseconds. Arbitrary.
const CANCEL_AGAIN: Duration = Duration::from_millis(500);
