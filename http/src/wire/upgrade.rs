//! Connections that switch to another protocol: `Upgrade` and CONNECT.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::rc::Rc;
#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use straightline_net::Transport;
#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
use straightline_sched::poll_checkpoint;
use straightline_sched::sync::{FlagReader, Ready};
use straightline_sched::{Interest, checkpoint, now};
#[cfg(feature = "_tls")]
use straightline_tls::TlsInfo;

use super::link::Link;
use super::protocol::Protocol;
use crate::config::Peer;

/// The connection behind an [`upgrade`](crate::Response::upgrade) or in a
/// [`tunnel`](crate::Response::tunnel): bytes both ways, all of them the protocol's own.
///
/// Bytes that the client sent along with its request are read first. Reading and writing also work
/// through a shared reference, so that one fiber may read while another writes. The connection ends
/// when the function that got this value returns, even if the value has been moved elsewhere. So a
/// fiber that uses it must not outlive that function: use a scope.
///
/// A drain of the server waits for the protocol, and cancels it at the end of the drain timeout. A
/// protocol that may be idle should learn of the drain, in one of two ways: it selects on
/// [`draining`](Self::draining) beside its other work, or, if it waits in a read that it cannot put
/// into a `select` (the read of a foreign parser), it lets the drain
/// [interrupt that read](Self::interrupt_on_drain). If it has asked for neither, and sends and
/// receives nothing for five seconds of the drain, it is ended then, as a handler is whose timeout
/// expires.
///
/// # Blocking
///
/// Reads and writes are yield points. The server sets no timeout; the protocol does that itself, in
/// one of two ways:
///
/// - [`set_read_timeout`](Self::set_read_timeout) ends one call with an error. This is right for
///   the reads inside of foreign code, such as a WebSocket parser: that code passes the error on,
///   and keeps its state and the bytes that it has.
/// - A [deadline](straightline_sched::deadline) unwinds. This is right around a whole unit of work
///   whose end means the end of the connection. If it unwinds through a parser that is used
///   afterwards, that parser has lost what it had read.
///
/// # Cancellation
///
/// A cancel or a deadline is raised before anything is read or written.
///
/// # Errors
///
/// The socket's errors, and [`TimedOut`](ErrorKind::TimedOut) after a timeout. A loop that ignores
/// the socket's errors is ended after a thousand of them.
///
/// # Two directions
///
/// `&client` is a `Read` and a `Write`. For code that takes a reader and a writer by value,
/// [`split`](straightline_net::split()) makes two values. With the feature `tokio-io` or
/// `futures-io` an `AsyncStream` (module `compat`) has the asynchronous traits.
///
/// ```
/// use std::io::{self, Read, Write};
/// use straightline::{Response, Upgraded, sched};
///
/// /// Sends a greeting, and then echoes what it receives.
/// fn speak(client: Upgraded) -> io::Result<()> {
///     sched::scope(|scope| {
///         let echo = scope.spawn(|| io::copy(&mut &client, &mut &client));
///         (&client).write_all(b"hello\n")?;
///         echo.join().unwrap_or(Ok(0)).map(drop)
///     })
/// }
///
/// let response = Response::upgrade("echo", speak);
/// ```
pub struct Upgraded {
    link: Rc<Link>,
    /// The bytes that came with the request, and how many of them have been read.
    early: RefCell<(Vec<u8>, usize)>,
    protocol: Rc<Protocol>,
    /// How long one call may wait; never zero.
    read_timeout: Cell<Option<Duration>>,
    write_timeout: Cell<Option<Duration>>,
}

impl Upgraded {
    pub(crate) fn new(link: Rc<Link>, early: Vec<u8>) -> Self {
        let protocol = link.begin_protocol();
        Self {
            link,
            early: RefCell::new((early, 0)),
            protocol,
            read_timeout: Cell::new(None),
            write_timeout: Cell::new(None),
        }
    }

    pub(crate) fn protocol(&self) -> &Rc<Protocol> {
        &self.protocol
    }

    /// The connection below.
    #[cfg(feature = "websocket")]
    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    /// Whether no bytes are left that came along with the request.
    #[cfg(feature = "websocket")]
    pub(super) fn is_early_read(&self) -> bool {
        self.early.borrow().0.is_empty()
    }

    /// The client's address. Not a yield point.
    pub fn peer(&self) -> &Peer {
        self.link.peer()
    }

