//! Reading and writing in blocking style: std's traits, for a TLS stream and for references to one.

use std::io::{self, IoSlice, Read, Write};

use straightline_net::Transport;
use straightline_sched::Interest;

use crate::stream::TlsStream;

impl<S: Transport> Read for &TlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.block(Interest::Read, || self.try_read(buffer))
    }
}

impl<S: Transport> Write for &TlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.block(Interest::Write, || self.try_write(bytes))?;
        self.wait_for_flush(count)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.block(Interest::Write, || self.try_write_vectored(slices))?;
        self.wait_for_flush(count)
    }

    /// Waits until the stream below has taken everything that was written.
    fn flush(&mut self) -> io::Result<()> {
        self.block(Interest::Write, || self.try_flush())
    }
}

impl<S: Transport> Read for TlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl<S: Transport> Write for TlsStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}
