//! Connections that switch to another protocol: `Upgrade` and CONNECT.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::rc::Rc;

use straightline_sched::sync::FlagReader;
use straightline_sched::{Interest, checkpoint};

use super::link::Link;
use super::protocol::Protocol;
use super::transport::Transport;
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
/// Reads and writes are yield points. There is no timeout, except for
/// [deadlines](straightline_sched::deadline) that the protocol sets for itself.
///
/// # Cancellation
///
/// A cancel or a deadline is raised before anything is read or written.
///
/// # Errors
///
/// The socket's errors. A loop that ignores them is ended after a thousand errors.
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
}

impl Upgraded {
    pub(crate) fn new(link: Rc<Link>, early: Vec<u8>) -> Self {
        let protocol = link.begin_protocol();
        Self { link, early: RefCell::new((early, 0)), protocol }
    }

    pub(crate) fn protocol(&self) -> &Rc<Protocol> {
        &self.protocol
    }

    /// The client's address. Not a yield point.
    pub fn peer(&self) -> &Peer {
        &self.link.peer
    }

    /// Tells the peer that nothing more will be written. Not a yield point.
    ///
    /// # Errors
    ///
    /// The socket's error, for example when the peer is gone.
    pub fn shutdown_write(&self) -> io::Result<()> {
        self.link.transport.shutdown_write()
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
    /// use straightline::sched::{self, sync::{mpsc, select}};
    /// use straightline::{Response, Upgraded};
    ///
    /// /// Echoes lines, and says goodbye when the server shuts down.
    /// fn chat(client: Upgraded) -> io::Result<()> {
    ///     let draining = client.draining();
    ///     let (received, messages) = mpsc::channel(1);
    ///     sched::scope(|scope| {
    ///         let client = &client;
    ///         scope.spawn(move || {
    ///             let mut bytes = [0; 1024];
    ///             while let Ok(count @ 1..) = { client }.read(&mut bytes) {
    ///                 if received.send(bytes[..count].to_vec()).is_err() {
    ///                     break;
    ///                 }
    ///             }
    ///         });
    ///         while select(&[&messages, &draining])? == 0 {
    ///             match messages.try_recv() {
    ///                 Ok(message) => { client }.write_all(&message)?,
    ///                 Err(mpsc::TryRecvError::Empty) => {}
    ///                 Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
    ///             }
    ///         }
    ///         { client }.write_all(b"goodbye\n")?;
    ///         client.shutdown_write() // and the scope waits for the client's own end
    ///     })
    /// }
    ///
    /// let response = Response::upgrade("chat", chat);
    /// ```
    pub fn draining(&self) -> FlagReader {
        self.protocol.watch_drain();
        self.link.host.draining()
    }

    /// Waits until `interest` may be ready. An error is the interruption by a drain, or the
    /// stream's.
    fn park(&self, interest: Interest) -> io::Result<()> {
        let reading = match interest {
            Interest::Read => self.protocol.begin_read(self.link.host.is_draining())?,
            Interest::Write => None,
        };
        let waited = self.link.transport.wait_until(interest, None);
        drop(reading);
        waited.map(drop)
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
        loop {
            if interest == Interest::Read && transport.is_drained() {
                self.park(interest)?;
            }
            match attempt(transport) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.park(interest)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(count) => {
                    let counters = self.link.host.counters();
                    self.protocol.record_transfer();
                    match interest {
                        Interest::Read => counters.bytes_read.add(count as u64),
                        Interest::Write => counters.bytes_written.add(count as u64),
                    }
                    return Ok(count);
                }
                Err(error) => {
                    self.link.pacing.record_failed_call(false);
                    return Err(error);
                }
            }
        }
    }

    fn read_early(&self, buffer: &mut [u8]) -> usize {
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
        self.wait(Interest::Write, |transport| transport.try_write(bytes))
    }

    /// A yield point, as `write`.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.wait(Interest::Write, |transport| transport.try_write_vectored(buffers))
    }

    /// Does nothing: there is no buffer here. Not a yield point.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

    /// Does nothing: there is no buffer here. Not a yield point.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Upgraded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgraded").field("peer", &self.link.peer).finish_non_exhaustive()
    }
}
