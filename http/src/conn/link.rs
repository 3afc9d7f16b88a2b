//! The way to the client: who it is, the stream, and what waits to be written to it.

use std::cell::{Cell, RefCell, RefMut};
use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;

use super::transport::Transport;
use crate::proto::{Limits, begin_chunk, end_chunk};
use crate::server::Peer;

/// What a connection and the request at hand both hold on to.
pub(crate) struct Link {
    pub(crate) peer: Peer,
    /// What the client may send.
    pub(crate) limits: Rc<Limits>,
    /// Whether the client of the request at hand waits to be told to send its body.
    pub(crate) expectation: Cell<Expectation>,
    /// Responses that were encoded and not yet written. Borrowed while it is being written.
    output: RefCell<Vec<u8>>,
    /// Where in the output the chunk begins that is being filled, if one is. What is written ends
    /// it, so that nothing is held back.
    chunk: Cell<Option<usize>>,
    /// Bytes that have left.
    written: Cell<u64>,
    /// The output leaves if the fiber waits, which is arranged for once at a time.
    leaves_before_park: Cell<bool>,
    /// Boxed: where an unsized field begins would have to be computed at each access.
    pub(crate) transport: Box<dyn Transport>,
}

/// `Expect: 100-continue`, for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// The body comes by itself, or the client was told to go on.
    None,
    /// The body comes once somebody wants it.
    Waiting,
    /// The response is on its way; nobody can say whether the body comes.
    Declined,
}

impl Link {
    pub(crate) fn new(peer: Peer, limits: Rc<Limits>, transport: impl Transport) -> Self {
        Self {
            peer,
            limits,
            expectation: Cell::new(Expectation::None),
            output: RefCell::default(),
            chunk: Cell::new(None),
            written: Cell::new(0),
            leaves_before_park: Cell::new(false),
            transport: Box::new(transport),
        }
    }

    pub(crate) fn output(&self) -> RefMut<'_, Vec<u8>> {
        self.output.borrow_mut()
    }

    /// Whether [`flush_before_park`](Self::flush_before_park) still has to be arranged for; it is
    /// from now on.
    pub(crate) fn arrange_flush(&self) -> bool {
        !self.leaves_before_park.replace(true)
    }

    /// How many bytes the client has been sent, those that wait included.
    pub(crate) fn position(&self) -> u64 {
        self.written.get() + self.output.borrow().len() as u64
    }

    /// Takes back what was put into the output since it was at that position, if nothing of it has
    /// left.
    pub(crate) fn take_back(&self, position: u64) -> bool {
        let Some(kept) = position.checked_sub(self.written.get()) else {
            return false;
        };
        self.chunk.set(None);
        self.output.borrow_mut().truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        true
    }

    /// Puts data of a chunked body into the output; returns how long its chunk has become.
    pub(crate) fn fill_chunk(&self, data: &[u8]) -> usize {
        let mut output = self.output.borrow_mut();
        let start = self.chunk.get().unwrap_or_else(|| {
            let start = begin_chunk(&mut output);
            self.chunk.set(Some(start));
            start
        });
        output.extend_from_slice(data);
        output.len() - start
    }

    /// Ends the chunk that is being filled, if one is.
    #[inline]
    pub(crate) fn end_chunk(&self, output: &mut Vec<u8>) {
        if let Some(start) = self.chunk.take() {
            end_chunk(output, start);
        }
    }

    /// Writes everything out, waiting as long as it takes.
    ///
    /// A yield point.
    pub(crate) fn flush(&self) -> io::Result<()> {
        let mut output = self.output.borrow_mut();
        if output.is_empty() {
            return Ok(());
        }
        self.end_chunk(&mut output);
        let mut flushing = Flushing { link: self, output: &mut output, written: 0 };
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

    /// Writes everything out and then `body`, together and without copying it. If that fails or is
    /// unwound, some of the body may have left.
    ///
    /// A yield point.
    pub(crate) fn flush_with(&self, body: &[u8]) -> io::Result<()> {
        let mut output = self.output.borrow_mut();
        self.end_chunk(&mut output);
        let mut flushing = Flushing { link: self, output: &mut output, written: 0 };
        let mut left = body;
        while !left.is_empty() || flushing.rest().is_some() {
            let rest = flushing.rest().unwrap_or_default();
            let count =
                match self.transport.write_vectored(&[IoSlice::new(rest), IoSlice::new(left)]) {
                    Ok(0) => return Err(ErrorKind::WriteZero.into()),
                    Ok(count) => count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                };
            left = &left[count.saturating_sub(rest.len())..];
            flushing.written += count;
        }
        Ok(())
    }

    /// Bytes have left that were never in the output.
    pub(crate) fn note_written(&self, count: usize) {
        self.written.set(self.written.get() + count as u64);
    }

    /// What happens when a handler waits: its predecessors' responses leave, and what is there of
    /// its own. An error shows again at the next write.
    pub(crate) fn flush_before_park(&self) {
        self.leaves_before_park.set(false);
        let is_being_written = self.output.try_borrow_mut().is_err();
        if !is_being_written {
            let _ = self.flush();
        }
    }
}

/// Output on its way; what was written goes when this is dropped. A handler's deadline may end a
/// write, and what has left must not leave again.
struct Flushing<'o> {
    link: &'o Link,
    output: &'o mut Vec<u8>,
    /// Of the output, and then of what follows it.
    written: usize,
}

impl Flushing<'_> {
    fn rest(&self) -> Option<&[u8]> {
        self.output.get(self.written..).filter(|rest| !rest.is_empty())
    }
}

impl Drop for Flushing<'_> {
    fn drop(&mut self) {
        self.output.drain(..self.written.min(self.output.len()));
        self.link.note_written(self.written);
    }
}
