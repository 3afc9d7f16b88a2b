//! A stream that remembers what was written to it.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use straightline_net::{MemoryStream, Transport};
use straightline_sched::Interest;
use straightline_sched::sync::Ready;

use super::record::Record;

pub(crate) struct Tap {
    stream: MemoryStream,
    written: Rc<RefCell<Vec<u8>>>,
}

impl Tap {
    pub(crate) fn new(stream: MemoryStream) -> Self {
        Self { stream, written: Rc::default() }
    }

    /// Takes out the records that were written since the last call.
    pub(crate) fn take_records(&self) -> Vec<Record> {
        Record::parse_all(&self.written.take())
    }
}

impl Transport for Tap {
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(buffer)
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream.try_write(bytes)?;
        self.written.borrow_mut().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn arm(&self, interest: Interest) -> io::Result<bool> {
        self.stream.arm(interest)
    }

    fn ready(&self, interest: Interest) -> Ready<'_> {
        self.stream.ready(interest)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        self.stream.shutdown_write()
    }
}
