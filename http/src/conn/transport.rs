//! What a connection runs over: plain sockets today, whatever has these few calls tomorrow.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;

use straightline_net::{TcpStream, UnixStream};
use straightline_sched::checkpoint;

/// A byte stream with a fiber's way of waiting.
pub(crate) trait Transport: 'static {
    /// Reads what is there; `WouldBlock` when nothing is.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// The last read proved that nothing is left: to try again before waiting is hardly worth it.
    fn is_drained(&self) -> bool;
    /// Waits until a read is likely to succeed; may return early.
    fn wait_readable(&self) -> io::Result<()>;
    /// Has the fiber woken when a read is likely to succeed; false if one is now.
    fn arm_readable(&self) -> io::Result<bool>;
    /// As [`write`](Self::write), from several places.
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Writes some of it, waiting until that is possible.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Writes some of a file, waiting until that is possible; 0 if it has nothing there.
    fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize>;
    /// Has the close look like an accident to the peer, where there is a way.
    fn reset_on_close(&self);
    /// Tells the peer that nothing more will be written.
    fn shutdown_write(&self) -> io::Result<()>;
}

/// Reads at least one byte, waiting for it; 0 is the end of the stream.
///
/// A yield point.
pub(crate) fn read(transport: &dyn Transport, buffer: &mut [u8]) -> io::Result<usize> {
    // Before anything is read: it may raise, and what was read would be lost.
    checkpoint();
    loop {
        if transport.is_drained() {
            transport.wait_readable()?;
        }
        match transport.try_read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => transport.wait_readable()?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

macro_rules! transport {
    ($stream:ty, $reset_on_close:expr) => {
        impl Transport for $stream {
            fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                self.try_read(buffer)
            }

            fn is_drained(&self) -> bool {
                self.is_drained()
            }

            fn wait_readable(&self) -> io::Result<()> {
                self.wait_readable()
            }

            fn arm_readable(&self) -> io::Result<bool> {
                self.arm_readable()
            }

            fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                (&mut &*self).write_vectored(slices)
            }

            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                (&mut &*self).write(bytes)
            }

            fn send_file(&self, file: &File, offset: u64, count: usize) -> io::Result<usize> {
                self.send_file(file, offset, count)
            }

            fn reset_on_close(&self) {
                $reset_on_close(self);
            }

            fn shutdown_write(&self) -> io::Result<()> {
                self.shutdown(Shutdown::Write)
            }
        }
    };
}

transport!(TcpStream, |stream: &TcpStream| {
    // If that fails the peer is gone already.
    let _ = stream.set_zero_linger();
});
transport!(UnixStream, |_: &UnixStream| {});
