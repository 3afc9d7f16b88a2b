//! Why a pool, or a database, did not do what it was asked for.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// What went wrong between a fiber and a database.
///
/// ```
/// use std::time::Duration;
/// use straightline_db::Error;
///
/// let error = Error::AcquireTimeout { waited: Duration::from_secs(5), waiting: 3 };
/// assert!(error.is_unavailable());
/// assert_eq!(
///     error.to_string(),
///     "no connection was free within 5s, and 3 other fibers wait for one"
/// );
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No connection was free within
    /// [`PoolConfig::acquire_timeout`](crate::PoolConfig::acquire_timeout): the handlers use the
    /// database for longer than it can serve them.
    AcquireTimeout {
        /// How long the fiber waited.
        waited: Duration,
        /// How many fibers were still waiting.
        waiting: usize,
    },
    /// [`PoolConfig::waiting_max`](crate::PoolConfig::waiting_max) fibers wait already.
    TooManyWaiting {
        /// That limit.
        waiting_max: usize,
    },
    /// There is no connection, and none could be made: the server is down, refuses the user, or is
    /// another one than the address says.
    Connect {
        /// Where the pool tried to connect.
        address: String,
        /// What the system, or the server, answered.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A new connection was not ready within
    /// [`PoolConfig::connect_timeout`](crate::PoolConfig::connect_timeout).
    ConnectTimeout {
        /// Where the pool tried to connect.
        address: String,
        /// That timeout.
        timeout: Duration,
    },
    /// The pool is closed.
    Closed,
    /// The calling fiber unwinds, and so may not wait.
    Unwinding,
    /// A setting is wrong: an address that cannot be read, TLS that is required and not there.
    Config(String),
    /// PostgreSQL, or the connection to it, answered with an error.
    #[cfg(feature = "postgres")]
    Postgres(tokio_postgres::Error),
    /// Redis, or the connection to it, answered with an error.
    #[cfg(feature = "redis")]
    Redis(redis::RedisError),
}

impl Error {
    /// A connection to `address` failed. Not a yield point.
    ///
    /// ```
    /// use std::io;
    /// use straightline_db::Error;
    ///
    /// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    /// let error = Error::connect("db:5432", refused);
    /// assert_eq!(error.to_string(), "cannot connect to db:5432: connection refused");
    /// ```
    pub fn connect(
        address: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Connect { address: address.into(), source: source.into() }
    }

    /// Whether the database was not reached at all, so that nothing was done: a client may try
    /// again later, and a 503 (RFC 9110 section 15.6.4) tells it so. Not a yield point.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::AcquireTimeout { .. }
            | Self::TooManyWaiting { .. }
            | Self::Connect { .. }
            | Self::ConnectTimeout { .. }
            | Self::Closed => true,
            Self::Unwinding | Self::Config(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => false,
            #[cfg(feature = "redis")]
            Self::Redis(_) => false,
        }
    }

    /// Whether the connection broke while it was used. What it was asked for may have been done or
    /// not. Not a yield point.
    ///
    /// ```
    /// assert!(!straightline_db::Error::Closed.is_disconnect());
    /// ```
    pub fn is_disconnect(&self) -> bool {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => is_postgres_disconnect(error),
            #[cfg(feature = "redis")]
            Self::Redis(error) => error.is_io_error(),
            _ => false,
        }
    }

    /// The code of PostgreSQL's answer (SQLSTATE), if it is one. Not a yield point.
    #[cfg(feature = "postgres")]
    pub fn sql_state(&self) -> Option<&tokio_postgres::error::SqlState> {
        match self {
            Self::Postgres(error) => error.code(),
            _ => None,
        }
    }
}

/// A connection that closed, an error of the stream, or a server that ends (class 57P).
#[cfg(feature = "postgres")]
fn is_postgres_disconnect(error: &tokio_postgres::Error) -> bool {
    let is_io = || {
        let source = StdError::source(error);
        source.is_some_and(|source| source.downcast_ref::<std::io::Error>().is_some())
    };
    let ends = || error.code().is_some_and(|code| code.code().starts_with("57P"));
    error.is_closed() || ends() || is_io()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AcquireTimeout { waited, waiting } => write!(
                f,
                "no connection was free within {waited:?}, and {waiting} other fibers wait for one"
            ),
            Self::TooManyWaiting { waiting_max } => {
                write!(f, "{waiting_max} fibers wait for a connection already, which is the limit")
            }
            Self::Connect { address, source } => {
                write!(f, "cannot connect to {address}: ")?;
                write_chain(f, &**source)
            }
            Self::ConnectTimeout { address, timeout } => {
                write!(f, "a connection to {address} was not ready within {timeout:?}")
            }
            Self::Closed => f.write_str("the pool of connections is closed"),
            Self::Unwinding => f.write_str("the fiber unwinds, and may not wait for a database"),
            Self::Config(text) => f.write_str(text),
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => {
                f.write_str("PostgreSQL: ")?;
                write_chain(f, error)
            }
            #[cfg(feature = "redis")]
            Self::Redis(error) => write!(f, "Redis: {error}"),
        }
    }
}

/// An error and its causes, each of them once: some errors already print their cause.
fn write_chain(f: &mut fmt::Formatter<'_>, error: &(dyn StdError + 'static)) -> fmt::Result {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    f.write_str(&text)
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Connect { source, .. } => Some(&**source),
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => Some(error),
            #[cfg(feature = "redis")]
            Self::Redis(error) => Some(error),
            _ => None,
        }
    }
}

impl From<straightline_sched::Unwinding> for Error {
    fn from(_: straightline_sched::Unwinding) -> Self {
        Self::Unwinding
    }
}

#[cfg(feature = "postgres")]
impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Postgres(error)
    }
}

#[cfg(feature = "redis")]
impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        Self::Redis(error)
    }
}
