//! The byte stream under a protocol.
//!
//! A protocol never asks which stream it has. It tries, and waits if the try would block; a stream
//! says when it is ready. So TLS, or a stream in memory, needs only these calls.

use std::any::Any;
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::unix::fs::FileExt;
use std::task::{Context, Poll};
use std::time::Instant;

use straightline_sched::Interest;
use straightline_sched::sync::{Ready, at, select};

use crate::memory::MemoryStream;
use crate::stream_set::StreamSet;
use crate::tcp::TcpStream;
use crate::unix::UnixStream;

/// A byte stream under a protocol such as HTTP or TLS: a socket, a stream in memory, or a stream of
/// the program's own, such as TLS over a socket.
///
/// A stream belongs to one shard. No call except [`wait_until`](Self::wait_until) waits: a call
/// that would have to wait returns [`WouldBlock`](io::ErrorKind::WouldBlock), and the server waits
/// with its own timeouts.
///
/// Each stream must have the first five calls; the others have defaults that are right for a stream
/// that knows nothing better.
///
/// # A stream that translates
///
/// A stream such as TLS has bytes of its own, beside those of the stream below:
///
/// - Bytes that it has received and decrypted are there to be read, whatever the socket has: then
///   [`arm`](Self::arm) returns false, and [`ready`](Self::ready) is [`Ready::now`].
/// - Bytes that it has accepted in [`try_write`](Self::try_write) and could not send count as
///   written. The stream sends them with its next calls, such as
///   [`try_flush`](Self::try_flush). While it has some, a read
///   may wait for room to write: [`ready`](Self::ready) (by [`Ready::or`]) and `arm` wait for that
///   too, and `try_read` sends first.
/// - [`shutdown_write`](Self::shutdown_write) and [`try_close`](Self::try_close) send the rest, and
///   the protocol's own goodbye.
///
/// ```
/// use std::io;
/// use straightline_net::{MemoryStream, Transport};
/// use straightline_sched::{self as sched, Interest, sync::Ready};
///
/// /// Exchanges upper and lower case on the wire: not quite TLS.
/// struct Swapped<T>(T);
///
/// fn swap(bytes: &mut [u8]) {
///     bytes.iter_mut().filter(|byte| byte.is_ascii_alphabetic()).for_each(|byte| *byte ^= 0x20);
/// }
///
/// impl<T: Transport> Transport for Swapped<T> {
///     fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
///         let count = self.0.try_read(buffer)?;
///         swap(&mut buffer[..count]);
///         Ok(count)
///     }
///
///     fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
///         let mut bytes = bytes.to_vec();
///         swap(&mut bytes);
///         self.0.try_write(&bytes)
///     }
///
///     fn arm(&self, interest: Interest) -> io::Result<bool> {
///         self.0.arm(interest)
///     }
///
///     fn ready(&self, interest: Interest) -> Ready<'_> {
///         self.0.ready(interest)
///     }
///
///     fn shutdown_write(&self) -> io::Result<()> {
///         self.0.shutdown_write()
///     }
/// }
///
/// sched::run(|| {
///     let (client, stream) = MemoryStream::pair(4096);
///     let server = Swapped(stream);
///     client.try_write(b"hello")?;
///     let mut request = [0; 16];
///     let count = server.try_read(&mut request)?;
///     assert_eq!(&request[..count], b"HELLO");
///     io::Result::Ok(())
/// })?;
/// # io::Result::Ok(())
/// ```
pub trait Transport: 'static {
    /// Reads what has been received; 0 is the end of the stream. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when nothing has been received.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes as many bytes as there is room for. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is no room.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Arranges that the calling fiber is [woken](straightline_sched::Fiber::unpark) when a try in
    /// that direction is likely to succeed; false if one would now. The fiber of an idle connection
    /// has no stack meanwhile, so it does not wait in this call. Not a yield point.
    ///
    /// # Errors
    ///
    /// The system's; the connection then ends.
    fn arm(&self, interest: Interest) -> io::Result<bool>;

    /// That a try in that direction would not block, as a thing to
    /// [`select`](straightline_sched::sync::select()) on. Not a yield point.
    fn ready(&self, interest: Interest) -> Ready<'_>;

    /// Agrees with the peer on what the stream needs before the first byte of the protocol above,
    /// such as keys. The server calls it once for each connection, when the first bytes have
    /// arrived. Default: nothing. A yield point.
    ///
    /// # Cancellation
    ///
    /// A cancel or a deadline ends the wait by unwinding. The stream must then fail all calls.
    ///
    /// # Errors
    ///
    /// When there is no agreement; the connection then ends. The time for it is the stream's own to
    /// bound. A bare [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), without an error inside, says
    /// that the peer has closed the stream and sent nothing before, as a probe does: that is no
    /// failure.
    fn handshake(&self) -> io::Result<()> {
        Ok(())
    }

    /// What the handshake agreed on, as a type of the stream's own. Default: `None`. Not a yield
    /// point.
    fn info(&self) -> Option<&dyn Any> {
        None
    }

    /// Tells the peer that nothing more will be written. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when bytes that were written before have to be
    /// sent first, and there is no room: the server waits, and calls this again.
    fn shutdown_write(&self) -> io::Result<()>;

    /// Called before a stream is dropped whose connection has ended in good order, for a stream
    /// that has bytes left to send. Default: nothing. Not a yield point.
    ///
    /// # Errors
    ///
    /// As [`shutdown_write`](Self::shutdown_write).
    fn try_close(&self) -> io::Result<()> {
        Ok(())
    }

    /// Sends the rest of what [`try_write`](Self::try_write) has accepted, for a stream that
    /// accepts more than it can send. The server calls it when it has written everything that it
    /// has, and waits for it as for a write. Default: nothing. Not a yield point.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is no room for all of it.
    fn try_flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether the last read proved that no bytes are left, so that another try before a wait is
    /// hardly worth it. Default: false. Not a yield point.
    fn is_drained(&self) -> bool {
        false
    }

    /// As [`try_write`](Self::try_write), from several slices. Default: writes the first slice that
    /// is not empty. Not a yield point.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.try_write(first.map_or(&[], |slice| slice))
    }

    /// As [`try_write`](Self::try_write), from a file; 0 if the file has no bytes at `offset`.
    /// Default: reads a piece of the file, and writes as much of it as there is room for. Not a
    /// yield point, but the file's system may take long.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write), and the file's.
    fn try_send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        let mut piece = [0; FILE_PIECE_BYTES];
        let wanted = count.min(FILE_PIECE_BYTES);
        match file.read_at(&mut piece[..wanted], offset)? {
            0 => Ok(0),
            read => self.try_write(&piece[..read]),
        }
    }

    /// Waits until `interest` is likely to be ready, but not beyond `until`; false if that time was
    /// reached. It may return early. The server calls it after a try that returned
    /// [`WouldBlock`](io::ErrorKind::WouldBlock). Default: selects on [`ready`](Self::ready).
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
    /// When it would have to wait and the fiber is unwinding.
    fn wait_until(&self, interest: Interest, until: Option<Instant>) -> io::Result<bool> {
        let ready = self.ready(interest);
        let first = match until {
            None => select(&[&ready])?,
            Some(until) => select(&[&ready, &at(until)])?,
        };
        Ok(first == 0)
    }

    /// The wait of a future, after a try that returned [`WouldBlock`](io::ErrorKind::WouldBlock):
    /// the task is woken when `interest` is ready. Only the asynchronous traits of an upgraded
    /// connection need it. Default: an error that says so. Not a yield point.
    ///
    /// # Errors
    ///
    /// The system's.
    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = (interest, cx);
        let message = "this stream has no `Transport::poll_ready`, so futures cannot wait for it";
        Poll::Ready(Err(io::Error::new(io::ErrorKind::Unsupported, message)))
    }

    /// How many written bytes the client has not received yet. Default: `None`, not known; then all
    /// written bytes count as received, so the server gives a slow reader the whole idle time
    /// (`MinRate::idle`) for each wait. Not a yield point.
    fn unacknowledged(&self) -> Option<u64> {
        None
    }

    /// Whether the peer has closed its side, or the connection is broken. Default: false; then the
    /// server's `OnDisconnect::Cancel` has no effect. Not a yield point.
    fn is_peer_gone(&self) -> bool {
        false
    }

    /// Makes the drop of the stream look like an accident to the peer; bytes that were written but
    /// not sent are lost. Default: nothing. Not a yield point.
    fn reset_on_close(&self) {}

    /// Ends the connection at once, like an accident if that is possible, while the stream is still
    /// there. Default: [`shutdown_write`](Self::shutdown_write). Not a yield point.
    fn reset(&self) {
        // If this fails, the peer is gone already.
        let _ = self.shutdown_write();
    }

    /// Lets other threads shut the stream down, through `set`, if the shard's thread is stuck.
    #[doc(hidden)]
    fn join_set(&self, set: &StreamSet) {
        let _ = set;
    }
}

