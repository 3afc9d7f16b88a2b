//! A listener's accept queue.
//!
//! For an accept the kernel first makes a socket and a file, and then looks into the queue. If the
//! queue is empty it throws both away, which costs ten times the question whether a connection
//! waits. So behind an accepted connection the question comes before the next accept, unless the
//! last run of connections was so long that all its questions would cost more than one accept in
//! vain.

use std::cell::Cell;
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

use rustix::io::Errno;
use straightline_sched::{Interest, Source, Watch, checkpoint};

use crate::io::is_shut;
use crate::socket::Socket;

/// A listener's socket.
pub(crate) struct AcceptQueue<L: AsFd> {
    source: Source<Socket<L>>,
    /// How many connections were accepted since the queue was empty.
    run: Cell<u32>,
    /// The run before was a long one.
    is_rush: Cell<bool>,
}

impl<L: AsFd> AcceptQueue<L>
where
    Socket<L>: Watch,
{
    pub(crate) fn new(listener: Socket<L>) -> Self {
        Self { source: Source::new(listener), run: Cell::new(0), is_rush: Cell::new(false) }
    }

    pub(crate) fn source(&self) -> &Source<Socket<L>> {
        &self.source
    }

    pub(crate) fn into_inner(self) -> Socket<L> {
        self.source.into_inner()
    }

    /// Accepts with `accept`, without waiting. For a listener that was shut down it returns the
    /// error that Linux returns only for TCP.
    pub(crate) fn try_accept<T>(
        &self,
        accept: impl FnOnce(&Socket<L>) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.run.get() > 0 && !self.is_rush.get() && !self.source.is_ready(Interest::Read) {
            // No event came since: those are reported between two turns.
            self.source.clear(Interest::Read);
            self.end_run();
            return Err(ErrorKind::WouldBlock.into());
        }
        let accepted = accept(self.source.inner());
        match &accepted {
            Ok(_) => self.run.set(self.run.get().saturating_add(1)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.end_run();
                if is_shut(&self.source) {
                    return Err(Errno::INVAL.into());
                }
            }
            Err(_) => {}
        }
        accepted
    }

    /// Accepts with `try_accept`, and waits while no connection is in the queue.
    pub(crate) fn accept<T>(&self, try_accept: impl Fn() -> io::Result<T>) -> io::Result<T> {
        // Before the accept: this may raise, and an accepted connection would be closed.
        checkpoint();
        loop {
            match try_accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.source.wait(Interest::Read)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    /// The queue is empty.
    fn end_run(&self) {
        self.is_rush.set(self.run.replace(0) >= RUSH_MIN);
    }
}

impl<L: AsFd> fmt::Debug for AcceptQueue<L>
where
    Source<Socket<L>>: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

/// How many connections in a row are a rush. As many questions cost as much as an accept in vain.
const RUSH_MIN: u32 = 12;
