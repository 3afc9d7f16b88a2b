//! A byte stream in memory, between two fibers of a shard.
//!
//! Each direction is a pipe: bytes up to a bound, how each of its ends was closed, and two flags
//! that say whether a read and a write would not block. Every change of a pipe sets the flags anew.
//! So whatever waits for the stream waits for a flag, and a `select` needs nothing else.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem;
use std::net::Shutdown;
use std::rc::Rc;
#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
use std::task::ready;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
use straightline_sched::poll_checkpoint;
use straightline_sched::sync::{Flag, Ready, at, select};
use straightline_sched::{Fiber, Interest, checkpoint, current, now};

use crate::io::impl_timeouts;
use crate::timeouts::{Timeouts, call_timed_out};

/// A byte stream in memory: what one of a [`pair`](Self::pair) writes, the other one reads.
///
/// It has the calls of a [`TcpStream`](crate::TcpStream), and behaves as one whose network takes no
/// time. So a handler of a protocol can be tested without a socket, and a server can serve a stream
/// that the program makes itself. Both ends belong to one shard, also in a simulation. Dropping an
/// end closes both of its directions: the other end reads what was written before, and then an end
/// of stream.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::Shutdown;
/// use straightline_net::MemoryStream;
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     let (mut client, server) = MemoryStream::pair(1024);
///     let echo = sched::spawn(move || std::io::copy(&mut &server, &mut &server));
///     client.write_all(b"straight")?;
///     client.shutdown(Shutdown::Write)?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer)?;
///     assert_eq!(answer, "straight");
///     assert_eq!(echo.join().unwrap()?, 8);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// # Blocking
///
/// Every call that reads or writes is a yield point, except those with `try_`.
///
/// # Cancellation
///
/// As for [`TcpStream`](crate::TcpStream#cancellation).
pub struct MemoryStream {
    incoming: Rc<Pipe>,
    outgoing: Rc<Pipe>,
    io: Timeouts,
}

impl MemoryStream {
    /// Two streams connected to each other. Each direction holds at most `capacity` bytes that were
    /// written and not read. Not a yield point.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    #[track_caller]
    pub fn pair(capacity: usize) -> (Self, Self) {
        assert!(
            capacity > 0,
            "straightline: `MemoryStream::pair(0)`: a stream has room for 1 byte at least"
        );
        let (one, other) = (Rc::new(Pipe::new(capacity)), Rc::new(Pipe::new(capacity)));
        let stream = |incoming: &Rc<Pipe>, outgoing: &Rc<Pipe>| Self {
            incoming: Rc::clone(incoming),
            outgoing: Rc::clone(outgoing),
            io: Timeouts::default(),
        };
        (stream(&one, &other), stream(&other, &one))
    }

