//! Responses that are more than bytes in memory: bodies that are written piece by piece, what
//! happens when that fails half-way, and connections that become another protocol's.

use std::any::Any;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use http::{HeaderValue, Method, StatusCode, header};
use straightline_sched::DeadlineExceeded;

use super::access::log_request;
use super::connection::{Connection, End};
use super::errors::{
    expired, panicked, record_failed_response, record_failure, record_misuse, record_panic,
    record_refusal, record_timeout, record_unread, refuse_and_settle, refuse_late_and_settle,
};
use super::settle::{answer_outlined, is_skippable, may_go_on, settle, skip_body, unread_body};
use crate::body_error::BodyError;
use crate::config::Timeout;
use crate::payload::{Payload, RunProtocol, Streamed, WriteBody};
use crate::proto::{RefusalKind, ResponseHead, has_no_body};
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::telemetry::Event;
use crate::wire::{BodyWriter, Protocol, Unread, Upgraded};

/// Why a body is not complete.
enum Failure {
    /// What the handler, or the connection, said.
    Error(io::Error),
    Panic(Box<dyn Any + Send>),
    /// It took too long, or its client has gone.
    Expired,
}

/// Answers with what is not in memory, or to CONNECT, or with what no handler may return.
#[cold]
pub(super) fn respond_special(
    connection: &Connection,
    request: &mut Request,
    mut response: Response,
) -> io::Result<Option<End>> {
    let is_sent = request.method() != Method::HEAD && !has_no_body(response.head.status);
    let streamed = match mem::replace(&mut response.body, Payload::Static(b"")) {
        Payload::Streamed(streamed) => *streamed,
        in_memory => {
            response.body = in_memory;
            return answer_outlined(connection, request, &checked(connection, request, response));
        }
    };
    let length = streamed.length();
    let write: Box<WriteBody> = match streamed {
        Streamed::Upgrade(run) => return respond_upgrade(connection, request, &response.head, run),
        _ if !is_sent || is_unfit(request, response.head.status) => {
            response.body =
                Payload::Streamed(Box::new(Streamed::Writer(length, Box::new(|_, _| Ok(())))));
            let response = match drop_unsent(connection, request, streamed)? {
                Some(instead) => instead,
                None => checked(connection, request, response),
            };
            return answer_outlined(connection, request, &response);
        }
        Streamed::Writer(_, write) => write,
        Streamed::File(_, file) => Box::new(move |_, body| body.send_file(&file)),
    };
    respond_written(connection, request, response.head, length, write)
}

/// Drops a function that is not called. A value that it owns may have a destructor that waits
/// or panics, so the drop runs as the handler does; returns what the client gets if it fails.
fn drop_unsent(
    connection: &Connection,
    request: &Request,
    unsent: Streamed,
) -> io::Result<Option<Response>> {
    let pacing = &connection.link().pacing;
    match catch_unwind(AssertUnwindSafe(|| pacing.hold(|| drop(unsent)))) {
        Ok(Ok(())) => Ok(None),
        Ok(Err(DeadlineExceeded)) => expired(connection).map(Some),
        Err(payload) => Ok(Some(panicked(connection, request, payload))),
    }
}