    /// As [`Request::tls`](crate::Request::tls). Not a yield point.
    ///
    /// ```
    /// use straightline::Response;
    ///
    /// let response = Response::upgrade("echo", |client| match client.tls() {
    ///     Some(_) => std::io::copy(&mut &client, &mut &client).map(drop),
    ///     None => Err(std::io::Error::other("only over TLS")),
    /// });
    /// ```
    #[cfg(feature = "_tls")]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.link.tls()
    }

    /// As [`Request::transport_info`](crate::Request::transport_info). Not a yield point.
    pub fn transport_info<T: 'static>(&self) -> Option<&T> {
        self.link.info()
    }

    /// Ends each call that reads with [`TimedOut`](ErrorKind::TimedOut) once it has waited for
    /// `timeout`; `None`, the default, waits without end. As with std's sockets the connection
    /// stays usable, and no data that arrives is lost.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is zero.
    ///
    /// ```
    /// use std::io::{self, BufRead, BufReader, ErrorKind, Write};
    /// use std::time::Duration;
    /// use straightline::{Response, Upgraded};
    ///
    /// /// Answers lines, and asks a client that is silent for half a minute whether it is there.
    /// fn chat(client: Upgraded) -> io::Result<()> {
    ///     client.set_read_timeout(Some(Duration::from_secs(30)))?;
    ///     // Any parser over `Read` will do: it passes the error on, and keeps half a line.
    ///     let (mut lines, mut line) = (BufReader::new(&client), Vec::new());
    ///     loop {
    ///         match lines.read_until(b'\n', &mut line) {
    ///             Ok(0) => return Ok(()),
    ///             Ok(_) => (&client).write_all(&std::mem::take(&mut line))?,
    ///             Err(error) if error.kind() == ErrorKind::TimedOut => {
    ///                 (&client).write_all(b"?\n")?;
    ///             }
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    /// }
    ///
    /// let response = Response::upgrade("chat", chat);
    /// ```
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.set(checked(timeout)?);
        Ok(())
    }

    /// As [`set_read_timeout`](Self::set_read_timeout), for each call that writes.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput) if it is zero.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.write_timeout.set(checked(timeout)?);
        Ok(())
    }

    /// That a read would not block, as a thing to [`select`](straightline_sched::sync::select())
    /// on: bytes or the end have come, or came along with the request, or there is an error.
    ///
    /// A parser in front of the connection may hold bytes that it has read already: ask it first.
    ///
    /// Not a yield point; the `select` is one.
    ///
    /// ```
    /// use std::io::{self, Read, Write};
    /// use straightline::sched::sync::{broadcast, select};
    /// use straightline::{Response, Upgraded};
    ///
    /// /// Passes on what others say, and what this client says, until the server shuts down.
    /// fn chat(mut client: Upgraded, room: &broadcast::Sender<Vec<u8>>) -> io::Result<()> {
    ///     let (others, draining) = (room.subscribe(), client.draining());
    ///     let mut bytes = [0; 1024];
    ///     loop {
    ///         match select(&[&client.readable(), &others, &draining])? {
    ///             0 => match client.read(&mut bytes)? {
    ///                 0 => return Ok(()),
    ///                 count => drop(room.send(bytes[..count].to_vec())),
    ///             },
    ///             1 => {
    ///                 if let Ok(message) = others.try_recv() {
    ///                     client.write_all(&message)?;
    ///                 }
    ///             }
    ///             _ => return client.write_all(b"goodbye\n"),
    ///         }
    ///     }
    /// }
    ///
    /// let room = broadcast::channel(16).0;
    /// let response = Response::upgrade("chat", move |client| chat(client, &room));
    /// ```
    pub fn readable(&self) -> Ready<'_> {
        if self.early.borrow().0.is_empty() {
            self.link.transport.ready(Interest::Read)
        } else {
            Ready::now()
        }
    }

    /// That a write would not block, as a thing to [`select`](straightline_sched::sync::select())
    /// on.
    ///
    /// Not a yield point; the `select` is one.
    pub fn writable(&self) -> Ready<'_> {
        self.link.transport.ready(Interest::Write)
    }

    /// Tells the peer that nothing more will be written.
    ///
    /// # Blocking
    ///
    /// A yield point. It waits only for a stream that has to send bytes of its own first, such as
    /// TLS, and then as a write does.
    ///
    /// # Errors
    ///
    /// The socket's error, for example when the peer is gone.
    pub fn shutdown_write(&self) -> io::Result<()> {
        let shutdown = |transport: &dyn Transport| transport.shutdown_write().map(|()| 0);
        self.wait(Interest::Write, shutdown).map(drop)
    }

    /// Lets a drain of the server interrupt the protocol's reads: once the drain has begun, one
    /// read that has to wait, or already waits, fails with an error. Bytes that have arrived are
    /// still read before that, and all later reads work as usual, so that the protocol can say
    /// goodbye and wait for the answer. It has the [drain
    /// timeout](crate::ServerBuilder::drain_timeout) for that.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::io::{self, Read, Write};
    /// use straightline::{Response, Upgraded};
    ///
    /// fn echo(mut client: Upgraded) -> io::Result<()> {
    ///     client.interrupt_on_drain();
    ///     let mut message = [0; 1024];
    ///     loop {
    ///         match client.read(&mut message) {
    ///             Ok(0) => return Ok(()),
    ///             Ok(count) => client.write_all(&message[..count])?,
    ///             Err(_) if client.draining().is_set() => return client.write_all(b"goodbye\n"),
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    /// }
    ///
    /// let response = Response::upgrade("echo", echo);
    /// ```
    pub fn interrupt_on_drain(&self) {
        self.protocol.interrupt_on_drain();
    }

    /// Set from the moment when the drain of this shard begins: something to
    /// [`select`](straightline_sched::sync::select) on, to wait for, or to check between two
    /// messages. A protocol that has called this has the whole
    /// [drain timeout](crate::ServerBuilder::drain_timeout) to end, however silent it is.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::io::{self, Read, Write};
    /// use straightline::sched::sync::select;
    /// use straightline::{Response, Upgraded};
    ///
    /// /// Echoes, and says goodbye when the server shuts down.
    /// fn echo(mut client: Upgraded) -> io::Result<()> {
    ///     let (draining, mut bytes) = (client.draining(), [0; 1024]);
    ///     while select(&[&client.readable(), &draining])? == 0 {
    ///         match client.read(&mut bytes)? {
    ///             0 => return Ok(()),
    ///             count => client.write_all(&bytes[..count])?,
    ///         }
    ///     }
    ///     client.write_all(b"goodbye\n")?;
    ///     client.shutdown_write()
    /// }
    ///
    /// let response = Response::upgrade("echo", echo);
    /// ```
    pub fn draining(&self) -> FlagReader {
        self.protocol.watch_drain();
        self.link.host.draining()
    }

    /// Waits until `interest` may be ready. An error is the interruption by a drain, the end of the
    /// timeout, or the stream's.
    fn park(&self, interest: Interest, end: &mut Option<Instant>) -> io::Result<()> {
        let (reading, timeout) = match interest {
            Interest::Read => {
                let reading = self.protocol.begin_read(self.link.host.is_draining())?;
                (reading, self.read_timeout.get())
            }
            Interest::Write => (None, self.write_timeout.get()),
        };
        if end.is_some_and(|end| now() >= end) {
            return Err(timed_out(interest, timeout));
        }
        *end = end.or_else(|| now().checked_add(timeout?));
        let waited = self.link.transport.wait_until(interest, *end);
        drop(reading);
        if waited? { Ok(()) } else { Err(timed_out(interest, timeout)) }
    }

    /// Repeats `attempt` until it succeeds. Only the protocol itself bounds how long that may take.
    fn wait(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(&dyn Transport) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Before anything is done: the checkpoint may unwind, and read bytes would be lost.
        checkpoint();
        let transport = &*self.link.transport;
        let mut end = None;
        loop {
            if interest == Interest::Read && transport.is_drained() {
                self.park(interest, &mut end)?;
            }
            match attempt(transport) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.park(interest, &mut end)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => checkpoint(),
                result => return self.record(interest, result),
            }
        }
    }

    /// A write has accepted `count` bytes, and returns when they are sent. If the stream has a
    /// buffer of its own and that takes too long, the next write says so: these bytes are not to be
    /// written again.
    fn wait_for_flush(&self, count: usize) -> io::Result<usize> {
        if self.link.transport.try_flush().is_ok() {
            return Ok(count);
        }
        match self.wait(Interest::Write, |transport| transport.try_flush().map(|()| 0)) {
            Err(error) if error.kind() != ErrorKind::TimedOut => Err(error),
            _ => Ok(count),
        }
    }

    /// The poll of a future that reads or writes; the timeouts do not apply.
    #[cfg(any(feature = "tokio-io", feature = "futures-io"))]
    fn poll(
        &self,
        interest: Interest,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&dyn Transport) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_checkpoint(cx));
        let transport = &*self.link.transport;
        loop {
            match attempt(transport) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(transport.poll_ready(interest, cx))?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => checkpoint(),
                result => return Poll::Ready(self.record(interest, result)),
            }
        }
    }

    /// Counts the bytes, or the error.
    pub(super) fn record(
        &self,
        interest: Interest,
        result: io::Result<usize>,
    ) -> io::Result<usize> {
        match result {
            Ok(count) => {
                let counters = self.link.host.counters();
                self.protocol.record_transfer();
                match interest {
                    Interest::Read => counters.bytes_read.add(count as u64),
                    Interest::Write => counters.bytes_written.add(count as u64),
                }
            }
            Err(_) => self.link.pacing.record_failed_call(false),
        }
        result
    }

    /// Reads bytes that came along with the request; 0 if none are left.
    pub(super) fn read_early(&self, buffer: &mut [u8]) -> usize {
        let (early, at) = &mut *self.early.borrow_mut();
        let count = buffer.len().min(early.len() - *at);
        buffer[..count].copy_from_slice(&early[*at..*at + count]);
        *at += count;
        if *at == early.len() {
            (*early, *at) = (Vec::new(), 0);
        }
        count
    }
}

