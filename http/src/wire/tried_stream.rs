//! An upgraded connection for a protocol that keeps all of its state itself: each try returns at
//! once, and each wait takes nothing.
//!
//! So nothing is lost when a fiber is unwound: it is unwound in a wait, and never with bytes that
//! it has read or written and not noted. `Upgraded` is for protocols that read and write in one
//! call.

use std::io::{self, ErrorKind, IoSlice};
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline_net::Transport;
use straightline_sched::Interest;
use straightline_sched::sync::Ready;

use super::host::Host;
use super::pacing::Room;
use super::upgrade::Upgraded;
use crate::config::Peer;

/// An upgraded connection whose calls do not wait, except for one.
pub(crate) struct TriedStream(Upgraded);

impl TriedStream {
    /// A drain is going to end one wait early, instead of ending the protocol.
    pub(crate) fn new(upgraded: Upgraded) -> Self {
        upgraded.interrupt_on_drain();
        Self(upgraded)
    }

    /// The shard that serves it.
    pub(crate) fn host(&self) -> &Rc<Host> {
        &self.0.link().host
    }

    pub(crate) fn peer(&self) -> &Peer {
        self.0.peer()
    }

    /// Reads what has arrived; 0 is the end. An error is `WouldBlock` if nothing has. Not a yield
    /// point.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read_early(buffer) {
            0 => self.try_once(Interest::Read, |transport| transport.try_read(buffer)),
            count => Ok(count),
        }
    }

    /// Writes as much as there is room for. Not a yield point.
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = if slices.iter().map(|slice| slice.len()).sum::<usize>() <= TOGETHER_BYTES_MAX {
            self.try_write_together(slices)?
        } else {
            self.try_once(Interest::Write, |transport| transport.try_write_vectored(slices))?
        };
        self.0.link().pacing.record_sent(count);
        Ok(count)
    }

    /// Waits for room to write, within the server's [rate](crate::Timeouts::write) and an idle
    /// time: the client has read nothing since then. At `until` the wait is over in any case; it
    /// returns after `look` at the latest. A yield point.
    pub(crate) fn wait_for_room(
        &self,
        idle: (Duration, Instant),
        until: Option<Instant>,
        look: Duration,
    ) -> io::Result<Room> {
        let link = self.0.link();
        link.pacing.wait_for_reader(&*link.transport, idle, until, look)
    }

    /// As [`try_write`](Self::try_write), for few bytes: for Linux several slices are 150 to 200 ns
    /// more work than one, and to copy the bytes is 10.
    fn try_write_together(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut together = [0; TOGETHER_BYTES_MAX];
        let mut end = 0;
        for slice in slices {
            together[end..end + slice.len()].copy_from_slice(slice);
            end += slice.len();
        }
        self.try_once(Interest::Write, |transport| transport.try_write(&together[..end]))
    }

    /// Sends what a stream with a buffer of its own has not sent yet. Not a yield point.
    pub(crate) fn try_flush(&self) -> io::Result<()> {
        match self.0.link().transport.try_flush() {
            Err(error) if error.kind() == ErrorKind::Interrupted => self.try_flush(),
            result => result,
        }
    }

    /// Whether a read is not worth a try before a wait.
    pub(crate) fn is_drained(&self) -> bool {
        self.0.is_early_read() && self.0.link().transport.is_drained()
    }

    /// That a read would not block, for a `select`.
    pub(crate) fn readable(&self) -> Ready<'_> {
        self.0.readable()
    }

    /// Waits until a try in that direction may succeed; false if `until` was reached. It may return
    /// early, and does so once when a drain begins. A yield point.
    pub(crate) fn wait_until(
        &self,
        interest: Interest,
        until: Option<Instant>,
    ) -> io::Result<bool> {
        let reading = match interest {
            Interest::Read => match self.0.protocol().begin_read(self.host().is_draining()) {
                Ok(reading) => reading,
                // The drain has begun.
                Err(_) => return Ok(true),
            },
            Interest::Write => None,
        };
        let waited = self.0.link().transport.wait_until(interest, until);
        drop(reading);
        waited
    }

    /// Ends the connection at once: each fiber that waits for it gets an error or an end. Not a
    /// yield point.
    pub(crate) fn abort(&self) {
        self.0.link().transport.reset();
    }

    fn try_once(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(&dyn Transport) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match attempt(&*self.0.link().transport) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(error),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return self.0.record(interest, result),
            }
        }
    }
}

/// Arbitrary: a line of a chat, and little on the stack.
const TOGETHER_BYTES_MAX: usize = 256;
