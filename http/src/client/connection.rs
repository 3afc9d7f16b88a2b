//! A connection in use by one call, and its way back into the pool.
//!
//! A connection is kept only if the call says that the response is complete ([`settle`]) and
//! nothing happens on it afterwards. Everything else that ends the use closes it: an error, a body
//! that is dropped half-read, an unwind through the call. So no call ever finds the rest of another
//! call's response.
//!
//! [`settle`]: Connection::settle

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use straightline_sched::now;
use ureq::Error;
use ureq::unversioned::transport::NextTimeout;

use super::dialer::{Dialer, in_time};
use super::pool::{Slot, Stream, is_quiet};
use super::replay::Replay;
use super::stream_wait;

pub(super) struct Connection {
    /// `None` while it is replaced, and after that has failed.
    stream: Option<Stream>,
    /// `None` only while it is dropped.
    slot: Option<Slot>,
    dialer: Arc<Dialer>,
    /// Until the first byte of a response on a connection that had been idle before.
    replay: Option<Replay>,
    /// The server has closed its side, and the call knows.
    has_ended: bool,
    /// The response is complete, and nothing was sent or received since.
    is_settled: bool,
}

impl Connection {
    /// Takes an idle stream, or opens a new one.
    ///
    /// A yield point.
    pub(super) fn begin(
        slot: Slot,
        idle: Option<Stream>,
        dialer: Arc<Dialer>,
    ) -> Result<Self, Error> {
        let replay = idle.is_some().then(Replay::default);
        let stream = match idle {
            Some(stream) => stream,
            None => dialer.dial(slot.route())?,
        };
        let (stream, slot) = (Some(stream), Some(slot));
        Ok(Self { stream, slot, dialer, replay, has_ended: false, is_settled: false })
    }

    /// Sends all bytes.
    ///
    /// A yield point.
    pub(super) fn send(&mut self, bytes: &[u8], timeout: NextTimeout) -> Result<(), Error> {
        self.is_settled = false;
        self.replay = self.replay.take().and_then(|replay| replay.and(bytes));
        match self.write(bytes, timeout) {
            Err(Error::Io(_)) if self.replay.is_some() => self.begin_again(timeout),
            outcome => outcome,
        }
    }

    /// Receives at least one byte; 0 is the end of the connection. Behind the end it is an error: a
    /// call that waits for `100 Continue` would ask again and again.
    ///
    /// A yield point.
    pub(super) fn receive(
        &mut self,
        buffer: &mut [u8],
        timeout: NextTimeout,
    ) -> Result<usize, Error> {
        self.is_settled = false;
        if self.has_ended {
            let text = "the server has closed the connection before its response was complete";
            return Err(Error::Io(io::Error::new(ErrorKind::BrokenPipe, text)));
        }
        loop {
            let outcome = self.read(buffer, timeout);
            let is_end = matches!(outcome, Ok(0)) || is_lost(&outcome);
            if is_end && self.replay.is_some() {
                self.begin_again(timeout)?;
                continue;
            }
            self.replay = None;
            self.has_ended = matches!(outcome, Ok(0));
            return outcome.map_err(not_an_end);
        }
    }

    /// Says that the response is complete. Returns whether another call may use the connection. Not
    /// a yield point.
    pub(super) fn settle(&mut self) -> bool {
        self.is_settled = self.stream.as_deref().is_some_and(is_quiet);
        self.is_settled
    }

    /// Opens another connection, and sends there what was sent on the former one.
    fn begin_again(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let (Some(slot), Some(replay)) = (&self.slot, self.replay.take()) else {
            return Err(closed().into());
        };
        drop(self.stream.take());
        let limit = slot.limits().connect_timeout;
        self.stream = Some(in_time(limit, timeout, || self.dialer.dial(slot.route()))?);
        self.write(replay.bytes(), timeout)
    }

    fn write(&self, bytes: &[u8], timeout: NextTimeout) -> Result<(), Error> {
        let patience = self.patience(timeout);
        let written = stream_wait::write_all(self.stream()?, bytes, patience.until)?;
        written.ok_or_else(|| patience.over())
    }

    fn read(&self, buffer: &mut [u8], timeout: NextTimeout) -> Result<usize, Error> {
        let patience = self.patience(timeout);
        let count = stream_wait::read(self.stream()?, buffer, patience.until)?;
        count.ok_or_else(|| patience.over())
    }

    fn stream(&self) -> io::Result<&dyn straightline_net::Transport> {
        self.stream.as_deref().ok_or_else(closed)
    }

    fn patience(&self, timeout: NextTimeout) -> Patience {
        let silence = self.slot.as_ref().map_or(Duration::MAX, |slot| slot.limits().silence);
        let of_request = (!timeout.after.is_not_happening()).then_some(*timeout.after);
        let of_request = of_request.filter(|time| *time < silence);
        let until = now().checked_add(of_request.unwrap_or(silence));
        Patience { until, timeout: of_request.map(|_| timeout), silence }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let (Some(stream), Some(slot), true) =
            (self.stream.take(), self.slot.take(), self.is_settled)
        {
            slot.keep(stream);
        }
    }
}

/// How long one wait may last, and what it is called when that is over.
struct Patience {
    until: Option<Instant>,
    /// The request's own timeout, if that is what comes first.
    timeout: Option<NextTimeout>,
    silence: Duration,
}

impl Patience {
    #[cold]
    fn over(&self) -> Error {
        if let Some(timeout) = self.timeout {
            return Error::Timeout(timeout.reason);
        }
        let text = format!("the server has been silent for {:?}", self.silence);
        Error::Io(io::Error::new(ErrorKind::TimedOut, text))
    }
}

/// Whether the connection was closed in a way that is an error.
fn is_lost(outcome: &Result<usize, Error>) -> bool {
    let Err(Error::Io(error)) = outcome else { return false };
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::BrokenPipe];
    kinds.contains(&error.kind()) || error.kind() == ErrorKind::UnexpectedEof
}

/// An error in a place where only the end of the connection tells the end of a body. For such
/// bodies `ureq` takes a reset, and the end of a TLS connection without its goodbye, for the end
/// of the body. A part of a body must not look like the whole.
fn not_an_end(error: Error) -> Error {
    let Error::Io(error) = error else { return error };
    let text = match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            "the server has reset the connection"
        }
        ErrorKind::UnexpectedEof => "the connection has ended without the goodbye of TLS",
        _ => return Error::Io(error),
    };
    Error::Io(io::Error::new(ErrorKind::BrokenPipe, text))
}

fn closed() -> io::Error {
    io::Error::new(ErrorKind::NotConnected, "the connection of the call is closed")
}
