//! What a connection runs over: plain sockets today, and any stream with these calls later.

use std::fs::File;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Instant;

use straightline_net::{StreamSet, TcpStream, UnixStream};
use straightline_sched::Interest;

/// A byte stream that never waits by itself; the [`Link`](super::Link) knows how long to.
pub(crate) trait Transport: 'static {
    /// Reads what has been received; `WouldBlock` when nothing has.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// The last read proved that nothing is left: to try again before waiting is hardly worth it.
    fn is_drained(&self) -> bool;
    /// Has the fiber woken when a read is likely to succeed; false if one is now.
    fn arm_readable(&self) -> io::Result<bool>;
    /// Writes what there is room for; `WouldBlock` when there is none.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// As [`try_write`](Self::try_write), from several places.
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// As [`try_write`](Self::try_write), from a file; 0 if it has nothing there.
    fn try_send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize>;
    /// Waits until that direction is likely to go on, but not beyond that time; false if it has
    /// come. May return early. After a try that would have blocked.
    ///
    /// A yield point.
    fn wait_until(&self, interest: Interest, at: Option<Instant>) -> io::Result<bool>;
    /// How many written bytes the client has not acknowledged; `None` where the system does not
    /// say.
    fn unacknowledged(&self) -> Option<u64>;
    /// Whether the client has closed its side, or the connection is broken.
    fn is_peer_gone(&self) -> bool;
    /// Has the close look like an accident to the peer, where there is a way; what was written and
    /// not yet sent is given up.
    fn reset_on_close(&self);
    /// Has the connection end at once, like an accident where there is a way, though its descriptor
    /// stays open.
    fn reset(&self);
    /// Tells the peer that nothing more will be written.
    fn shutdown_write(&self) -> io::Result<()>;
    /// Lets other threads shut it down, through that set.
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
                // If that fails the peer is gone already.
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
        // If that fails the peer is gone already.
        let _ = stream.set_zero_linger();
    },
    TcpStream::reset
);
transport!(UnixStream, |_: &UnixStream| {}, |stream: &UnixStream| stream.shutdown(Shutdown::Both));
