//! Responses that are not bytes in memory: streamed bodies, files, and connections that are handed
//! over to another protocol.
//!
//! A response is complete, or the client can see that it is not. Until its first byte leaves, a
//! response whose body fails is replaced by an error response. Later the connection is aborted.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use http::{HeaderValue, Method, StatusCode, header};
use straightline_sched::{DeadlineExceeded, before_park};

use super::connection::{Connection, End, Handover};
use super::errors::{
    client_gone, handler_panic, record_failure, record_unread, refuse_and_settle,
    refuse_late_and_settle,
};
use super::handler_faults::{
    cancelled_response, record_failed_response, record_misuse, record_panic, record_timeout,
};
use super::report::report_request;
use super::rest;
use super::settle::{
    answer_outlined, is_skippable, may_keep_alive, send, settle, settle_sent, skip_body,
    unread_body,
};
use crate::body_error::BodyError;
use crate::config::Timeout;
use crate::message::{
    BodyWriter, Fed, IntoResponse, Request, Response, ResponseBody, RunProtocol, Streamed,
    UpstreamError, WriteBody,
};
use crate::proto::{RefusalKind, ResponseHead, has_no_body};
use crate::telemetry::{Event, Outcome};
use crate::wire::{ClientBody, Protocol, Unread, Upgraded};

/// Why a body is not complete.
enum Failure {
    /// The handler returned an error, or the connection failed.
    Error(io::Error),
    Panic(Box<dyn Any + Send>),
    /// The handler was cancelled: its timeout expired, or its client disconnected.
    Cancelled,
}

/// Sends a response that may not be sent as it is, or whose body is not in memory: a streamed body,
/// an upgrade, an interim status, any response to a CONNECT.
#[cold]
pub(super) fn respond_special(
    connection: &Connection,
    request: &mut Request,
    mut response: Response,
) -> io::Result<Option<End>> {
    let is_sent = request.head().method != Method::HEAD && !has_no_body(response.status());
    let streamed = match response.take_body().into_streamed() {
        Ok(streamed) => streamed,
        Err(in_memory) => {
            response.set_body(in_memory);
            let response = checked_response(connection, request, response);
            return answer_and_drop(connection, request, response);
        }
    };
    let length = streamed.length();
    let write: Box<WriteBody> = match streamed {
        Streamed::Upgrade(run) => {
            return respond_upgrade(connection, request, response.head(), run);
        }
        _ if !is_sent || is_unfit(request, response.status()) => {
            response.set_body(ResponseBody::streamed(Streamed::Writer(
                length,
                Box::new(|_, _| Ok(())),
            )));
            let response = match drop_unsent(connection, request, streamed)? {
                Some(instead) => instead,
                None => checked_response(connection, request, response),
            };
            return answer_outlined(connection, request, &response);
        }
        Streamed::Fed(fed) => {
            return respond_fed(connection, request, response.head(), fed);
        }
        Streamed::Writer(_, write) => write,
        Streamed::File(part, file) => Box::new(move |_, body| body.send_file(&file, part)),
    };
    respond_streamed(connection, request, response.into_head(), length, write)
}

/// Drops a body's function that is not called. A value that the function owns may have a destructor
/// that waits or panics. So the drop has the handler's timeout, and its panic is caught. If the
/// drop fails, returns the response that replaces the handler's.
fn drop_unsent(
    connection: &Connection,
    request: &Request,
    unsent: Streamed,
) -> io::Result<Option<Response>> {
    let pacing = &connection.link().pacing;
    match catch_unwind(AssertUnwindSafe(|| pacing.hold(|| drop(unsent)))) {
        Ok(Ok(())) => Ok(None),
        Ok(Err(DeadlineExceeded)) => client_gone(cancelled_response(connection.link())).map(Some),
        Err(payload) => Ok(Some(handler_panic(connection, request, payload))),
    }
}

/// Drops a value of the handler, whose destructor may be code of the program, which waits or
/// panics: it has the handler's timeout, and what is written leaves meanwhile.
fn drop_in_time<T>(connection: &Connection, request: &Request, value: T) {
    if let Err(payload) = try_drop_in_time(connection, value) {
        drop(handler_panic(connection, request, payload));
    }
}

/// As [`drop_in_time`]; the error is what the destructor panicked with.
fn try_drop_in_time<T>(connection: &Connection, value: T) -> Result<(), Box<dyn Any + Send>> {
    let link = connection.link();
    let _flush = before_park(connection.link().flush_hook());
    if catch_unwind(AssertUnwindSafe(|| link.pacing.hold(|| drop(value))))?.is_err() {
        drop(cancelled_response(link));
    }
    Ok(())
}

/// As [`answer`](super::settle::answer), for a response whose destructor may be code of the
/// program: it is dropped before the request is settled.
fn answer_and_drop(
    connection: &Connection,
    request: &mut Request,
    response: Response,
) -> io::Result<Option<End>> {
    let sent = send(connection, request, &response);
    drop_in_time(connection, request, response);
    settle_sent(connection, request, sent?)
}

