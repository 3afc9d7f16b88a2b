//! The end of a request: its answer, and whether the connection goes on behind it.

use std::io;

use super::access::log_request;
use super::connection::{Connection, End};
use super::errors::{record_failure, record_unread, refuse_and_settle, refuse_late_and_settle};
use super::respond::respond;
use crate::body_error::BodyError;
use crate::proto::ResponseHead;
use crate::request::Request;
use crate::response::Response;
use crate::wire::{Expectation, Unread};

/// [`answer`](answer), not inlined, for the cold paths.
#[cold]
#[inline(never)]
pub(super) fn answer_outlined(
    connection: &Connection,
    request: &mut Request,
    response: &Response,
) -> io::Result<Option<End>> {
    answer(connection, request, response)
}

/// Answers with a body in memory, or with the head of another one, and settles the request.
#[allow(clippy::inline_always)] // here and below: 40 instructions a request, measured
#[inline(always)]
pub(super) fn answer(
    connection: &Connection,
    request: &mut Request,
    response: &Response,
) -> io::Result<Option<End>> {
    let unread = unread_body(connection, request);
    // The handler has seen half a body, and its answer is not sent.
    match unread {
        Unread::Refused(refusal) => return refuse_and_settle(connection, request, refusal),
        Unread::TimedOut(timeout) => return refuse_late_and_settle(connection, request, timeout),
        _ => {}
    }
    let keep_alive =
        may_go_on(connection, request, &response.head) && is_skippable(connection, unread);
    respond(connection, &request.buffers.head, response, keep_alive)?;
    settle(connection, request, unread, keep_alive)
}

/// Whether the connection goes on behind a response, as far as the two sides wish.
pub(super) fn may_go_on(connection: &Connection, request: &Request, head: &ResponseHead) -> bool {
    request.buffers.head.keep_alive
        && !head.close
        && !connection.host().is_shutting_down()
        && connection.link().exchange.number() < connection.host().limits.requests
}

/// Whether what is left of a request's body is worth reading, to go on behind it.
pub(super) fn is_skippable(connection: &Connection, unread: Unread) -> bool {
    // A client that was not told to continue may or may not send its body: no way to go on.
    let comes = || connection.link().exchange.expectation() == Expectation::None;
    match unread {
        Unread::Nothing => true,
        Unread::Known(bytes) => bytes <= SKIP_BYTES_MAX && comes(),
        Unread::Unknown => comes(),
        Unread::Refused(_) | Unread::Cut(_) | Unread::TimedOut(_) => false,
    }
}

/// Behind a response: the connection goes on, or ends so that the client can read all of it.
#[allow(clippy::inline_always)]
#[inline(always)]
pub(super) fn settle(
    connection: &Connection,
    request: &mut Request,
    unread: Unread,
    keep_alive: bool,
) -> io::Result<Option<End>> {
    connection.link().unwatch();
    log_request(connection, request);
    let goes_on = keep_alive && (unread == Unread::Nothing || skip_noted(connection, request)?);
    let input = &mut request.buffers.input;
    input.consume(request.body.end());
    if goes_on {
        return Ok(None);
    }
    connection.link().flush()?;
    // A client that pipelines may have sent more; it learns from the close that it is lost.
    let is_over = unread == Unread::Nothing && input.is_empty();
    Ok(Some(if is_over { End::Close } else { End::Linger }))
}

/// Passes over what is left of a request's body; returns whether the connection goes on.
#[cold]
fn skip_noted(connection: &Connection, request: &mut Request) -> io::Result<bool> {
    // The client has its answer, and the request does not count as in flight any more.
    connection.link().flush()?;
    connection.link().end_request(true);
    let unread = skip_body(connection, request)?;
    record_unread(connection, unread);
    Ok(unread == Unread::Nothing)
}

/// Reads what a handler left of its request's body, and drops it; returns what is left of it
/// then, because it is too much or cannot be read.
#[cold]
pub(super) fn skip_body(connection: &Connection, request: &mut Request) -> io::Result<Unread> {
    // The client may wait for its response before it sends the rest.
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

/// What is left of a request's body, beyond what has been received.
#[inline]
pub(super) fn unread_body(connection: &Connection, request: &mut Request) -> Unread {
    let unread = request.body.pass_over_buffered(&request.buffers.input, &connection.host().limits);
    if let Unread::Cut(kind) = unread {
        // The handler has answered although its read failed; the client may be gone.
        record_failure(connection, &BodyError::Disconnected(kind).into());
    }
    unread
}

/// How much of an unread request body is skipped to keep a connection. Arbitrary: up to here,
/// reading costs less than a new connection.
const SKIP_BYTES_MAX: u64 = 64 * 1024;