impl Read for &Upgraded {
    /// A yield point, see [`Upgraded`](Upgraded#blocking).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.read_early(buffer) {
            0 if buffer.is_empty() => Ok(0),
            0 => self.wait(Interest::Read, |transport| transport.try_read(buffer)),
            count => Ok(count),
        }
    }
}

impl Write for &Upgraded {
    /// A yield point, see [`Upgraded`](Upgraded#blocking).
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.wait(Interest::Write, |transport| transport.try_write(bytes))?;
        self.wait_for_flush(count)
    }

    /// A yield point, as `write`.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        let count =
            self.wait(Interest::Write, |transport| transport.try_write_vectored(buffers))?;
        self.wait_for_flush(count)
    }

    /// Sends what a stream with a buffer of its own, such as TLS, could not send yet. A yield
    /// point.
    fn flush(&mut self) -> io::Result<()> {
        self.wait(Interest::Write, |transport| transport.try_flush().map(|()| 0)).map(drop)
    }
}

impl Read for Upgraded {
    /// A yield point, as for a shared reference.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for Upgraded {
    /// A yield point, as for a shared reference.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    /// A yield point, as `write`.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    /// A yield point, as for a shared reference.
    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

/// A drain does not interrupt a task that reads: select on [`draining`](Upgraded::draining).
#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
impl straightline_net::compat::Stream for Upgraded {
    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.read_early(buffer) {
            0 if buffer.is_empty() => Poll::Ready(Ok(0)),
            0 => self.poll(Interest::Read, cx, |transport| transport.try_read(buffer)),
            count => Poll::Ready(Ok(count)),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll(Interest::Write, cx, |transport| transport.try_write(bytes))
    }

    fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(Interest::Write, cx, |transport| transport.try_write_vectored(buffers))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(Interest::Write, cx, |transport| transport.try_flush().map(|()| 0)).map_ok(drop)
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shutdown = |transport: &dyn Transport| match transport.shutdown_write() {
            // The peer was quicker, and has closed both directions.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(0),
            result => result.map(|()| 0),
        };
        self.poll(Interest::Write, cx, shutdown).map_ok(drop)
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("peer", self.link.peer()).finish_non_exhaustive()
    }
}

/// As in std, a timeout must not be zero.
fn checked(timeout: Option<Duration>) -> io::Result<Option<Duration>> {
    if timeout == Some(Duration::ZERO) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a timeout of zero"));
    }
    Ok(timeout)
}

fn timed_out(interest: Interest, timeout: Option<Duration>) -> io::Error {
    let timeout = timeout.unwrap_or_default();
    let message = match interest {
        Interest::Read => format!("nothing arrived within the read timeout of {timeout:?}"),
        Interest::Write => {
            format!("the client made no room within the write timeout of {timeout:?}")
        }
    };
    io::Error::new(ErrorKind::TimedOut, message)
}
