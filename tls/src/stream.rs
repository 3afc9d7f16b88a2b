//! A TLS connection over any stream.

use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell, RefMut};
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use straightline_net::{StreamSet, Transport};
use straightline_sched::sync::{Ready, at, select};
use straightline_sched::{Interest, checkpoint, now};

use crate::buffer::Buffer;
use crate::config::TlsConfig;
use crate::handshake::{self, Begin};
use crate::handshake_error::HandshakeError;
use crate::handshakes::Handshakes;
use crate::info::TlsInfo;
use crate::memory_budget::MemoryBudget;
use crate::pump::{drop_received, flush, is_retried, receive, send_what_fits};
use crate::session::{End, Session};

/// A TLS connection over any stream: a socket, a stream in memory, another transport.
///
/// It reads and writes like a socket, also by shared reference, so that two fibers can share it
/// ([`split`](straightline_net::split)). Each write is encrypted and sent at once, as records of up
/// to 16 KiB: put a [`BufWriter`](io::BufWriter) around it for many small writes. As a
/// [`Transport`] it can be [served](Transport) by the HTTP server.
///
/// # The end
///
/// The end of a TLS connection is a message of its own, the `close_notify` (RFC 8446 section 6.1).
/// A read that finds it returns 0. A read that finds the end of the stream below without it is
/// [`UnexpectedEof`](ErrorKind::UnexpectedEof): an attacker may have cut the connection. Call
/// [`close`](Self::close) before you drop the stream; a stream that is dropped without it looks
/// cut to the peer.
///
/// # Memory
///
/// A connection at rest holds no buffers.
///
/// ```
/// use std::io::{self, Read, Write};
/// use straightline_net::MemoryStream;
/// use straightline_sched as sched;
/// use straightline_tls::{TlsConfig, TlsConnector, TlsStream};
///
/// # if straightline_tls::TlsProvider::offered().is_empty() { return Ok(()) }
/// let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
/// let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let config = TlsConfig::builder().certificate_pem(&certificate, key).build()?;
/// let connector = TlsConnector::builder().roots_pem(&certificate).build()?;
/// sched::run(move || {
///     let (near, far) = MemoryStream::pair(4096); // or the two ends of a `TcpStream`
///     let server = sched::spawn(move || {
///         let mut stream = TlsStream::accept(far, &config)?;
///         let mut text = String::new();
///         stream.read_to_string(&mut text)?; // until the client's close_notify
///         io::Result::Ok(text)
///     });
///     let mut client = connector.connect("localhost", near)?;
///     client.write_all(b"hello")?;
///     client.close()?;
///     assert_eq!(server.join().unwrap()?, "hello");
///     io::Result::Ok(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TlsStream<S> {
    stream: S,
    state: RefCell<State>,
    info: OnceCell<TlsInfo>,
    read_timeout: Cell<Option<Duration>>,
    write_timeout: Cell<Option<Duration>>,
}

/// How far a connection is.
enum State {
    /// The handshake has not begun.
    New(Box<Begin>),
    /// The handshake runs. Its fiber has the session, or it ended by unwinding.
    Handshaking,
    /// The session is there.
    Open(Box<Session>),
    /// The handshake failed. The rest of its alert is to be sent, and what the peer still sends is
    /// dropped: a close with unread bytes would reset the connection, and the peer might not see
    /// the alert.
    Refused(Buffer),
}

impl<S: Transport> TlsStream<S> {
    /// The server's side of a connection, before its handshake:
    /// [`handshake`](Transport::handshake) is to be called first. The HTTP server calls it on the
    /// connection's own fiber, so an accept loop gives it this stream and goes on accepting. Not a
    /// yield point.
    pub fn server(stream: S, config: &TlsConfig) -> Self {
        Self::new(stream, Begin::server(config.clone()))
    }

    /// The same with a bound on the memory that it holds together with others while it waits. Where
    /// there is no room, a read fails with [`OutOfMemory`](ErrorKind::OutOfMemory), and so does the
    /// handshake, which must not have begun. Not a yield point.
    #[must_use]
    pub fn with_memory_budget(self, budget: Arc<dyn MemoryBudget>) -> Self {
        if let State::New(begin) = &mut *self.state.borrow_mut() {
            begin.set_budget(budget);
        }
        self
    }

