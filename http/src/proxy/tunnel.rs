//! A connection that has switched to another protocol: bytes both ways, until both sides have ended
//! or neither has sent anything for a while.
//!
//! While nothing moves, a tunnel has two fibers and no buffer.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline_net::Transport;
use straightline_sched::sync::{at, select};
use straightline_sched::{self as sched, Interest, now};

use super::connection::{INPUT_BYTES, UpstreamConnection, send_all};
use super::pool::Pool;
use crate::wire::Upgraded;

/// What both directions of a tunnel need.
struct Tunnel<'t> {
    client: &'t Upgraded,
    stream: &'t dyn Transport,
    pool: &'t Pool,
    idle: Duration,
    /// When bytes have moved last, in any direction.
    moved: Cell<Instant>,
}

/// Passes bytes on both ways.
///
/// A yield point.
///
/// # Errors
///
/// Those of the two streams, and `TimedOut` when no byte has moved for `idle`.
pub(super) fn run(
    client: &Upgraded,
    connection: UpstreamConnection,
    pool: &Rc<Pool>,
    idle: Duration,
) -> io::Result<()> {
    let UpstreamConnection { stream, input } = connection;
    let mut writer = client;
    writer.write_all(input.unread())?;
    pool.give_buffer(input.into_buffer());
    let moved = Cell::new(now());
    let tunnel = Tunnel { client, stream: &*stream, pool, idle, moved };
    sched::scope(|scope| {
        let up = scope.spawn(|| {
            tunnel.to_upstream().inspect_err(|_| {
                // The other direction finds the end of the stream.
                tunnel.stream.reset();
            })
        });
        match tunnel.to_client() {
            Ok(()) => {
                client.shutdown_write()?;
                up.join().unwrap_or(Ok(()))
            }
            Err(error) => {
                up.cancel();
                match up.join() {
                    Ok(Err(first)) => Err(first),
                    _ => Err(error),
                }
            }
        }
    })
}

impl Tunnel<'_> {
    fn to_client(&self) -> io::Result<()> {
        let mut client = self.client;
        let mut is_drained = false;
        loop {
            while is_drained {
                is_drained = !self.stream.wait_until(Interest::Read, Some(self.until()?))?;
            }
            let mut buffer = self.buffer();
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    is_drained = self.stream.is_drained();
                    self.moved.set(now());
                    client.write_all(&buffer[..count])?;
                    self.moved.set(now());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => is_drained = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            self.pool.give_buffer(buffer);
        }
    }

    fn to_upstream(&self) -> io::Result<()> {
        let mut client = self.client;
        loop {
            while select(&[&client.readable(), &at(self.until()?)])? == 1 {}
            let mut buffer = self.buffer();
            let count = client.read(&mut buffer)?;
            if count == 0 {
                return match self.stream.shutdown_write() {
                    // The upstream was quicker.
                    Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
                    result => result,
                };
            }
            self.moved.set(now());
            send_all(self.stream, &buffer[..count], &mut 0, || now() + self.idle)?;
            self.moved.set(now());
            self.pool.give_buffer(buffer);
        }
    }

    /// Until when the tunnel may be idle; an error if it has been idle for so long.
    fn until(&self) -> io::Result<Instant> {
        let until = self.moved.get() + self.idle;
        if now() >= until {
            let message = format!("no byte moved for {:?}", self.idle);
            return Err(io::Error::new(ErrorKind::TimedOut, message));
        }
        Ok(until)
    }

    fn buffer(&self) -> Vec<u8> {
        let mut buffer = self.pool.buffer();
        buffer.resize(INPUT_BYTES, 0);
        buffer
    }
}