/// The calls that the streams of `straightline-net` have by the same names.
macro_rules! own_calls {
    () => {
        fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
            self.try_read(buffer)
        }

        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            self.try_write(bytes)
        }

        fn arm(&self, interest: Interest) -> io::Result<bool> {
            self.arm(interest)
        }

        fn ready(&self, interest: Interest) -> Ready<'_> {
            match interest {
                Interest::Read => self.readable(),
                Interest::Write => self.writable(),
            }
        }

        fn shutdown_write(&self) -> io::Result<()> {
            self.shutdown(Shutdown::Write)
        }

        fn is_drained(&self) -> bool {
            self.is_drained()
        }

        fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            self.try_write_vectored(slices)
        }

        fn wait_until(&self, interest: Interest, until: Option<Instant>) -> io::Result<bool> {
            self.wait_until(interest, until)
        }

        fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_ready(interest, cx)
        }

        fn unacknowledged(&self) -> Option<u64> {
            self.unacknowledged()
        }

        fn is_peer_gone(&self) -> bool {
            self.is_peer_gone()
        }
    };
}

/// The calls that only streams of the system have.
macro_rules! own_calls_of_sockets {
    () => {
        fn try_send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
            self.try_send_file(file, offset, count)
        }

        fn join_set(&self, set: &StreamSet) {
            self.join_set(set);
        }
    };
}

