//! Streams without waiting, for code that does the waiting itself: with a timeout that depends on
//! what has happened so far, or between the activations of a fiber.

/// The calls without waiting of a stream type with an `io` field.
macro_rules! impl_nonblocking {
    ($stream:ty) => {
        impl $stream {
            /// Reads what has arrived, without waiting.
            ///
            /// Not a yield point.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) when nothing is there; wait with
            /// [`wait_readable`](Self::wait_readable) then. Otherwise what the system said.
            pub fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
                self.io.try_read(buffer.len(), |stream| crate::socket::recv(stream, buffer))
            }

            /// Whether the last read proved that the socket is empty. To try again before waiting
            /// is then hardly worth the system call.
            ///
            /// Not a yield point.
            pub fn is_drained(&self) -> bool {
                self.io.is_drained()
            }

            /// Waits until a read is likely to succeed, or the fiber is woken for another reason.
            /// The read timeout does not apply.
            ///
            /// # Blocking
            ///
            /// A yield point, unless something came since the last read. Call it after a read that
            /// would have blocked.
            ///
            /// # Cancellation
            ///
            /// A cancel or a deadline ends the wait by unwinding. Nothing was taken, and that
            /// something came is noted for the next wait.
            ///
            /// # Errors
            ///
            /// When the system cannot watch the descriptor, the fiber is unwinding, or no fiber
            /// calls.
            pub fn wait_readable(&self) -> std::io::Result<()> {
                self.io.wait_readable()
            }

            /// That a read would not block, as a thing to
            /// [`select`](straightline_sched::sync::select()) on: data or an end has come, or an
            /// error.
            ///
            /// Not a yield point; the `select` is one.
            ///
            /// ```
            /// use std::io::{Read, Write};
            /// use std::time::Duration;
            /// use straightline_net::UnixStream;
            /// use straightline_sched::sync::{Flag, after, select};
            /// use straightline_sched as sched;
            ///
            /// sched::run(|| {
            ///     let (mut near, mut far) = UnixStream::pair()?;
            ///     let (stop, limit) = (Flag::new(), after(Duration::from_secs(60)));
            ///     near.write_all(b"line")?;
            ///     let text = match select(&[&far.readable(), &stop, &limit]).unwrap() {
            ///         0 => {
            ///             let mut buffer = [0; 64];
            ///             let count = far.read(&mut buffer)?;
            ///             String::from_utf8_lossy(&buffer[..count]).into_owned()
            ///         }
            ///         1 => "stopped".to_owned(),
            ///         _ => "the peer says nothing".to_owned(),
            ///     };
            ///     assert_eq!(text, "line");
            ///     std::io::Result::Ok(())
            /// })?;
            /// # std::io::Result::Ok(())
            /// ```
            pub fn readable(&self) -> straightline_sched::sync::Ready<'_> {
                straightline_sched::sync::Ready::to_read(self.io.source())
            }

            /// That a write would not block, as a thing to
            /// [`select`](straightline_sched::sync::select()) on: there is room, or an error.
            ///
            /// Not a yield point; the `select` is one.
            pub fn writable(&self) -> straightline_sched::sync::Ready<'_> {
                straightline_sched::sync::Ready::to_write(self.io.source())
            }

            /// The wait of a future: the task is woken when the direction is likely to be ready,
            /// and polls again. Call it after a try that would have blocked. Of several tasks that
            /// wait for a direction, the last one is woken.
            ///
            /// Not a yield point.
            ///
            /// # Errors
            ///
            /// When the system cannot watch the descriptor, or on a thread that runs no shard.
            ///
            /// ```
            /// use std::future::poll_fn;
            /// use std::io::{ErrorKind, Write};
            /// use std::task::{Poll, ready};
            /// use straightline_net::UnixStream;
            /// use straightline_sched::{self as sched, Interest};
            ///
            /// sched::run(|| {
            ///     let (mut near, far) = UnixStream::pair()?;
            ///     sched::spawn(move || near.write_all(b"line"));
            ///     let mut buffer = [0; 8];
            ///     let read = poll_fn(|cx| loop {
            ///         match far.try_read(&mut buffer) {
            ///             Err(error) if error.kind() == ErrorKind::WouldBlock => {
            ///                 ready!(far.poll_ready(Interest::Read, cx))?;
            ///             }
            ///             result => return Poll::Ready(result),
            ///         }
            ///     });
            ///     assert_eq!(sched::block_on(read).unwrap()?, 4);
            ///     std::io::Result::Ok(())
            /// })?;
            /// # std::io::Result::Ok(())
            /// ```
            pub fn poll_ready(
                &self,
                interest: straightline_sched::Interest,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<std::io::Result<()>> {
                self.io.poll_ready(interest, cx)
            }

            /// Arranges that the calling fiber is woken when a try in that direction is likely to
            /// succeed, without waiting for it; false if one may succeed already. For fibers that
            /// rest between activations (`straightline_sched::spawn_stackless`).
            ///
            /// Not a yield point.
            ///
            /// # Errors
            ///
            /// When the system cannot watch the descriptor, or the caller is not a fiber.
            pub fn arm(&self, interest: straightline_sched::Interest) -> std::io::Result<bool> {
                self.io.arm(interest)
            }

            /// Writes as many bytes as there is room for, without waiting.
            ///
            /// Not a yield point.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](std::io::ErrorKind::WouldBlock) when there is no room; wait with
            /// [`wait_until`](Self::wait_until) then. Otherwise the system's error.
            ///
            /// ```
            /// use std::io::ErrorKind;
            /// use std::time::{Duration, Instant};
            /// use straightline_net::{TcpListener, TcpStream};
            /// use straightline_sched::{self as sched, Interest};
            ///
            /// sched::run(|| {
            ///     let listener = TcpListener::bind("127.0.0.1:0")?;
            ///     let stream = TcpStream::connect(listener.local_addr()?)?;
            ///     let patience = Duration::from_millis(5);
            ///     let kept = loop {
            ///         match stream.try_write(&[0; 65_536]) {
            ///             Err(error) if error.kind() == ErrorKind::WouldBlock => {
            ///                 let at = Instant::now() + patience; // from the last progress on
            ///                 if !stream.wait_until(Interest::Write, Some(at))? {
            ///                     break "the peer reads nothing";
            ///                 }
            ///             }
            ///             result => drop(result?),
            ///         };
            ///     };
            ///     assert_eq!(kept, "the peer reads nothing");
            ///     std::io::Result::Ok(())
            /// })?;
            /// # std::io::Result::Ok(())
            /// ```
            pub fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
                crate::socket::send(self.io.inner(), bytes)
            }

            /// As [`try_write`](Self::try_write), from several slices.
            ///
            /// Not a yield point.
            ///
            /// # Errors
            ///
            /// As [`try_write`](Self::try_write).
            pub fn try_write_vectored(
                &self,
                buffers: &[std::io::IoSlice<'_>],
            ) -> std::io::Result<usize> {
                crate::socket::send_vectored(self.io.inner(), buffers)
            }

            /// As [`send_file`](Self::send_file), without waiting for room.
            ///
            /// Not a yield point, though it may block the thread as `send_file` may.
            ///
            /// # Errors
            ///
            /// As [`try_write`](Self::try_write), or the system's error of reading the file.
            pub fn try_send_file(
                &self,
                file: &std::fs::File,
                offset: u64,
                count: usize,
            ) -> std::io::Result<usize> {
                crate::socket::send_file(self.io.inner(), file, offset, count)
            }

            /// Waits until the direction is likely to be ready, until `at`, or until the fiber is
            /// woken for another reason: try again after it. Returns false if the time has passed
            /// and nothing has changed. The timeouts of the stream do not apply.
            ///
            /// # Blocking
            ///
            /// A yield point, unless something changed since the last try. Call it after a try that
            /// would have blocked.
            ///
            /// # Cancellation
            ///
            /// As [`wait_readable`](Self::wait_readable).
            ///
            /// # Errors
            ///
            /// As [`wait_readable`](Self::wait_readable).
            pub fn wait_until(
                &self,
                interest: straightline_sched::Interest,
                at: Option<std::time::Instant>,
            ) -> std::io::Result<bool> {
                self.io.wait_until(interest, at)
            }

            /// Whether the peer has closed its side, or the connection is broken, as far as this
            /// system knows: a peer that vanished without a packet is not gone yet. On Linux unread
            /// data does not hide an end behind it; on other systems it does.
            ///
            /// A peer that has shut down only its writing side, and still reads, looks the same.
            ///
            /// Not a yield point.
            ///
            /// ```
            /// use straightline_net::{TcpListener, TcpStream};
            /// use straightline_sched as sched;
            ///
            /// sched::run(|| {
            ///     let listener = TcpListener::bind("127.0.0.1:0")?;
            ///     let client = TcpStream::connect(listener.local_addr()?)?;
            ///     let (stream, _) = listener.accept()?;
            ///     assert!(!stream.is_peer_gone());
            ///     drop(client);
            ///     stream.wait_readable()?; // for the end of the stream
            ///     assert!(stream.is_peer_gone());
            ///     std::io::Result::Ok(())
            /// })?;
            /// # std::io::Result::Ok(())
            /// ```
            pub fn is_peer_gone(&self) -> bool {
                self.io.source().is_read_closed() || crate::socket::is_peer_gone(self.io.inner())
            }

            /// How many written bytes the peer has not acknowledged yet, or on a Unix socket not
            /// read. If the number shrinks while there is no room, the peer takes data. `None` if
            /// the system does not tell (systems other than Linux). A Unix socket counts the memory
            /// of its buffers, and the number shrinks by a whole buffer at a time.
            ///
            /// Not a yield point.
            ///
            /// ```
            /// use std::io::{Read, Write};
            /// use straightline_net::UnixStream;
            /// use straightline_sched as sched;
            ///
            /// sched::run(|| {
            ///     let (mut near, mut far) = UnixStream::pair()?;
            ///     near.write_all(b"line")?;
            ///     assert!(near.unacknowledged().is_none_or(|bytes| bytes >= 4));
            ///     far.read_exact(&mut [0; 4])?;
            ///     assert!(near.unacknowledged().is_none_or(|bytes| bytes == 0));
            ///     std::io::Result::Ok(())
            /// })?;
            /// # std::io::Result::Ok(())
            /// ```
            pub fn unacknowledged(&self) -> Option<u64> {
                crate::socket::unacknowledged(self.io.inner())
            }

            /// Puts the stream into a set, by which another thread can shut it down. The stream
            /// leaves the set that it was in. A simulated stream goes into no set.
            ///
            /// Not a yield point.
            pub fn join_set(&self, set: &crate::StreamSet) {
                self.io.set_member(set.add(self.io.inner()));
            }
        }
    };
}
pub(crate) use impl_nonblocking;