    /// The server's side of a connection, after its handshake.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding.
    ///
    /// # Errors
    ///
    /// A [`HandshakeError`], inside of the [`io::Error`]. A client that leaves before its first
    /// byte is none: then it is a plain [`UnexpectedEof`](ErrorKind::UnexpectedEof).
    ///
    /// ```
    /// use straightline_net::MemoryStream;
    /// use straightline_sched as sched;
    /// use straightline_tls::{HandshakeError, HandshakeFailure, TlsConfig, TlsStream};
    ///
    /// # if straightline_tls::TlsProvider::offered().is_empty() { return Ok(()) }
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let config = TlsConfig::builder().certificate_pem(certificate, key).build()?;
    /// sched::run(move || {
    ///     let (near, far) = MemoryStream::pair(4096);
    ///     near.try_write(b"GET / HTTP/1.1\r\n")?;
    ///     let error = TlsStream::accept(far, &config).expect_err("not TLS");
    ///     let failure = HandshakeError::from_io(&error).map(HandshakeError::failure);
    ///     assert_eq!(failure, Some(HandshakeFailure::PlainHttp));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accept(stream: S, config: &TlsConfig) -> io::Result<Self> {
        let stream = Self::server(stream, config);
        stream.handshake()?;
        Ok(stream)
    }

    /// The client's side of a connection, before its handshake.
    pub(crate) fn client(
        stream: S,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        handshakes: Arc<Handshakes>,
    ) -> Self {
        Self::new(stream, Begin::client(config, name, handshakes))
    }

    fn new(stream: S, begin: Begin) -> Self {
        Self {
            stream,
            state: RefCell::new(State::New(Box::new(begin))),
            info: OnceCell::new(),
            read_timeout: Cell::new(None),
            write_timeout: Cell::new(None),
        }
    }

    /// What the handshake agreed on; `None` before it. Not a yield point.
    pub fn info(&self) -> Option<&TlsInfo> {
        self.info.get()
    }

    /// The stream below. What is read from it or written to it directly breaks the connection. Not
    /// a yield point.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// How long a read may wait; `None` is for ever. A read that takes longer is
    /// [`TimedOut`](ErrorKind::TimedOut). Not a yield point.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) {
        self.read_timeout.set(timeout);
    }

    /// How long a write may wait; `None` is for ever. A write that takes longer is
    /// [`TimedOut`](ErrorKind::TimedOut). Not a yield point.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) {
        self.write_timeout.set(timeout);
    }

    /// Sends what was written and the `close_notify`: the peer knows that it has everything. The
    /// peer's own data can still be read. Then closes the direction to the peer in the stream
    /// below.
    ///
    /// # Blocking
    ///
    /// A yield point, at most for the [write timeout](Self::set_write_timeout).
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding.
    ///
    /// # Errors
    ///
    /// Those of the stream below.
    pub fn close(&self) -> io::Result<()> {
        self.block(Interest::Write, || self.shutdown_write())
    }

    /// Repeats `attempt` while it would block.
    pub(crate) fn block<T>(
        &self,
        interest: Interest,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        checkpoint();
        let mut until = None;
        loop {
            match attempt() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    checkpoint();
                    continue;
                }
                result => return result,
            }
            let timeout = match interest {
                Interest::Read => self.read_timeout.get(),
                Interest::Write => self.write_timeout.get(),
            };
            if until.is_none() {
                until = timeout.and_then(|timeout| now().checked_add(timeout));
            }
            if !self.wait_until(interest, until)? {
                return Err(timed_out(interest, timeout));
            }
        }
    }

    /// A write has accepted `count` bytes. It returns when they are sent, as the write of a socket
    /// does. If that takes too long, the next write says so: these bytes are not to be written
    /// again.
    pub(crate) fn wait_for_flush(&self, count: usize) -> io::Result<usize> {
        match self.block(Interest::Write, || self.try_flush()) {
            Err(error) if error.kind() != ErrorKind::TimedOut => Err(error),
            _ => Ok(count),
        }
    }

    /// The session, once the handshake is over.
    fn session(&self) -> io::Result<RefMut<'_, Session>> {
        RefMut::filter_map(self.state.borrow_mut(), State::session)
            .map_err(|_| io::Error::new(ErrorKind::NotConnected, "the TLS handshake is not over"))
    }

    /// Whether the peer has sent its `close_notify`.
    fn has_peer_closed(&self) -> bool {
        let state = self.state.borrow();
        matches!(&*state, State::Open(session) if matches!(session.end(), End::Closed))
    }

    /// Sends what was encrypted.
    fn flush_session(&self, session: &mut Session) -> io::Result<()> {
        flush(&self.stream, &mut session.outgoing)
    }

    /// Encrypts up to [`WRITE_BYTES`] and sends as much as there is room for. The rest is kept, and
    /// sent by the next calls.
    fn write_session(&self, session: &mut Session, bytes: &[u8]) -> io::Result<usize> {
        if !session.is_writable() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.flush_session(session)?;
        let count = bytes.len().min(WRITE_BYTES);
        if count > 0 {
            if let Err(error) = session.encrypt(&bytes[..count]) {
                // What the peer has sent broke the protocol, and it learns by which alert.
                send_what_fits(&self.stream, session);
                return Err(broken(error));
            }
            self.flush_kept(session)?;
        }
        Ok(count)
    }

    /// As [`flush_session`](Self::flush_session); what there is no room for is kept.
    fn flush_kept(&self, session: &mut Session) -> io::Result<()> {
        match self.flush_session(session) {
            Err(error) if is_retried(&error) => {
                // It is there already, and counts as far as there is room.
                let _ = session.count_memory();
                Ok(())
            }
            result => result,
        }
    }

    fn read_session(&self, session: &mut Session, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut reads = 0;
        loop {
            if !session.plain.is_empty() {
                return Ok(session.plain.read(buffer));
            }
            // A failure has an alert to send, and an answer to a key update may be there.
            let decrypted = session.decrypt(buffer);
            send_what_fits(&self.stream, session);
            if let Some(count) = decrypted.map_err(broken)? {
                return Ok(count);
            }
            match session.end() {
                End::Open => {}
                End::Closed => return Ok(0),
                End::Truncated => return Err(truncated()),
                End::Failed(error) => return Err(broken(error.clone())),
            }
            if reads == READS_MAX {
                return Err(ErrorKind::Interrupted.into());
            }
            reads += 1;
            receive(&self.stream, session)?;
        }
    }
}