/// A handler's response, unless it is none that a handler may give.
fn checked(connection: &Connection, request: &Request, response: Response) -> Response {
    if !is_unfit(request, response.head.status) {
        return response;
    }
    if response.head.status.is_informational() {
        record_misuse(connection, request, "a handler returned an interim status");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    record_misuse(connection, request, "a handler agreed to a CONNECT and made no tunnel");
    StatusCode::NOT_IMPLEMENTED.into_response().close()
}

/// Has a body written.
fn respond_written(
    connection: &Connection,
    request: &mut Request,
    head: ResponseHead,
    length: Option<u64>,
    write: Box<WriteBody>,
) -> io::Result<Option<End>> {
    let keep_alive = may_go_on(connection, request, &head);
    let (link, flush) = (Rc::clone(connection.link()), Rc::clone(connection.flush_hook()));
    let minor = request.buffers.head.minor;
    let mut body = BodyWriter::new(link, flush, head, length, minor, keep_alive);
    let pacing = &connection.link().pacing;
    let written = catch_unwind(AssertUnwindSafe(|| pacing.hold(|| write(request, &mut body))));
    let failure = match written {
        Ok(Ok(Ok(()))) => body.finish().err().map(Failure::Error),
        Ok(Ok(Err(error))) => Some(Failure::Error(error)),
        Ok(Err(DeadlineExceeded)) => Some(Failure::Expired),
        Err(payload) => Some(Failure::Panic(payload)),
    };
    let unread = unread_body(connection, request);
    if let Some(failure) = failure {
        return give_up(connection, request, unread, &mut body, failure);
    }
    // The response is whole, and the handler has not asked for this part of the body.
    record_unread(connection, unread);
    let keep_alive = body.keep_alive() && is_skippable(connection, unread);
    settle(connection, request, unread, keep_alive)
}

/// Tells the client that there is no whole body: by another response if nothing has left of
/// this one, by the way in which the connection ends otherwise.
fn give_up(
    connection: &Connection,
    request: &mut Request,
    unread: Unread,
    body: &mut BodyWriter,
    failure: Failure,
) -> io::Result<Option<End>> {
    let is_untouched = body.rollback();
    let failure = match failure {
        Failure::Panic(payload) => Err(panicked(connection, request, payload)),
        Failure::Expired => Err(expired(connection)?),
        Failure::Error(error) => Ok(error),
    };
    // On account of the request's body: the client's fault.
    match unread {
        Unread::Refused(refusal) if is_untouched => {
            return refuse_and_settle(connection, request, refusal);
        }
        Unread::TimedOut(timeout) if is_untouched => {
            return refuse_late_and_settle(connection, request, timeout);
        }
        Unread::Refused(refusal) => {
            record_refusal(connection, refusal);
            return cut(connection, body);
        }
        Unread::TimedOut(timeout) => {
            record_timeout(connection, timeout);
            return cut(connection, body);
        }
        _ => {}
    }
    let response = match failure {
        Err(response) => response,
        Ok(error) if body.has_failed() => return Err(error),
        Ok(error) => match BodyError::of(&error) {
            Some(BodyError::Disconnected(_)) if !is_untouched => return Err(error),
            Some(error) if is_untouched => error.into_response(),
            _ => {
                record_failed_response(connection, request, &error);
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        },
    };
    if is_untouched {
        return answer_outlined(connection, request, &response.close());
    }
    cut(connection, body)
}

/// Ends the connection in the middle of the body. What there is of it may leave, but nothing
/// that would make it look complete.
fn cut(connection: &Connection, body: &BodyWriter) -> io::Result<Option<End>> {
    if !body.ends_with_connection() {
        connection.link().flush()?;
    }
    Ok(Some(End::Cut))
}

/// Goes over to another protocol, if the client wants that.
fn respond_upgrade(
    connection: &Connection,
    request: &mut Request,
    head: &ResponseHead,
    run: Box<RunProtocol>,
) -> io::Result<Option<End>> {
    if let Some(refused) = upgrade_refused(connection, request, head) {
        let dropped = drop_unsent(connection, request, Streamed::Upgrade(run))?;
        return answer_outlined(connection, request, &dropped.unwrap_or(refused));
    }
    let unread = match unread_body(connection, request) {
        Unread::Known(_) | Unread::Unknown | Unread::Cut(_) => skip_body(connection, request)?,
        unread => unread,
    };
    match unread {
        Unread::Nothing => {}
        Unread::Refused(refusal) => return refuse_and_settle(connection, request, refusal),
        Unread::TimedOut(timeout) => return refuse_late_and_settle(connection, request, timeout),
        Unread::Known(_) | Unread::Unknown | Unread::Cut(_) => {
            let response = StatusCode::PAYLOAD_TOO_LARGE.into_response();
            return answer_outlined(connection, request, &response.close());
        }
    }
    // The protocol's first bytes may have come already. Copied while a refusal is possible.
    let input = &request.buffers.input.unread()[request.body.end()..];
    let mut early = Vec::new();
    if early.try_reserve_exact(input.len()).is_err() {
        let refusal = RefusalKind::Memory.at(request.body.end());
        return refuse_and_settle(connection, request, refusal);
    }
    early.extend_from_slice(input);
    connection.link().begin_response(head.status);
    let encoder = connection.host().encoder();
    encoder.encode_upgrade(connection.link().output.buffer().bytes(), head);
    drop(encoder);
    connection.link().flush()?;

    // No request follows, and a client that closes its side may still read.
    connection.link().unwatch();
    log_request(connection, request);
    connection.link().end_request(true);
    let (method, target) = (request.method().clone(), request.target().to_owned());
    // The protocol may last for hours, and has no use for the buffer, nor for the head in it.
    request.buffers.input.release();
    let upgraded = Upgraded::new(Rc::clone(connection.link()), early);
    let protocol = Rc::clone(upgraded.protocol());
    let pacing = &connection.link().pacing;
    match catch_unwind(AssertUnwindSafe(|| pacing.hold_endless(|| run(upgraded)))) {
        Ok(Ok(Ok(()))) => {}
        // What the protocol wrote before is to arrive all the same.
        Ok(Ok(Err(error))) => record_failure(connection, &error),
        Ok(Err(DeadlineExceeded)) => record_protocol_end(connection, &protocol),
        Err(payload) => record_panic(connection, &method, &target, payload),
    }
    Ok(Some(End::Linger))
}

/// A protocol was cancelled.
#[cold]
fn record_protocol_end(connection: &Connection, protocol: &Protocol) {
    connection.host().counters().cancelled.bump();
    connection.host().emit(&Event::HandlerCancelled { peer: &connection.link().peer });
    if protocol.is_cut() {
        record_timeout(connection, Timeout::Idle);
    }
}

/// What the client gets if it did not ask for the protocol.
fn upgrade_refused(
    connection: &Connection,
    request: &Request,
    head: &ResponseHead,
) -> Option<Response> {
    let is_connect = *request.method() == Method::CONNECT;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        if is_connect && head.status.is_success() {
            return None;
        }
        record_misuse(connection, request, "a handler made a tunnel without a CONNECT");
        return Some(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    }
    let mut protocols = head.fields.iter().filter(|(name, _)| *name == header::UPGRADE);
    let protocol = protocols.next().and_then(|(_, protocol)| protocol.to_str().ok());
    let protocol = protocol.unwrap_or_default();
    if !is_connect && request.asks_to_upgrade(protocol) {
        return None;
    }
    // RFC 9110 section 15.5.22: the response names the protocol, in a field of this hop.
    let mut refused =
        StatusCode::UPGRADE_REQUIRED.into_response().header(header::UPGRADE, protocol);
    refused.head.fields.push((header::CONNECTION, HeaderValue::from_static("upgrade")));
    Some(refused)
}

/// A status that means something else than the handler thinks: an interim one, or agreement to a
/// CONNECT, behind which the client takes what it gets for the other end's bytes.
fn is_unfit(request: &Request, status: StatusCode) -> bool {
    status.is_informational() || (*request.method() == Method::CONNECT && status.is_success())
}
