//! Waiting for a stream: the loop behind each read and write of the client.

use std::io::{self, ErrorKind};
use std::time::Instant;

use straightline_net::Transport;
use straightline_sched::{Interest, checkpoint, now};

/// Reads at least one byte; 0 is the end of the stream. `None` if `until` has come before.
pub(super) fn read(
    stream: &dyn Transport,
    buffer: &mut [u8],
    until: Option<Instant>,
) -> io::Result<Option<usize>> {
    // A response that has just been asked for has not come yet.
    if stream.is_drained() {
        stream.wait_until(Interest::Read, until)?;
    }
    in_time(stream, Interest::Read, until, || stream.try_read(buffer))
}

/// Writes all bytes, and has the stream send them. `None` if `until` has come before.
pub(super) fn write_all(
    stream: &dyn Transport,
    mut bytes: &[u8],
    until: Option<Instant>,
) -> io::Result<Option<()>> {
    while !bytes.is_empty() {
        let written = in_time(stream, Interest::Write, until, || stream.try_write(bytes))?;
        match written {
            None => return Ok(None),
            Some(0) => return Err(ErrorKind::WriteZero.into()),
            Some(count) => bytes = &bytes[count..],
        }
    }
    in_time(stream, Interest::Write, until, || stream.try_flush())
}

/// Makes the attempt again while it would block; at least once, however late it is.
fn in_time<T>(
    stream: &dyn Transport,
    interest: Interest,
    until: Option<Instant>,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<Option<T>> {
    checkpoint();
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            outcome => return outcome.map(Some),
        }
        if until.is_some_and(|until| until <= now()) {
            return Ok(None);
        }
        stream.wait_until(interest, until)?;
    }
}
