//! The loop behind every blocking call: try, and wait when the operation would block.

use std::cell::{Cell, OnceCell};
use std::io::{self, ErrorKind};
use std::mem;
use std::net;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
use straightline_sched::poll_checkpoint;
use straightline_sched::{
    DriverKind, Interest, Source, checkpoint, driver_kind, note_unwound_write, now,
};

use crate::socket::Socket;
use crate::stream_set::Member;
use crate::timeouts::{Timeouts, call_timed_out};

/// What a short read, or an empty one, says about a socket of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// A read that returns less than was asked for has drained it.
    Tcp,
    /// A read also ends at ancillary data. With a driver that looks at the level at each wait this
    /// does no harm; with one that waits for an edge, a short read proves nothing.
    UnixStream,
    /// A short read proves nothing. For a socket that was shut down the system says "would block".
    Datagrams,
}

/// A non-blocking stream and what is known of its readiness.
pub(crate) struct Io<S: AsFd> {
    /// Declared before the stream, so that it is dropped first: the stream must leave the set while
    /// its descriptor is open.
    member: Cell<Option<Member>>,
    source: Source<Socket<S>>,
    /// The last read proved that the socket is empty: wait before the next one.
    drained: Cell<bool>,
    reads: Reads,
    /// How long one call may wait. Boxed: most streams have no such timeout, and an idle connection
    /// of a server is to be small.
    timeouts: OnceCell<Box<Timeouts>>,
}

// An idle connection of a server is to be small.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Io<net::TcpStream>>() <= 64);

impl Io<net::TcpStream> {
    pub(crate) fn of_tcp(stream: Socket<net::TcpStream>) -> Self {
        Self::new(stream, Reads::Tcp)
    }
}

impl<S: AsFd> Io<S> {
    pub(crate) fn new(stream: Socket<S>, reads: Reads) -> Self {
        Self {
            member: Cell::new(None),
            source: Source::new(stream),
            drained: Cell::new(false),
            reads,
            timeouts: OnceCell::new(),
        }
    }

    /// How long one call in that direction may wait.
    pub(crate) fn timeout(&self, interest: Interest) -> Option<Duration> {
        self.timeouts.get()?.timeout(interest)
    }

    pub(crate) fn set_timeout(&self, interest: Interest, timeout: Option<Duration>) {
        if timeout.is_some() || self.timeouts.get().is_some() {
            self.timeouts.get_or_init(Box::default).set_timeout(interest, timeout);
        }
    }

    pub(crate) fn inner(&self) -> &Socket<S> {
        self.source.inner()
    }

    pub(crate) fn into_inner(self) -> Socket<S> {
        drop(self.member);
        self.source.into_inner()
    }

    /// Reads at most `asked` bytes with `read`; `WouldBlock` when there is nothing to read.
    pub(crate) fn try_read(
        &self,
        asked: usize,
        read: impl FnOnce(&Socket<S>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let result = read(self.source.inner());
        let drained = match &result {
            // An end of stream (0 bytes) stays readable, and a read of no bytes proves nothing.
            Ok(count) => {
                self.does_short_read_drain()
                    && (1..asked).contains(count)
                    && self.source.clear(Interest::Read)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if self.reads != Reads::Datagrams {
                    self.source.clear(Interest::Read);
                } else if is_shut(&self.source) {
                    self.drained.set(false);
                    return Ok(0);
                }
                true
            }
            Err(_) => false,
        };
        self.drained.set(drained);
        result
    }

    #[inline]
    fn does_short_read_drain(&self) -> bool {
        match self.reads {
            Reads::Tcp => true,
            Reads::UnixStream => driver_kind() == Some(DriverKind::Polling),
            Reads::Datagrams => false,
        }
    }

    /// Whether the last read proved that the socket is empty, so that the next one would block,
    /// unless data came meanwhile.
    pub(crate) fn is_drained(&self) -> bool {
        self.drained.get()
    }

    /// Waits until `interest` may be possible, until `at`, or until the fiber is woken for another
    /// reason; false if the time has passed.
    pub(crate) fn wait_until(&self, interest: Interest, at: Option<Instant>) -> io::Result<bool> {
        let in_time = self.source.wait_until(interest, at)?;
        if interest == Interest::Read {
            self.drained.set(false);
        }
        Ok(in_time)
    }

    /// Waits until a read may succeed, or the fiber is woken for another reason.
    pub(crate) fn wait_readable(&self) -> io::Result<()> {
        self.source.wait(Interest::Read)?;
        self.drained.set(false);
        Ok(())
    }

    /// Puts the stream into a set, or removes it from its set.
    pub(crate) fn set_member(&self, member: Option<Member>) {
        let _former = self.member.replace(member);
    }

    /// The socket that is waited for.
    pub(crate) fn source(&self) -> &Source<Socket<S>> {
        &self.source
    }

    /// Arranges that the fiber is woken when a try in that direction may succeed; false if one may
    /// succeed already.
    pub(crate) fn arm(&self, interest: Interest) -> io::Result<bool> {
        let armed = self.source.arm(interest)?;
        if interest == Interest::Read {
            self.drained.set(false);
        }
        Ok(armed)
    }

    /// The wait of a future, after a try that would have blocked.
    pub(crate) fn poll_ready(
        &self,
        interest: Interest,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.source.poll_ready(interest, cx))?;
        if interest == Interest::Read {
            self.drained.set(false);
        }
        Poll::Ready(Ok(()))
    }

