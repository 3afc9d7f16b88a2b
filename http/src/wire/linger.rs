//! Closes a connection, also one whose client may still be sending.
//!
//! A close of a socket with unread bytes resets the connection, and a reset makes the client's
//! kernel throw away a response that was on its way. So the write side is closed first, and bytes
//! that still arrive are read and dropped, for a bounded time and up to a bounded number of bytes
//! (RFC 9112 section 9.6).

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use straightline_sched::{Interest, checkpoint, park_timeout, turn_start};

use straightline_net::Transport;

/// Closes the connection so that the client sees what was written.
///
/// A yield point.
pub(crate) fn linger(transport: &dyn Transport) {
    let deadline = turn_start() + LINGER_TIME;
    if !repeat_until(transport, deadline, Transport::shutdown_write) {
        return; // the client is gone, so no response is on its way
    }
    let mut scratch = [0; 1024];
    let mut dropped = 0;
    while dropped < LINGER_BYTES_MAX {
        match transport.try_read(&mut scratch) {
            Ok(0) => return,
            Ok(count) => {
                dropped += count;
                checkpoint();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let left = deadline.saturating_duration_since(turn_start());
                if left.is_zero() {
                    return;
                }
                match transport.arm(Interest::Read) {
                    Ok(true) => park_timeout(left),
                    Ok(false) => checkpoint(),
                    Err(_) => return,
                }
            }
            // Also of a stream that has dropped something by itself.
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                dropped += scratch.len();
                checkpoint();
            }
            Err(_) => return,
        }
    }
}

/// Closes the connection of a client that sends nothing more: lets the stream send what it has.
///
/// A yield point if the stream has something to send and there is no room for it.
pub(crate) fn close(transport: &dyn Transport) {
    // If it fails, the client is gone.
    repeat_until(transport, turn_start() + LINGER_TIME, Transport::try_close);
}

/// Repeats `call` while there is no room to write, until the deadline; false if it fails.
fn repeat_until(
    transport: &dyn Transport,
    deadline: Instant,
    call: fn(&(dyn Transport + 'static)) -> io::Result<()>,
) -> bool {
    loop {
        match call(transport) {
            Ok(()) => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => checkpoint(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !transport.wait_until(Interest::Write, Some(deadline)).unwrap_or(false) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
}

/// How long a client has to read its last response and close. Arbitrary: a slow round trip or two.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// How many bytes are dropped at most. Arbitrary: about what a client's kernel has in flight.
const LINGER_BYTES_MAX: usize = 256 * 1024;
