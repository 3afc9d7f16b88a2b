//! What a pool has to know about its connections.

use crate::error::Error;

/// Makes, checks and repairs the connections of a [`Pool`](crate::Pool).
///
/// Each shard has a pool of its own, so a connection never leaves its shard and need not be `Send`.
///
/// ```
/// use std::io::{BufRead, BufReader, Write};
/// use straightline_db::{Error, Manager, Pool, PoolConfig, Returned};
/// use straightline_net::{TcpListener, TcpStream};
/// use straightline_sched as sched;
///
/// /// Connections to a server that answers each line with a line.
/// struct Lines(String);
///
/// struct Line {
///     stream: BufReader<TcpStream>,
///     /// A question was sent, and its answer has not come.
///     is_asking: bool,
/// }
///
/// impl Line {
///     fn ask(&mut self, question: &str) -> std::io::Result<String> {
///         self.is_asking = true;
///         writeln!(self.stream.get_mut(), "{question}")?;
///         let mut answer = String::new();
///         self.stream.read_line(&mut answer)?; // a deadline may unwind from here
///         self.is_asking = false;
///         Ok(answer)
///     }
/// }
///
/// impl Manager for Lines {
///     type Connection = Line;
///
///     fn connect(&self) -> Result<Line, Error> {
///         let stream = TcpStream::connect(&*self.0);
///         let stream = stream.map_err(|error| Error::connect(&*self.0, error))?;
///         Ok(Line { stream: BufReader::new(stream), is_asking: false })
///     }
///
///     fn address(&self) -> String {
///         self.0.clone()
///     }
///
///     fn is_open(&self, line: &Line) -> bool {
///         !line.stream.get_ref().is_peer_gone()
///     }
///
///     fn returned(&self, line: &mut Line) -> Returned {
///         if line.is_asking { Returned::Close } else { Returned::Reuse }
///     }
/// }
///
/// sched::run(|| {
///     let listener = TcpListener::bind("127.0.0.1:0")?;
///     let address = listener.local_addr()?.to_string();
///     sched::spawn(move || {
///         let (stream, _) = listener.accept()?;
///         std::io::copy(&mut &stream, &mut &stream)
///     });
///     let pool = Pool::new(Lines(address), &PoolConfig::default());
///     assert_eq!(pool.get()?.ask("one?")?, "one?\n");
///     assert_eq!(pool.get()?.ask("two?")?, "two?\n"); // over the same connection
///     assert_eq!(pool.stats().created, 1);
///     Ok::<(), Box<dyn std::error::Error>>(())
/// })
/// # .unwrap();
/// ```
pub trait Manager: 'static {
    /// A connection.
    type Connection: 'static;

    /// Makes a connection. The pool calls it on a fiber of its own and bounds its time, so a
    /// handler that is cancelled meanwhile does not undo the work.
    ///
    /// # Blocking
    ///
    /// It may wait.
    ///
    /// # Cancellation
    ///
    /// [`PoolConfig::connect_timeout`](crate::PoolConfig::connect_timeout) ends it by unwinding.
    ///
    /// # Errors
    ///
    /// [`Error::connect`] with the address. The fiber that has waited longest gets it.
    fn connect(&self) -> Result<Self::Connection, Error>;

    /// Where [`connect`](Self::connect) connects to, for messages. Not a yield point.
    fn address(&self) -> String;

    /// Whether a connection that was idle can be handed out. It should look only at what is known
    /// already, because it runs for each use of the pool. Not a yield point.
    fn is_open(&self, connection: &Self::Connection) -> bool;

    /// What to do with a connection that comes back. It runs in a destructor, also while its fiber
    /// unwinds ([`panicking`](std::thread::panicking) tells), so it must not wait.
    fn returned(&self, connection: &mut Self::Connection) -> Returned;

    /// Makes a connection fit for its next user, after [`Returned::Clean`]. By default there is
    /// nothing to do.
    ///
    /// # Blocking
    ///
    /// It may wait, on a fiber of the pool.
    ///
    /// # Cancellation
    ///
    /// [`PoolConfig::care_timeout`](crate::PoolConfig::care_timeout) ends it by unwinding; the
    /// connection is then closed.
    ///
    /// # Errors
    ///
    /// Any: the connection is then closed.
    fn clean(&self, connection: &mut Self::Connection) -> Result<(), Error> {
        let _ = connection;
        Ok(())
    }

    /// Tells the server to stop what the connection asked for, after [`Returned::Abort`]. The
    /// connection is closed afterwards in any case. By default there is nothing to do.
    ///
    /// # Blocking
    ///
    /// It may wait, on a fiber of the pool.
    ///
    /// # Cancellation
    ///
    /// [`PoolConfig::care_timeout`](crate::PoolConfig::care_timeout) ends it by unwinding.
    ///
    /// # Errors
    ///
    /// Any: it is counted ([`PoolStats::abort_failures`](crate::PoolStats::abort_failures)).
    fn abort(&self, connection: &mut Self::Connection) -> Result<(), Error> {
        let _ = connection;
        Ok(())
    }
}

/// What a pool does with a connection that its user has given back.
///
/// ```
/// use straightline_db::Returned;
///
/// fn verdict(is_broken: bool) -> Returned {
///     if is_broken { Returned::Close } else { Returned::Reuse }
/// }
/// assert_eq!(verdict(false), Returned::Reuse);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// It is as new.
    Reuse,
    /// It is fit for use again after [`Manager::clean`].
    Clean,
    /// It is broken, or in an unknown state.
    Close,
    /// It is in the middle of an answer that is not wanted any more: the server learns that by
    /// [`Manager::abort`], and the connection is closed.
    Abort,
}
