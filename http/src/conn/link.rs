//! The way to the client: who it is, the stream, and what waits to be written to it.

use std::cell::{RefCell, RefMut};
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use super::transport::Transport;
use crate::proto::Limits;
use crate::server::Peer;

/// What a connection and the request at hand both hold on to.
pub(crate) struct Link<T: ?Sized = dyn Transport> {
    pub(crate) peer: Peer,
    /// What the client may send.
    pub(crate) limits: Rc<Limits>,
    /// Responses that were encoded and not yet written. Borrowed while it is being written.
    output: RefCell<Vec<u8>>,
    pub(crate) transport: T,
}

impl<T: Transport> Link<T> {
    pub(crate) fn new(peer: Peer, limits: Rc<Limits>, transport: T) -> Self {
        Self { peer, limits, output: RefCell::default(), transport }
    }
}

impl Link {
    pub(crate) fn output(&self) -> RefMut<'_, Vec<u8>> {
        self.output.borrow_mut()
    }

    /// Writes everything out, waiting as long as it takes.
    ///
    /// A yield point.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut output = self.output.borrow_mut();
        if output.is_empty() {
            return Ok(());
        }
        // A handler's deadline may end a write of `flush_before_park`: what has left must not leave
        // again.
        let mut flushing = Flushing { output: &mut output, written: 0 };
        while let Some(rest) = flushing.rest() {
            match self.transport.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => flushing.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes everything out and then `body`, together and without copying it.
    ///
    /// A yield point.
    pub(crate) fn flush_with(&self, body: &[u8]) -> io::Result<()> {
        let mut output = self.output.borrow_mut();
        let mut slices = [IoSlice::new(&output), IoSlice::new(body)];
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match self.transport.write_vectored(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut rest, count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        output.clear();
        Ok(())
    }

    /// What happens when a handler waits: its predecessors' responses leave. An error shows again
    /// at the next write.
    pub(crate) fn flush_before_park(&self) {
        let is_being_written = self.output.try_borrow_mut().is_err();
        if !is_being_written {
            let _ = self.flush();
        }
    }
}

/// Output on its way; what was written goes when this is dropped.
struct Flushing<'o> {
    output: &'o mut Vec<u8>,
    written: usize,
}

impl Flushing<'_> {
    fn rest(&self) -> Option<&[u8]> {
        self.output.get(self.written..).filter(|rest| !rest.is_empty())
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.output.drain(..self.written);
    }
}