/// A handler's response, or an error response if no handler may return it.
fn checked_response(connection: &Connection, request: &Request, response: Response) -> Response {
    if !is_unfit(request, response.status()) {
        return response;
    }
    let status = response.status();
    drop_in_time(connection, request, response);
    if status.is_informational() {
        record_misuse(request, "a handler returned an interim status");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    record_misuse(request, "a handler agreed to a CONNECT and made no tunnel");
    StatusCode::NOT_IMPLEMENTED.into_response().close()
}

/// Sends a streamed response: the handler's function writes the body.
fn respond_streamed(
    connection: &Connection,
    request: &mut Request,
    head: ResponseHead,
    length: Option<u64>,
    write: Box<WriteBody>,
) -> io::Result<Option<End>> {
    let keep_alive = may_keep_alive(connection, request, &head);
    let (link, flush) = (Rc::clone(connection.link()), connection.link().flush_hook());
    let minor = request.head().minor;
    let mut body = ClientBody::new(link, flush, head, length, minor, keep_alive);
    let pacing = &connection.link().pacing;
    let written = catch_unwind(AssertUnwindSafe(|| {
        pacing.hold(|| write(request, &mut BodyWriter::to_client(&mut body)))
    }));
    let unread = unread_body(connection, request);
    if !is_skippable(connection, unread) {
        body.close();
    }
    let failure = match written {
        Ok(Ok(Ok(()))) => body.finish().err().map(Failure::Error),
        Ok(Ok(Err(error))) => Some(Failure::Error(error)),
        Ok(Err(DeadlineExceeded)) => Some(Failure::Cancelled),
        Err(payload) => Some(Failure::Panic(payload)),
    };
    if let Some(failure) = failure {
        return end_failed(connection, request, unread, &mut body, failure);
    }
    // The response is complete, so a fault in the unread part of the request's body is only
    // recorded.
    record_unread(connection, unread);
    let keep_alive = body.keep_alive() && is_skippable(connection, unread);
    settle(connection, request, unread, keep_alive)
}

/// Sends the head of a response whose pieces come now and then.
fn respond_fed(
    connection: &Connection,
    request: &mut Request,
    head: &ResponseHead,
    fed: Fed,
) -> io::Result<Option<End>> {
    match unread_body(connection, request) {
        Unread::Refused(refusal) => refuse_and_settle(connection, request, refusal),
        Unread::TimedOut(timeout) => refuse_late_and_settle(connection, request, timeout),
        // The rest of the body is dropped: no request follows.
        Unread::Nothing | Unread::Known(_) | Unread::Unknown | Unread::Truncated(_) => {
            rest::begin(connection, request, head)?;
            Ok(Some(End::Feed(Box::new(fed))))
        }
    }
}

/// Ends a response whose body failed. If no byte of it has left, the client gets an error response;
/// otherwise the connection is aborted, which shows the client that the body is not complete.
fn end_failed(
    connection: &Connection,
    request: &mut Request,
    unread: Unread,
    body: &mut ClientBody,
    failure: Failure,
) -> io::Result<Option<End>> {
    let is_rolled_back = body.rollback();
    let failure = match failure {
        Failure::Panic(payload) => Err(handler_panic(connection, request, payload)),
        Failure::Cancelled => Err(client_gone(cancelled_response(connection.link()))?),
        Failure::Error(error) => Ok(error),
    };
    if let Unread::Refused(_) | Unread::TimedOut(_) = unread {
        failure.into_iter().for_each(|error| drop_in_time(connection, request, error));
        return end_for_client(connection, request, unread, body, is_rolled_back);
    }
    let response = match failure {
        Err(response) => response,
        Ok(error) if body.has_failed() => return Err(error),
        Ok(error) => match BodyError::of(&error) {
            Some(BodyError::Disconnected(_)) if !is_rolled_back => return Err(error),
            Some(error) if is_rolled_back => error.into_response(),
            _ => {
                record_failed_response(request, &error);
                let is_of_upstream = UpstreamError::is(&error);
                drop_in_time(connection, request, error);
                let of_upstream = is_of_upstream.then_some(StatusCode::BAD_GATEWAY);
                of_upstream.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response()
            }
        },
    };
    if is_rolled_back {
        return answer_outlined(connection, request, &response.close());
    }
    abort(connection, body)
}

/// Ends a response whose body failed because the request's body is malformed or came too slowly:
/// the client's fault, and not the handler's.
fn end_for_client(
    connection: &Connection,
    request: &Request,
    unread: Unread,
    body: &ClientBody,
    is_rolled_back: bool,
) -> io::Result<Option<End>> {
    match unread {
        Unread::Refused(refusal) if is_rolled_back => {
            return refuse_and_settle(connection, request, refusal);
        }
        Unread::TimedOut(timeout) if is_rolled_back => {
            return refuse_late_and_settle(connection, request, timeout);
        }
        _ => record_unread(connection, unread),
    }
    abort(connection, body)
}

/// Ends the connection in the middle of a body. What the output holds of the body is flushed first,
/// unless the end of the connection is the end of the body: the body would look complete.
fn abort(connection: &Connection, body: &ClientBody) -> io::Result<Option<End>> {
    if !body.ends_with_connection() {
        connection.link().flush()?;
    }
    Ok(Some(End::Abort))
}

/// Sends the head that hands the connection over to another protocol, if the client asked for it.
fn respond_upgrade(
    connection: &Connection,
    request: &mut Request,
    head: &ResponseHead,
    run: Box<RunProtocol>,
) -> io::Result<Option<End>> {
    if let Some(refusal) = upgrade_refusal(request, head) {
        let dropped = drop_unsent(connection, request, Streamed::Upgrade(run))?;
        return answer_outlined(connection, request, &dropped.unwrap_or(refusal));
    }
    let unread = match unread_body(connection, request) {
        Unread::Known(_) | Unread::Unknown | Unread::Truncated(_) => {
            skip_body(connection, request)?
        }
        unread => unread,
    };
    match unread {
        Unread::Nothing => {}
        Unread::Refused(refusal) => return refuse_and_settle(connection, request, refusal),
        Unread::TimedOut(timeout) => return refuse_late_and_settle(connection, request, timeout),
        Unread::Known(_) | Unread::Unknown | Unread::Truncated(_) => {
            let response = StatusCode::PAYLOAD_TOO_LARGE.into_response();
            return answer_outlined(connection, request, &response.close());
        }
    }
    // The protocol's first bytes may be in the buffer. They are copied before the response is sent:
    // if there is no memory for them, the request is refused.
    let Ok(early) = request.received_behind() else {
        let refusal = RefusalKind::Memory.at(request.body_end());
        return refuse_and_settle(connection, request, refusal);
    };
    let link = connection.link();
    link.begin_response(head.status);
    let encoder = connection.host().encoder();
    encoder.encode_upgrade(link.output.buffer().bytes(), head);
    drop(encoder);
    link.flush()?;
    // The protocol writes by itself, and needs no memory of the response.
    drop(link.output.end());

    // No request follows. A client that closes its write side may still read, so it is not watched.
    link.unwatch();
    link.exchange.set_outcome(Outcome::Upgraded);
    report_request(connection.link(), request);
    link.end_request(true);
    let (method, target) = (request.method().clone(), request.target().to_owned());
    Ok(Some(End::Upgrade(Box::new(Handover { method, target, early, run }))))
}

/// Runs the protocol that the connection is handed over to, until that is over.
///
#[inline(never)]
pub(super) fn run_protocol(connection: &Connection, handover: Handover) -> End {
    let Handover { method, target, early, run } = handover;
    let link = connection.link();
    let upgraded = Upgraded::new(Rc::clone(link), early);
    let protocol = Rc::clone(upgraded.protocol());
    let pacing = &link.pacing;
    match catch_unwind(AssertUnwindSafe(|| pacing.hold_endless(|| run(upgraded)))) {
        Ok(Ok(Ok(()))) => {}
        // The connection lingers all the same, so that what the protocol wrote before arrives.
        Ok(Ok(Err(error))) => {
            record_failure(connection, &error);
            if let Err(payload) = try_drop_in_time(connection, error) {
                record_panic(connection.link(), &method, &target, payload);
            }
        }
        Ok(Err(DeadlineExceeded)) => record_protocol_end(connection, &protocol),
        Err(payload) => record_panic(connection.link(), &method, &target, payload),
    }
    End::Linger
}

/// Records that a protocol was cancelled.
#[cold]
fn record_protocol_end(connection: &Connection, protocol: &Protocol) {
    connection.host().counters().cancelled.bump();
    connection.host().emit(&Event::HandlerCancelled { peer: connection.link().peer() });
    if protocol.is_force_closed() {
        record_timeout(connection.link(), Timeout::Idle);
    }
}

/// The response if the connection is not handed over: the client did not ask for the protocol, or
/// the handler made a tunnel for a request that is not a CONNECT.
fn upgrade_refusal(request: &Request, head: &ResponseHead) -> Option<Response> {
    let is_connect = request.head().method == Method::CONNECT;
    if head.status != StatusCode::SWITCHING_PROTOCOLS {
        if is_connect && head.status.is_success() {
            return None;
        }
        record_misuse(request, "a handler made a tunnel without a CONNECT");
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
    refused.push_field(header::CONNECTION, HeaderValue::from_static("upgrade"));
    Some(refused)
}

/// Whether no handler may return this status without an upgrade. After an interim (1xx) status the
/// client expects another response, and after a successful response to CONNECT a tunnel's bytes.
fn is_unfit(request: &Request, status: StatusCode) -> bool {
    status.is_informational() || (request.head().method == Method::CONNECT && status.is_success())
}