    /// One step of a call's wait, which is over at `end` if the direction has a timeout. Without
    /// a timeout the clock is not read.
    fn wait_in_time(&self, interest: Interest, end: &mut Option<Instant>) -> io::Result<()> {
        match *end {
            // The operation was tried after the end. An event that comes at each wait, such as the
            // one for an error queue that is not read, must not make the call endless.
            Some(at) if now() >= at => return Err(self.timed_out(interest)),
            Some(_) => {}
            None => {
                let timeout = self.timeout(interest);
                *end = timeout.and_then(|timeout| now().checked_add(timeout));
            }
        }
        if self.wait_until(interest, *end)? { Ok(()) } else { Err(self.timed_out(interest)) }
    }

    #[cold]
    fn timed_out(&self, interest: Interest) -> io::Error {
        call_timed_out(interest, self.timeout(interest))
    }

    /// Reads with `read`, and waits while it would block.
    pub(crate) fn read(
        &self,
        asked: usize,
        mut read: impl FnMut(&Socket<S>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // Before the read: this may raise, and the bytes of a read would be lost.
        checkpoint();
        let mut end = None;
        loop {
            if self.is_drained()
                && let Err(error) = self.wait_in_time(Interest::Read, &mut end)
            {
                if error.kind() == ErrorKind::TimedOut {
                    return Err(error);
                }
                // No wait is possible here. Data that has come is read all the same.
                self.drained.set(false);
            }
            match self.try_read(asked, &mut read) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_in_time(Interest::Read, &mut end)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// Writes with `write`, and waits while it would block.
    pub(crate) fn write(
        &self,
        mut write: impl FnMut(&Socket<S>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let unwound = Unwound;
        // Before the write: this may raise, and the count of a write would be lost.
        checkpoint();
        let mut end = None;
        loop {
            match write(self.source.inner()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait_in_time(Interest::Write, &mut end)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => {
                    mem::forget(unwound);
                    return result;
                }
            }
        }
    }
}

/// Dropped by a write that wrote nothing. The drop is counted if the reason is that the fiber
/// unwinds.
struct Unwound;

impl Drop for Unwound {
    fn drop(&mut self) {
        if thread::panicking() {
            note_unwound_write();
        }
    }
}

#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
impl<S: AsFd> Io<S> {
    /// The poll of a future that reads; the timeout does not apply.
    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        asked: usize,
        mut read: impl FnMut(&Socket<S>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_checkpoint(cx));
        loop {
            if self.is_drained() {
                ready!(self.poll_ready(Interest::Read, cx))?;
            }
            match self.try_read(asked, &mut read) {
                // A read that would block leaves the stream drained, and so waits.
                Err(error) if is_transient(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// The poll of a future that writes; the timeout does not apply.
    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&Socket<S>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(poll_checkpoint(cx));
        loop {
            match write(self.source.inner()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.poll_ready(Interest::Write, cx))?;
                }
                Err(error) if is_transient(&error) => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Whether a read, or an accept, that would have blocked will block for ever, because the socket
/// was shut down: there Linux says "would block" where a call that waits says "end". This concerns
/// datagram sockets and Unix listeners only; of a stream the kernel reports the end itself.
pub(crate) fn is_shut<S: AsFd>(source: &Source<Socket<S>>) -> bool {
    source.clear_blocked(Interest::Read)
}

/// The timeouts of `std::net`, for a type with an `io` field.
macro_rules! impl_timeouts {
    ($socket:ty) => {
        impl $socket {
            /// Ends each call that reads with [`TimedOut`](std::io::ErrorKind::TimedOut) once it
            /// has waited for `timeout`; `None`, the default, waits without end. The socket stays
            /// usable, and no data that arrives is lost. A [deadline](straightline_sched::deadline)
            /// bounds several calls together.
            ///
            /// The timeout is kept in this type and not by the system, so `into_std` loses it.
            ///
            /// Not a yield point.
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) if it is zero.
            pub fn set_read_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                let timeout = crate::timeouts::checked_timeout(timeout)?;
                self.io.set_timeout(straightline_sched::Interest::Read, timeout);
                Ok(())
            }

            /// As [`set_read_timeout`](Self::set_read_timeout), for each call that writes.
            ///
            /// Not a yield point.
            ///
            /// # Errors
            ///
            /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) if it is zero.
            pub fn set_write_timeout(
                &self,
                timeout: Option<std::time::Duration>,
            ) -> std::io::Result<()> {
                let timeout = crate::timeouts::checked_timeout(timeout)?;
                self.io.set_timeout(straightline_sched::Interest::Write, timeout);
                Ok(())
            }

            /// The timeout that [`set_read_timeout`](Self::set_read_timeout) was given last. Not a
            /// yield point.
            ///
            /// # Errors
            ///
            /// Never; std's may fail.
            pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                Ok(self.io.timeout(straightline_sched::Interest::Read))
            }

            /// What [`set_write_timeout`](Self::set_write_timeout) was last given. Not a yield
            /// point.
            ///
            /// # Errors
            ///
            /// Never; std's may fail.
            pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
                Ok(self.io.timeout(straightline_sched::Interest::Write))
            }
        }
    };
}
pub(crate) use impl_timeouts;

/// The traits of `std::io` for a stream type with an `io` field, by value and by reference.
macro_rules! impl_stream {
    ($stream:ty) => {
        impl std::io::Read for &$stream {
            /// Reads what has arrived, at least one byte, and waits for it; 0 at the end of the
            /// stream.
            ///
            /// # Blocking
            ///
            /// A yield point: it waits while there is nothing to read, and lets other fibers run
            /// now and then even if there is.
            ///
            /// # Cancellation
            ///
            /// A cancel or a deadline is raised before anything is read: data that has arrived, or
            /// arrives later, stays for the next read.
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.io.read(buffer.len(), |stream| crate::socket::recv(stream, buffer))
            }

            /// As std, into the first 1,024 buffers at most. A yield point, as `read`.
            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                let most = buffers.len().min(crate::socket::SLICES_MAX);
                let buffers = &mut buffers[..most];
                let asked = buffers.iter().map(|buffer| buffer.len()).sum();
                self.io.read(asked, |stream| crate::socket::recv_vectored(stream, buffers))
            }
        }

        impl std::io::Write for &$stream {
            /// Writes some of `bytes`, as many as there is room for.
            ///
            /// # Blocking
            ///
            /// A yield point: it waits while there is no room, and lets other fibers run now and
            /// then even if there is.
            ///
            /// # Cancellation
            ///
            /// A cancel or a deadline is raised before anything is written. (If it ends a
            /// `write_all`, which is several writes, the peer has a part of the bytes: close the
            /// stream then.)
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.io.write(|stream| crate::socket::send(stream, bytes))
            }

            /// As std, from the first 1,024 slices at most. A yield point, as `write`.
            fn write_vectored(
                &mut self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                self.io.write(|stream| crate::socket::send_vectored(stream, buffers))
            }

            /// Does nothing, as there is no buffer. Not a yield point.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Read for $stream {
            /// A yield point, as for a shared reference.
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                (&*self).read(buffer)
            }

            /// A yield point, as `read`.
            fn read_vectored(
                &mut self,
                buffers: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                (&*self).read_vectored(buffers)
            }
        }