impl State {
    fn session(&mut self) -> Option<&mut Session> {
        match self {
            Self::Open(session) => Some(session),
            Self::New(_) | Self::Handshaking | Self::Refused(_) => None,
        }
    }
}

/// Whether the peer's socket is closed.
fn is_gone(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}

/// An error of the protocol.
fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

fn truncated() -> io::Error {
    let message = "the peer's stream ended without a close_notify";
    io::Error::new(ErrorKind::UnexpectedEof, message)
}

fn timed_out(interest: Interest, timeout: Option<Duration>) -> io::Error {
    let direction = match interest {
        Interest::Read => "read",
        Interest::Write => "write",
    };
    let message = format!("a {direction} took longer than {:?}", timeout.unwrap_or_default());
    io::Error::new(ErrorKind::TimedOut, message)
}

impl<S: Transport> Transport for TlsStream<S> {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if matches!(*self.state.borrow(), State::Refused(_)) {
            return drop_received(&self.stream);
        }
        self.read_session(&mut *self.session()?, buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_session(&mut *self.session()?, bytes)
    }

    fn arm(&self, interest: Interest) -> io::Result<bool> {
        if interest == Interest::Read
            && let State::Open(session) = &mut *self.state.borrow_mut()
        {
            if session.has_news() {
                return Ok(false);
            }
            send_what_fits(&self.stream, session);
            if !session.outgoing.is_empty() && !self.stream.arm(Interest::Write)? {
                return Ok(false);
            }
        }
        self.stream.arm(interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        let below = self.stream.ready(interest);
        match &*self.state.borrow() {
            State::Open(session) if interest == Interest::Read => {
                if session.has_news() {
                    Ready::now()
                } else if session.outgoing.is_empty() {
                    below
                } else {
                    below.or(self.stream.ready(Interest::Write))
                }
            }
            _ => below,
        }
    }

    fn handshake(&self) -> io::Result<()> {
        let begin = match &mut *self.state.borrow_mut() {
            State::Open(_) => return Ok(()),
            State::Handshaking | State::Refused(_) => {
                let message = "another fiber is in the TLS handshake, or was";
                return Err(io::Error::new(ErrorKind::NotConnected, message));
            }
            state @ State::New(_) => match mem::replace(state, State::Handshaking) {
                State::New(begin) => begin,
                State::Handshaking | State::Open(_) | State::Refused(_) => return Ok(()),
            },
        };
        let (session, result) = handshake::run(&self.stream, &begin);
        *self.state.borrow_mut() = match session {
            Some(session) if result.is_ok() => State::Open(Box::new(session)),
            session => State::Refused(
                session.map(|mut session| mem::take(&mut session.outgoing)).unwrap_or_default(),
            ),
        };
        let info = result.map_err(HandshakeError::into_io)?;
        let _ = self.info.set(info);
        Ok(())
    }

    fn info(&self) -> Option<&dyn Any> {
        self.info.get().map(|info| info as &dyn Any)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        match self.try_close().and_then(|()| self.stream.shutdown_write()) {
            // A peer that has said goodbye need not wait for ours (RFC 8446 section 6.1).
            Err(error) if is_gone(&error) && self.has_peer_closed() => Ok(()),
            result => result,
        }
    }

    fn try_close(&self) -> io::Result<()> {
        match &mut *self.state.borrow_mut() {
            State::Open(session) => {
                session.close().map_err(broken)?;
                self.flush_session(session)?;
            }
            State::Refused(alert) => flush(&self.stream, alert)?,
            State::New(_) | State::Handshaking => {}
        }
        self.stream.try_close()
    }

    fn try_flush(&self) -> io::Result<()> {
        match &mut *self.state.borrow_mut() {
            State::Open(session) => self.flush_session(session),
            State::Refused(alert) => flush(&self.stream, alert),
            State::New(_) | State::Handshaking => Ok(()),
        }
    }

    fn is_drained(&self) -> bool {
        let is_drained = match &*self.state.borrow() {
            State::Open(session) => session.is_drained() && session.outgoing.is_empty(),
            State::New(_) | State::Handshaking | State::Refused(_) => true,
        };
        is_drained && self.stream.is_drained()
    }

    /// Small slices become one record.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut slices = slices.iter().skip_while(|slice| slice.is_empty());
        let Some(first) = slices.next() else { return Ok(0) };
        if first.len() >= RECORD_BYTES {
            return self.try_write(first);
        }
        let mut record = Buffer::default();
        record.push(first)?;
        for slice in slices {
            let room = RECORD_BYTES - record.len();
            record.push(&slice[..slice.len().min(room)])?;
            if slice.len() >= room {
                break;
            }
        }
        self.try_write(record.filled())
    }

