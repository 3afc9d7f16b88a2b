//! The end of a request: its response, the unread part of its body, and whether the connection
//! stays open for another request.

use std::io;
use std::rc::Rc;

use straightline_net::Transport;

use super::connection::{Connection, End};
use super::errors::{record_failure, record_unread, refuse_and_settle, refuse_late_and_settle};
use super::report::report_request;
use super::respond::respond;
use crate::body_error::BodyError;
use crate::message::{Request, Response};
use crate::proto::ResponseHead;
use crate::wire::{Expectation, Unread};

/// [`answer`], not inlined, for the cold paths.
#[cold]
#[inline(never)]
pub(super) fn answer_outlined(
    connection: &Connection,
    request: &mut Request,
    response: &Response,
) -> io::Result<Option<End>> {
    answer(connection, request, response)
}

/// Sends a response whose body is in memory, or one of which only the head is sent, and settles
/// the request.
#[allow(clippy::inline_always)] // here and below: 40 instructions a request, measured
#[inline(always)]
pub(super) fn answer(
    connection: &Connection,
    request: &mut Request,
    response: &Response,
) -> io::Result<Option<End>> {
    let sent = send(connection, request, response)?;
    settle_sent(connection, request, sent)
}

/// What [`send`] has found out: the unread part of the body, and whether the connection stays open.
type Sent = (Unread, bool);

/// The first half of [`answer`]: sends the response, unless the request's body is refused or late.
/// Then the handler may have seen only a part of it, and the other half sends another response.
#[allow(clippy::inline_always)]
#[inline(always)]
pub(super) fn send(
    connection: &Connection,
    request: &mut Request,
    response: &Response,
) -> io::Result<Sent> {
    let unread = unread_body(connection, request);
    if matches!(unread, Unread::Refused(_) | Unread::TimedOut(_)) {
        return Ok((unread, false));
    }
    let keep_alive = may_keep_alive(connection, request, response.head())
        && (unread == Unread::Nothing || is_skippable(connection, unread));
    respond(connection, request.head(), Some(request), response, keep_alive)?;
    Ok((unread, keep_alive))
}

/// The second half of [`answer`].
#[allow(clippy::inline_always)]
#[inline(always)]
pub(super) fn settle_sent(
    connection: &Connection,
    request: &mut Request,
    (unread, keep_alive): Sent,
) -> io::Result<Option<End>> {
    match unread {
        Unread::Refused(refusal) => refuse_and_settle(connection, request, refusal),
        Unread::TimedOut(timeout) => refuse_late_and_settle(connection, request, timeout),
        unread => settle(connection, request, unread, keep_alive),
    }
}

/// Whether the client, the handler and the server all allow another request on the connection. A
/// handler that has put another request in the place of its own has lost what was received behind.
#[inline]
pub(super) fn may_keep_alive(
    connection: &Connection,
    request: &Request,
    head: &ResponseHead,
) -> bool {
    request.head().keep_alive
        && !head.close
        && !connection.host().is_shutting_down()
        && Rc::ptr_eq(request.link(), connection.link())
        && connection.link().exchange.number() < connection.host().limits.requests
}

/// Whether reading the unread part of a request's body is worth it, to keep the connection open.
pub(super) fn is_skippable(connection: &Connection, unread: Unread) -> bool {
    // A client that waits for `100 Continue` and gets a final response may send its body or leave
    // it out, so the server cannot tell where the next request begins.
    let is_coming = || connection.link().exchange.expectation() == Expectation::None;
    match unread {
        Unread::Nothing => true,
        Unread::Known(bytes) => bytes <= SKIP_BYTES_MAX && is_coming(),
        Unread::Unknown => is_coming(),
        Unread::Refused(_) | Unread::Truncated(_) | Unread::TimedOut(_) => false,
    }
}

/// Ends a request whose response is complete. Returns `None` if the connection stays open, and
/// otherwise an end that lets the client read the whole response.
#[allow(clippy::inline_always)]
#[inline(always)]
pub(super) fn settle(
    connection: &Connection,
    request: &mut Request,
    unread: Unread,
    keep_alive: bool,
) -> io::Result<Option<End>> {
    connection.link().unwatch();
    report_request(connection.link(), request);
    let stays_open =
        keep_alive && (unread == Unread::Nothing || skip_and_record(connection, request)?);
    let input = request.consume();
    if stays_open {
        return Ok(None);
    }
    connection.link().flush()?;
    // A client that pipelines may have sent further requests. They are dropped, and the close tells
    // the client so.
    let is_all_read =
        unread == Unread::Nothing && input.is_empty() && !has_unread(&*connection.link().transport);
    Ok(Some(if is_all_read { End::Close } else { End::Linger }))
}

/// Whether the kernel has bytes of the client. A close would then reset the connection, and the
/// client would lose the rest of its response.
#[cold]
#[inline(never)]
fn has_unread(transport: &dyn Transport) -> bool {
    matches!(transport.try_read(&mut [0; 1]), Ok(1..))
}

/// Skips the unread part of a request's body. Returns whether the connection stays open.
#[cold]
fn skip_and_record(connection: &Connection, request: &mut Request) -> io::Result<bool> {
    // Once the response has left, the request no longer counts as in flight.
    connection.link().flush()?;
    connection.link().end_request(true);
    let unread = skip_body(connection, request)?;
    record_unread(connection, unread);
    Ok(unread == Unread::Nothing)
}

/// Reads and drops the part of a request's body that the handler has not read. Returns what is
/// unread then: the body is too long, or cannot be read.
#[cold]
pub(super) fn skip_body(connection: &Connection, request: &mut Request) -> io::Result<Unread> {
    // The client may wait for a response in the output before it sends the rest of the body.
    connection.link().flush()?;
    let (mut scratch, mut skipped) = ([0; 1024], 0);
    while skipped <= SKIP_BYTES_MAX {
        match request.read_body(&mut scratch) {
            Ok(0) => return Ok(Unread::Nothing),
            Ok(count) => skipped += count as u64,
            Err(error) => {
                return match BodyError::of(&error) {
                    Some(BodyError::Refused(refusal)) => Ok(Unread::Refused(refusal)),
                    Some(BodyError::TimedOut(timeout)) => Ok(Unread::TimedOut(timeout)),
                    _ => Err(error),
                };
            }
        }
    }
    Ok(Unread::Unknown)
}

/// Skips what the buffer holds of a request's body. Returns the part that has yet to arrive.
#[allow(clippy::inline_always)]
#[inline(always)]
pub(super) fn unread_body(connection: &Connection, request: &mut Request) -> Unread {
    let unread = request.pass_over_buffered(&connection.host().limits);
    if let Unread::Truncated(kind) = unread {
        // The handler returned a response although a read failed. The client may be gone.
        record_failure(connection, &BodyError::Disconnected(kind).into());
    }
    unread
}

/// How many bytes of an unread body are skipped to keep a connection open. Arbitrary: up to this
/// size, reading costs less than a new connection.
pub(crate) const SKIP_BYTES_MAX: u64 = 64 * 1024;