    /// Reads what has arrived, without waiting. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](ErrorKind::WouldBlock) when nothing is there;
    /// [`ConnectionReset`](ErrorKind::ConnectionReset) after a [`reset`](Self::reset).
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(buffer)
    }

    /// Whether a read would block now. Not a yield point.
    pub fn is_drained(&self) -> bool {
        !self.incoming.readable.is_set()
    }

    /// Writes as many bytes as there is room for, without waiting. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](ErrorKind::WouldBlock) when there is no room;
    /// [`BrokenPipe`](ErrorKind::BrokenPipe) when the other end reads no more, or this end was shut
    /// down; [`ConnectionReset`](ErrorKind::ConnectionReset) after a [`reset`](Self::reset).
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use straightline_net::MemoryStream;
    ///
    /// let (near, far) = MemoryStream::pair(4);
    /// assert_eq!(near.try_write(b"straight")?, 4);
    /// assert_eq!(near.try_write(b"ight").unwrap_err().kind(), ErrorKind::WouldBlock);
    /// assert_eq!(far.try_read(&mut [0; 3])?, 3);
    /// assert_eq!(near.try_write(b"ight")?, 3);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.write(&[IoSlice::new(bytes)])
    }

    /// As [`try_write`](Self::try_write), from several slices. Not a yield point.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    pub fn try_write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.outgoing.write(buffers)
    }

    /// Waits until the direction is ready, or until `until`; false if that time has passed and the
    /// direction is not ready. The timeouts of the stream do not apply.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding. Nothing was taken.
    ///
    /// # Errors
    ///
    /// When it would have to wait and the fiber is unwinding.
    pub fn wait_until(&self, interest: Interest, until: Option<Instant>) -> io::Result<bool> {
        let ready = self.flag(interest);
        match until {
            None => {
                select(&[ready])?;
                Ok(true)
            }
            Some(until) => Ok(select(&[ready, &at(until)])? == 0 || ready.is_set()),
        }
    }

    /// Waits until a read would not block. The read timeout does not apply.
    ///
    /// # Blocking
    ///
    /// A yield point.
    ///
    /// # Cancellation
    ///
    /// As [`wait_until`](Self::wait_until).
    ///
    /// # Errors
    ///
    /// As [`wait_until`](Self::wait_until).
    pub fn wait_readable(&self) -> io::Result<()> {
        self.wait_until(Interest::Read, None).map(drop)
    }

    /// Arranges that the calling fiber is woken when a try in that direction would not block,
    /// without waiting for it; false if it would not now. For fibers that rest between activations
    /// ([`spawn_stackless`](straightline_sched::spawn_stackless)).
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// Never; a socket's may fail.
    ///
    /// # Panics
    ///
    /// Outside of a fiber, if the try would block.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use straightline_net::MemoryStream;
    /// use straightline_sched::{self as sched, Interest};
    ///
    /// sched::run(|| {
    ///     let (near, far) = MemoryStream::pair(16);
    ///     let reader = sched::spawn_stackless(move || {
    ///         while far.try_read(&mut [0; 16]).is_ok_and(|count| count > 0) {}
    ///         if far.arm(Interest::Read).unwrap_or(false) {
    ///             return ControlFlow::Continue(()); // it holds no stack until something comes
    ///         }
    ///         ControlFlow::Break(()) // the end of the stream
    ///     });
    ///     near.try_write(b"line")?;
    ///     drop(near);
    ///     reader.join().unwrap();
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn arm(&self, interest: Interest) -> io::Result<bool> {
        if self.flag(interest).is_set() {
            return Ok(false);
        }
        let fiber = current();
        match interest {
            Interest::Read => self.incoming.state.borrow_mut().armed_readers.push(fiber),
            Interest::Write => self.outgoing.state.borrow_mut().armed_writers.push(fiber),
        }
        Ok(true)
    }

    /// That a read would not block, as a thing to [`select`](straightline_sched::sync::select())
    /// on. Not a yield point; the `select` is one.
    pub fn readable(&self) -> Ready<'_> {
        Ready::with(&self.incoming.readable)
    }

    /// That a write would not block, as a thing to [`select`](straightline_sched::sync::select())
    /// on. Not a yield point; the `select` is one.
    pub fn writable(&self) -> Ready<'_> {
        Ready::with(&self.outgoing.writable)
    }

    /// The wait of a future: the task is woken when the direction is ready. Not a yield point.
    ///
    /// # Errors
    ///
    /// Never; a socket's may fail.
    pub fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.flag(interest).is_set() {
            return Poll::Ready(Ok(()));
        }
        // Cloned before the pipe is borrowed, and the former one dropped after it: both are the
        // user's code.
        let waker = Some(cx.waker().clone());
        let _former = match interest {
            Interest::Read => mem::replace(&mut self.incoming.state.borrow_mut().reader, waker),
            Interest::Write => mem::replace(&mut self.outgoing.state.borrow_mut().writer, waker),
        };
        Poll::Pending
    }

    /// Whether the other end has closed its writing side, or the stream was reset. Not a yield
    /// point.
    pub fn is_peer_gone(&self) -> bool {
        let state = self.incoming.state.borrow();
        state.is_write_shut || state.is_reset
    }

    /// How many written bytes the other end has not read. Not a yield point.
    pub fn unacknowledged(&self) -> Option<u64> {
        Some(self.outgoing.state.borrow().bytes.len() as u64)
    }

    /// Shuts down one or both directions, as [`std::net::TcpStream::shutdown`]. What was written is
    /// still read. Not a yield point.
    ///
    /// # Errors
    ///
    /// Never; a socket's may fail.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            self.incoming.change(|state| {
                state.is_read_shut = true;
                state.bytes.clear();
            });
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            self.outgoing.change(|state| state.is_write_shut = true);
        }
        Ok(())
    }

    /// Ends the stream at once, like a connection that is reset: what was written and not read is
    /// lost, and reads and writes of both ends fail. Not a yield point.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use straightline_net::MemoryStream;
    ///
    /// let (near, far) = MemoryStream::pair(16);
    /// near.try_write(b"half of a mess")?;
    /// near.reset();
    /// assert_eq!(far.try_read(&mut [0; 16]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn reset(&self) {
        for pipe in [&self.incoming, &self.outgoing] {
            pipe.change(|state| {
                state.is_reset = true;
                state.bytes.clear();
            });
        }
    }

    fn flag(&self, interest: Interest) -> &Flag {
        match interest {
            Interest::Read => &self.incoming.readable,
            Interest::Write => &self.outgoing.writable,
        }
    }

    /// Repeats `attempt` while it would block.
    fn wait(
        &self,
        interest: Interest,
        mut attempt: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Before the attempt: this may raise, and the bytes of a read would be lost.
        checkpoint();
        let mut end = None;
        loop {
            match attempt() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
            if end.is_none() {
                let timeout = self.io.timeout(interest);
                end = timeout.and_then(|timeout| now().checked_add(timeout));
            }
            if !self.wait_until(interest, end)? {
                return Err(call_timed_out(interest, self.io.timeout(interest)));
            }
        }
    }
}