    /// Reads a bounded piece of the file.
    fn try_send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        let mut session = self.session()?;
        // If there is no room, the file is not read.
        self.flush_session(&mut session)?;
        let mut piece = Buffer::default();
        let count = count.min(WRITE_BYTES);
        let read = file.read_at(&mut piece.room(count)?[..count], offset)?;
        piece.advance(read);
        self.write_session(&mut session, piece.filled())
    }

    fn wait_until(&self, interest: Interest, until: Option<Instant>) -> io::Result<bool> {
        let has_output = match &*self.state.borrow() {
            State::Open(session) if interest == Interest::Read && session.has_news() => {
                return Ok(true);
            }
            State::Open(session) => !session.outgoing.is_empty(),
            State::New(_) | State::Handshaking | State::Refused(_) => false,
        };
        if interest == Interest::Write || !has_output {
            return self.stream.wait_until(interest, until);
        }
        let ready = self.stream.ready(Interest::Read).or(self.stream.ready(Interest::Write));
        let first = match until {
            None => select(&[&ready])?,
            Some(until) => select(&[&ready, &at(until)])?,
        };
        Ok(first == 0)
    }

    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if interest == Interest::Read
            && let State::Open(session) = &mut *self.state.borrow_mut()
        {
            if session.has_news() {
                return Poll::Ready(Ok(()));
            }
            send_what_fits(&self.stream, session);
            if !session.outgoing.is_empty() {
                let is_ready = self.stream.poll_ready(Interest::Write, cx)?.is_ready();
                if is_ready {
                    return Poll::Ready(Ok(()));
                }
            }
        }
        self.stream.poll_ready(interest, cx)
    }

    fn unacknowledged(&self) -> Option<u64> {
        let unsent = match &*self.state.borrow() {
            State::Open(session) => session.outgoing.len() as u64,
            State::New(_) | State::Handshaking | State::Refused(_) => 0,
        };
        self.stream.unacknowledged().map(|below| below + unsent)
    }

    fn is_peer_gone(&self) -> bool {
        let has_ended = match &*self.state.borrow() {
            State::Open(session) => !matches!(session.end(), End::Open),
            State::New(_) | State::Handshaking | State::Refused(_) => false,
        };
        has_ended || self.stream.is_peer_gone()
    }

    fn reset_on_close(&self) {
        self.stream.reset_on_close();
    }

    fn reset(&self) {
        self.stream.reset();
    }

    fn join_set(&self, set: &StreamSet) {
        self.stream.join_set(set);
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .field("info", &self.info.get())
            .finish_non_exhaustive()
    }
}

/// How much plaintext one write encrypts: four full records. More would hold more memory for a
/// peer that reads slowly, less would take more system calls.
const WRITE_BYTES: usize = 4 * RECORD_BYTES;

/// The plaintext of the largest record (RFC 8446 section 5.1).
const RECORD_BYTES: usize = 16 * 1024;

/// How often one read reads from the stream below before it lets other fibers run: records without
/// data must not keep the shard.
const READS_MAX: usize = 16;