        impl std::io::Write for $stream {
            /// A yield point, as for a shared reference.
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                (&*self).write(bytes)
            }

            /// A yield point, as `write`.
            fn write_vectored(
                &mut self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                (&*self).write_vectored(buffers)
            }

            /// Does nothing, as there is no buffer. Not a yield point.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl $stream {
            /// Writes up to `count` bytes of a file, from `offset` on, without copying them through
            /// the program where the system can do that (`sendfile` on Linux). Returns how many
            /// bytes it wrote, which is 0 only at the end of the file. The position of the file
            /// does not change.
            ///
            /// # Blocking
            ///
            /// A yield point, as a write. But the kernel reads from the disk the parts of the file
            /// that it does not have in memory, and no other fiber of the thread runs meanwhile.
            /// With files on a slow disk, ask for few bytes at a time, or read them with
            /// [`offload`](straightline_sched::offload).
            ///
            /// # Cancellation
            ///
            /// A cancel or a deadline is raised before anything is written.
            ///
            /// # Errors
            ///
            /// As a write, or the system's error of reading the file.
            pub fn send_file(
                &self,
                file: &std::fs::File,
                offset: u64,
                count: usize,
            ) -> std::io::Result<usize> {
                self.io.write(|stream| crate::socket::send_file(stream, file, offset, count))
            }

            /// Shuts down one or both directions, as [`std::net::TcpStream::shutdown`].
            ///
            /// Not a yield point.
            ///
            /// # Errors
            ///
            /// As std's.
            pub fn shutdown(&self, how: std::net::Shutdown) -> std::io::Result<()> {
                crate::socket::shutdown(self.io.inner(), how)
            }
        }

        impl std::os::fd::AsFd for $stream {
            /// # Panics
            ///
            /// If it is simulated: such a stream has no descriptor.
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.io.inner().descriptor()
            }
        }
    };
}
pub(crate) use impl_stream;