impl Transport for TcpStream {
    own_calls!();
    own_calls_of_sockets!();

    fn reset_on_close(&self) {
        // If this fails, the peer is gone already.
        let _ = self.set_zero_linger();
    }

    fn reset(&self) {
        // If this fails, the peer is gone already.
        let _ = self.reset();
    }
}

impl Transport for UnixStream {
    own_calls!();
    own_calls_of_sockets!();

    fn reset(&self) {
        // If this fails, the peer is gone already.
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Transport for MemoryStream {
    own_calls!();

    fn reset_on_close(&self) {
        self.reset();
    }

    fn reset(&self) {
        self.reset();
    }
}

/// A stream whose type is not known to who has it.
impl Transport for Box<dyn Transport> {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (**self).try_read(buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        (**self).try_write(bytes)
    }

    fn arm(&self, interest: Interest) -> io::Result<bool> {
        (**self).arm(interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        (**self).ready(interest)
    }

    fn handshake(&self) -> io::Result<()> {
        (**self).handshake()
    }

    fn info(&self) -> Option<&dyn Any> {
        (**self).info()
    }

    fn shutdown_write(&self) -> io::Result<()> {
        (**self).shutdown_write()
    }

    fn try_close(&self) -> io::Result<()> {
        (**self).try_close()
    }

    fn try_flush(&self) -> io::Result<()> {
        (**self).try_flush()
    }

    fn is_drained(&self) -> bool {
        (**self).is_drained()
    }

    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (**self).try_write_vectored(slices)
    }

    fn try_send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
        (**self).try_send_file(file, offset, count)
    }

    fn wait_until(&self, interest: Interest, until: Option<Instant>) -> io::Result<bool> {
        (**self).wait_until(interest, until)
    }

    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (**self).poll_ready(interest, cx)
    }

    fn unacknowledged(&self) -> Option<u64> {
        (**self).unacknowledged()
    }

    fn is_peer_gone(&self) -> bool {
        (**self).is_peer_gone()
    }

    fn reset_on_close(&self) {
        (**self).reset_on_close();
    }

    fn reset(&self) {
        (**self).reset();
    }

    fn join_set(&self, set: &StreamSet) {
        (**self).join_set(set);
    }
}

/// How much of a file the default of [`Transport::try_send_file`] reads. Arbitrary: it is on the
/// stack of a fiber.
const FILE_PIECE_BYTES: usize = 16 * 1024;
