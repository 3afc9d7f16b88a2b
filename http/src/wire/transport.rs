//! The byte stream under a connection: plain sockets today, and any stream with these calls later.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll};
use std::time::Instant;

use straightline_net::{StreamSet, TcpStream, UnixStream};
use straightline_sched::Interest;
use straightline_sched::sync::Ready;

/// A byte stream that never waits by itself; the [`Link`](super::Link) decides how long to wait.
pub(crate) trait Transport: 'static {
    /// Reads what has been received; `WouldBlock` when nothing has.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// The last read proved that no bytes are left, so another try before a wait is hardly worth
    /// it.
    fn is_drained(&self) -> bool;
    /// Arranges that the fiber is woken when a read is likely to succeed; false if a read would
    /// now.
    fn arm_readable(&self) -> io::Result<bool>;
    /// Writes as many bytes as there is room for; `WouldBlock` when there is none.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// As [`try_write`](Self::try_write), from several slices.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// As [`try_write`](Self::try_write), from a file; 0 if the file has no bytes at `offset`.
    fn try_send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize>;
    /// Waits until `interest` is likely to be ready, but not beyond `at`; false if `at` was
    /// reached. May return early. Call it after a try that returned `WouldBlock`.
    ///
    /// A yield point.
    fn wait_until(&self, interest: Interest, at: Option<Instant>) -> io::Result<bool>;
    /// That `interest` is ready, for a `select`.
    fn ready(&self, interest: Interest) -> Ready<'_>;
    /// The wait of a future, after a try that returned `WouldBlock`.
    #[cfg_attr(not(any(feature = "tokio-io", feature = "futures-io")), allow(dead_code))]
    fn poll_ready(&self, interest: Interest, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// How many written bytes the client has not acknowledged; `None` where the system does not
    /// say.
    fn unacknowledged(&self) -> Option<u64>;
    /// Whether the client has closed its side, or the connection is broken.
    fn is_peer_gone(&self) -> bool;
    /// Makes the close look like an accident to the peer, where the system can do that. Bytes that
    /// were written but not sent are dropped.
    fn reset_on_close(&self);
    /// Ends the connection at once, like an accident where the system can do that, while its
    /// descriptor stays open.
    fn reset(&self);
    /// Tells the peer that nothing more will be written.
    fn shutdown_write(&self) -> io::Result<()>;
    /// Lets other threads shut the stream down, through `set`.
    fn join_set(&self, set: &StreamSet);
}

macro_rules! transport {
    ($stream:ty, $reset_on_close:expr, $reset:expr) => {
        impl Transport for $stream {
            fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.try_read(buffer)
            }

            fn is_drained(&self) -> bool {
                self.is_drained()
            }

            fn arm_readable(&self) -> io::Result<bool> {
                self.arm_readable()
            }

            fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
                self.try_write(bytes)
            }

            fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                self.try_write_vectored(slices)
            }

            fn try_send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
                self.try_send_file(file, offset, count)
            }

            fn wait_until(&self, interest: Interest, at: Option<Instant>) -> io::Result<bool> {
                self.wait_until(interest, at)
            }

            fn ready(&self, interest: Interest) -> Ready<'_> {
                match interest {
                    Interest::Read => self.readable(),
                    Interest::Write => self.writable(),
                }
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

            fn reset_on_close(&self) {
                $reset_on_close(self);
            }

            fn reset(&self) {
                // If this fails, the peer is gone already.
                let _ = $reset(self);
            }

            fn shutdown_write(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }

            fn join_set(&self, set: &StreamSet) {
                self.join_set(set);
            }
        }
    };
}

transport!(
    TcpStream,
    |stream: &TcpStream| {
        // If this fails, the peer is gone already.
        let _ = stream.set_zero_linger();
    },
    TcpStream::reset
);
transport!(UnixStream, |_: &UnixStream| {}, |stream: &UnixStream| stream.shutdown(Shutdown::Both));
