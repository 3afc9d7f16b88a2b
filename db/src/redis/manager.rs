//! What a pool knows about Redis.

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, cmd};
use straightline_net::{TcpStream, UnixStream};

use super::connection::{Connection, Stream};
use crate::error::Error;
use crate::pool::{Manager, Returned};

/// Makes connections to a Redis server. A clone is cheap and shares the settings, so give one to
/// each shard.
///
/// The address is a URL as the crate `redis` reads it: `redis://user:password@host:6379/0`,
/// `unix:///run/redis.sock?db=1`, and `rediss://` for TLS (feature `tls`, with a connector). The
/// protocol is RESP2.
///
/// ```
/// use straightline_db::redis::Redis;
///
/// Redis::new("redis://localhost/1")?;
/// assert!(Redis::new("http://localhost").is_err());
/// # Ok::<(), straightline_db::Error>(())
/// ```
#[derive(Clone)]
pub struct Redis {
    info: Arc<ConnectionInfo>,
    answer_timeout: Option<Duration>,
    is_tls: bool,
    #[cfg(feature = "tls")]
    connector: Option<straightline_tls::TlsConnector>,
}

impl Redis {
    /// Connections to that address. Nothing is connected yet. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if the address cannot be read, or asks for what there is not.
    pub fn new(address: &str) -> Result<Self, Error> {
        // The crate reads this scheme only if it has a TLS library of its own.
        let plain = address.strip_prefix("rediss://").map(|rest| format!("redis://{rest}"));
        let is_tls = plain.is_some();
        if is_tls && !cfg!(feature = "tls") {
            let text = "`rediss://` asks for TLS, which is the feature `tls` of straightline-db";
            return Err(Error::Config(text.to_owned()));
        }
        let info = plain.as_deref().unwrap_or(address).into_connection_info();
        let info = info.map_err(|error| {
            Error::Config(format!("the address of Redis cannot be read: {error}"))
        })?;
        if info.redis_settings().protocol() != ProtocolVersion::RESP2 {
            let text = "the address of Redis asks for RESP3, and connections here have RESP2";
            return Err(Error::Config(text.to_owned()));
        }
        Ok(Self {
            info: Arc::new(info),
            answer_timeout: Some(ANSWER_TIMEOUT),
            is_tls,
            #[cfg(feature = "tls")]
            connector: None,
        })
    }

    /// How long a command may wait for its answer; then the connection is closed. The fiber's
    /// deadline bounds the wait as well. Default: 30 s, far more than a command takes that does not
    /// wait on purpose. Set more, or `None`, for those that do (`BLPOP`).
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// The connector for `rediss://`. It always checks the server's certificate.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, connector: straightline_tls::TlsConnector) -> Self {
        self.connector = Some(connector);
        self
    }

    fn stream(&self) -> Result<Stream, Error> {
        let at = |error| Error::connect(self.address(), error);
        match self.info.addr() {
            ConnectionAddr::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).map_err(at)?;
                stream.set_nodelay(true).map_err(at)?;
                if self.is_tls { self.secure(host, stream) } else { Ok(Stream::Tcp(stream)) }
            }
            ConnectionAddr::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).map_err(at)?)),
            other => Err(Error::Config(format!("no connection to Redis at {other}"))),
        }
    }

    #[cfg(feature = "tls")]
    fn secure(&self, host: &str, stream: TcpStream) -> Result<Stream, Error> {
        let Some(connector) = &self.connector else {
            let text = "`rediss://` asks for TLS, and there is no connector: set `Redis::tls`";
            return Err(Error::Config(text.to_owned()));
        };
        let stream = connector.connect(host, stream);
        let stream = stream.map_err(|error| Error::connect(self.address(), error))?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&self, _: &str, _: TcpStream) -> Result<Stream, Error> {
        Err(Error::Config(format!("no TLS to Redis at {}", self.address())))
    }
}

impl Manager for Redis {
    type Connection = Connection;

    fn connect(&self) -> Result<Connection, Error> {
        let stream = self.stream()?;
        let at = |error: redis::RedisError| Error::connect(self.address(), error);
        let timeout = stream.set_timeout(self.answer_timeout);
        timeout.map_err(|error| Error::connect(self.address(), error))?;
        let settings = self.info.redis_settings();
        let mut connection = Connection::new(stream, settings.db());
        if let Some(password) = settings.password() {
            let mut auth = cmd("AUTH");
            if let Some(user) = settings.username() {
                auth.arg(user);
            }
            auth.arg(password).exec(&mut connection).map_err(at)?;
        }
        if settings.db() != 0 {
            cmd("SELECT").arg(settings.db()).exec(&mut connection).map_err(at)?;
        }
        Ok(connection)
    }

    fn address(&self) -> String {
        self.info.addr().to_string()
    }

    fn is_open(&self, connection: &Connection) -> bool {
        connection.is_usable()
    }

    fn returned(&self, connection: &mut Connection) -> Returned {
        if !connection.is_usable() || thread::panicking() {
            Returned::Close
        } else {
            Returned::Reuse
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its password.
        f.debug_struct("Redis").field("address", &self.address()).finish_non_exhaustive()
    }
}

/// See [`Redis::answer_timeout`]. Arbitrary.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