#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
impl MemoryStream {
    /// Repeats `attempt` until it does not block, or the task has to wait.
    pub(crate) fn poll_io(
        &self,
        interest: Interest,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_checkpoint(cx));
        loop {
            match attempt() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.poll_ready(interest, cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

impl_timeouts!(MemoryStream);

impl Read for &MemoryStream {
    /// A yield point, see [`MemoryStream`](MemoryStream#blocking).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.wait(Interest::Read, || self.try_read(buffer))
    }
}

impl Write for &MemoryStream {
    /// A yield point, see [`MemoryStream`](MemoryStream#blocking).
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wait(Interest::Write, || self.try_write(bytes))
    }

    /// A yield point, as `write`.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.wait(Interest::Write, || self.try_write_vectored(buffers))
    }

    /// Does nothing: what was written has arrived. Not a yield point.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for MemoryStream {
    /// A yield point, as for a shared reference.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for MemoryStream {
    /// A yield point, as for a shared reference.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    /// A yield point, as `write`.
    fn write_vectored(&mut self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(buffers)
    }

    /// Does nothing: what was written has arrived. Not a yield point.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        let _ = self.shutdown(Shutdown::Both); // never an error
    }
}

impl fmt::Debug for MemoryStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |pipe: &Pipe| pipe.state.borrow().bytes.len();
        f.debug_struct("MemoryStream")
            .field("to_be_read", &bytes(&self.incoming))
            .field("written", &bytes(&self.outgoing))
            .finish_non_exhaustive()
    }
}

/// One direction of a stream.
struct Pipe {
    state: RefCell<State>,
    /// Set while a read would not block.
    readable: Flag,
    /// Set while a write would not block.
    writable: Flag,
}

struct State {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// No more is written.
    is_write_shut: bool,
    /// No more is read.
    is_read_shut: bool,
    is_reset: bool,
    /// Fibers that are woken when a read, or a write, would not block.
    armed_readers: Vec<Fiber>,
    armed_writers: Vec<Fiber>,
    /// The task that polled last for reading, and for writing.
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn new(capacity: usize) -> Self {
        let state = State {
            bytes: VecDeque::new(),
            capacity,
            is_write_shut: false,
            is_read_shut: false,
            is_reset: false,
            armed_readers: Vec::new(),
            armed_writers: Vec::new(),
            reader: None,
            writer: None,
        };
        let pipe =
            Self { state: RefCell::new(state), readable: Flag::new(), writable: Flag::new() };
        pipe.writable.set();
        pipe
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.change(|state| {
            if state.is_reset {
                return Err(ErrorKind::ConnectionReset.into());
            }
            if state.bytes.is_empty() && !buffer.is_empty() && !state.is_at_end() {
                return Err(ErrorKind::WouldBlock.into());
            }
            state.bytes.read(buffer)
        })
    }

    fn write(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.change(|state| {
            if state.is_reset {
                return Err(ErrorKind::ConnectionReset.into());
            }
            if state.is_at_end() {
                return Err(ErrorKind::BrokenPipe.into());
            }
            let mut count = 0;
            for buffer in buffers {
                let room = state.capacity - state.bytes.len();
                let taken = buffer.len().min(room);
                state.bytes.extend(&buffer[..taken]);
                count += taken;
            }
            if count == 0 && buffers.iter().any(|buffer| !buffer.is_empty()) {
                return Err(ErrorKind::WouldBlock.into());
            }
            Ok(count)
        })
    }

    /// Changes the state, sets the flags anew, and wakes what waits for them.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.borrow_mut();
        let result = change(&mut state);
        let (readable, writable) = (state.is_readable(), state.is_writable());
        let (mut armed, mut reader, mut writer) = (Vec::new(), None, None);
        if readable {
            (armed, reader) = (mem::take(&mut state.armed_readers), state.reader.take());
        }
        if writable {
            armed.append(&mut state.armed_writers);
            writer = state.writer.take();
        }
        // What is woken may be the user's code, and may use the stream.
        drop(state);
        assign(&self.readable, readable);
        assign(&self.writable, writable);
        armed.iter().for_each(Fiber::unpark);
        [reader, writer].into_iter().flatten().for_each(Waker::wake);
        result
    }
}

impl State {
    fn is_at_end(&self) -> bool {
        self.is_write_shut || self.is_read_shut
    }

    fn is_readable(&self) -> bool {
        !self.bytes.is_empty() || self.is_at_end() || self.is_reset
    }

    fn is_writable(&self) -> bool {
        self.bytes.len() < self.capacity || self.is_at_end() || self.is_reset
    }
}

fn assign(flag: &Flag, value: bool) {
    match (flag.is_set(), value) {
        (false, true) => flag.set(),
        (true, false) => flag.clear(),
        _ => {}
    }
}
