//! A connection to Redis, for the commands of the crate `redis`.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use redis::{Cmd, ConnectionLike, Parser, RedisResult, Value};
use straightline_net::{TcpStream, UnixStream};

/// A connection to Redis. The traits of the crate `redis` (`TypedCommands`, `Commands`,
/// `ConnectionLike`) have its commands; `redis::pipe` sends several at once.
///
/// # Blocking
///
/// Each command is a yield point.
///
/// # Cancellation
///
/// A fiber that is cancelled or past its deadline in a command unwinds, and the connection is not
/// used again. Whether the command was done is not known.
///
/// ```no_run
/// use straightline_db::redis::redis::Commands;
/// use straightline_db::redis::Redis;
/// use straightline_db::{Pool, PoolConfig};
///
/// # straightline_sched::run(|| {
/// let pool = Pool::new(Redis::new("redis://localhost/0")?, &PoolConfig::default());
/// let hits: u64 = pool.get()?.incr("hits", 1)?;
/// println!("{hits}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # });
/// ```
pub struct Connection {
    stream: Stream,
    parser: Parser,
    database: i64,
    /// False while an answer is awaited, and after an error of the stream.
    is_open: bool,
}

/// What is below a connection.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<straightline_tls::TlsStream<TcpStream>>),
}

impl Stream {
    pub(super) fn set_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)
            }
            Self::Unix(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => {
                stream.set_read_timeout(timeout);
                stream.set_write_timeout(timeout);
                Ok(())
            }
        }
    }

    /// Whether the server has closed its side. The answers that it has sent before do not count:
    /// between two commands there is none.
    fn is_peer_gone(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_peer_gone(),
            Self::Unix(stream) => stream.is_peer_gone(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => straightline_net::Transport::is_peer_gone(&**stream),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.flush(),
            Self::Unix(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Connection {
    pub(super) fn new(stream: Stream, database: i64) -> Self {
        Self { stream, parser: Parser::new(), database, is_open: true }
    }

    /// Whether it can be used for another command.
    pub(super) fn is_usable(&self) -> bool {
        self.is_open && !self.stream.is_peer_gone()
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command(&mut self, command: &[u8]) -> RedisResult<Value> {
        let mut answers = self.req_packed_commands(command, 0, 1)?;
        // One answer was asked for, and `req_packed_commands` returns as many.
        answers.pop().unwrap_or(Value::Nil).extract_error()
    }

    fn req_packed_commands(
        &mut self,
        commands: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if !self.is_open {
            return Err(io::Error::from(io::ErrorKind::NotConnected).into());
        }
        // Until all answers are here: an error or an unwind in between leaves it closed.
        self.is_open = false;
        self.stream.write_all(commands)?;
        self.stream.flush()?;
        let mut answers = Vec::with_capacity(count);
        for number in 0..offset + count {
            let answer = self.parser.parse_value(&mut self.stream)?;
            if number >= offset {
                answers.push(answer);
            }
        }
        self.is_open = true;
        Ok(answers)
    }

    fn get_db(&self) -> i64 {
        self.database
    }

    fn check_connection(&mut self) -> bool {
        Cmd::ping().exec(self).is_ok()
    }

    fn is_open(&self) -> bool {
        self.is_open
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("database", &self.database)
            .field("is_open", &self.is_open)
            .finish_non_exhaustive()
    }
}
