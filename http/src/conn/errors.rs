//! What goes wrong on a connection: the response that the client gets, the counter that records the
//! fault, and the event that is emitted.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::panic::resume_unwind;

use http::{Method, StatusCode, header};
use straightline_sched::is_cancel;

use super::access::log_unless_in_flight;
use super::connection::{Connection, End};
use super::respond::respond;
use crate::config::Timeout;
use crate::proto::{Head, Refusal};
use crate::request::Request;
use crate::into_response::IntoResponse;
use crate::response::Response;
use crate::telemetry::{Event, take_place};
use crate::wire::{IdleEnd, Unread};

/// Records that the connection broke or ended too early, once.
#[cold]
pub(super) fn record_failure(connection: &Connection, error: &io::Error) {
    if !connection.set_failed() {
        return;
    }
    connection.host().counters().aborted.bump();
    if let Some(timeout @ (Timeout::Write | Timeout::WriteRate)) =
        connection.link().pacing.too_slow()
    {
        record_timeout(connection, timeout);
        // Without a reset, the kernel would try for many minutes to send the bytes that the socket
        // buffers.
        connection.link().transport.reset_on_close();
        return;
    }
    connection.host().emit(&Event::ConnectionFailed { peer: &connection.link().peer, error });
}

pub(super) fn record_refusal(connection: &Connection, refusal: Refusal) {
    connection.host().counters().refused.bump();
    connection.host().emit(&Event::RequestRefused { peer: &connection.link().peer, refusal });
}

/// Records why the unread part of a request's body cannot be read.
pub(super) fn record_unread(connection: &Connection, unread: Unread) {
    match unread {
        Unread::Refused(refusal) => record_refusal(connection, refusal),
        Unread::TimedOut(timeout) => record_timeout(connection, timeout),
        _ => {}
    }
}

/// Responds to a request that is refused. The connection has to end.
#[cold]
pub(super) fn refuse(connection: &Connection, refusal: Refusal, is_head: bool) -> io::Result<()> {
    record_refusal(connection, refusal);
    let text = format!("{}\n", refusal.kind.text());
    let response = (refusal.kind.status(), text).into_response();
    let method = if is_head { Method::HEAD } else { Method::GET };
    respond(connection, &Head { method, minor: 1, ..Head::default() }, &response, false)?;
    log_unless_in_flight(connection);
    connection.link().flush()
}

/// As [`refuse`], for a request in flight whose body is refused.
#[cold]
pub(super) fn refuse_and_settle(
    connection: &Connection,
    request: &Request,
    refusal: Refusal,
) -> io::Result<Option<End>> {
    refuse(connection, refusal, request.method() == Method::HEAD)?;
    Ok(Some(End::Linger))
}

/// Responds with a 408 when a head has not arrived in time. The connection has to end.
#[cold]
pub(super) fn refuse_late(connection: &Connection, timeout: Timeout) -> io::Result<()> {
    record_timeout(connection, timeout);
    let response = (StatusCode::REQUEST_TIMEOUT, format!("{timeout}\n")).into_response();
    respond(connection, &Head { minor: 1, ..Head::default() }, &response, false)?;
    log_unless_in_flight(connection);
    connection.link().flush()
}

/// As [`refuse_late`], for a request in flight whose body has not arrived in time.
#[cold]
pub(super) fn refuse_late_and_settle(
    connection: &Connection,
    request: &Request,
    timeout: Timeout,
) -> io::Result<Option<End>> {
    record_timeout(connection, timeout);
    let response = (StatusCode::REQUEST_TIMEOUT, format!("{timeout}\n")).into_response();
    respond(connection, request.head(), &response, false)?;
    connection.link().flush()?;
    Ok(Some(End::Linger))
}

#[cold]
pub(super) fn record_timeout(connection: &Connection, timeout: Timeout) {
    connection.host().counters().timeouts(timeout).bump();
    connection.host().emit(&Event::TimedOut { peer: &connection.link().peer, timeout });
}

/// Records why an idle connection is closed: its timeout expired, or it is evicted. A drain sets no
/// reason: the server counts the connections that the drain closes.
#[cold]
pub(super) fn record_idle_end(connection: &Connection) {
    match connection.link().idle_end() {
        None => {}
        Some(IdleEnd::Expired) => {
            let is_new = connection.link().is_new();
            record_timeout(connection, if is_new { Timeout::Head } else { Timeout::Idle });
        }
        Some(IdleEnd::Evicted) => {
            connection.host().counters().evicted.bump();
            connection.host().emit(&Event::ConnectionEvicted { peer: &connection.link().peer });
        }
    }
}

/// Records that a handler was cancelled, and returns the response; an error if the client has
/// disconnected.
#[cold]
pub(super) fn cancelled_response(connection: &Connection) -> io::Result<Response> {
    connection.host().counters().cancelled.bump();
    connection.host().emit(&Event::HandlerCancelled { peer: &connection.link().peer });
    if connection.link().pacing.is_client_gone() {
        let message = "the client went away before it was answered";
        return Err(io::Error::new(ErrorKind::ConnectionAborted, message));
    }
    record_timeout(connection, Timeout::Handler);
    let text = format!("{}\n", Timeout::Handler);
    Ok((StatusCode::GATEWAY_TIMEOUT, text).into_response())
}

/// Records that too many requests are in flight, or that the clients use too much memory, and
/// returns the response.
#[cold]
pub(super) fn overload_response(connection: &Connection) -> Response {
    if connection.host().memory.is_short() {
        connection.host().record_short_of_memory(&connection.link().peer);
    } else {
        connection.host().counters().overloaded.bump();
        connection.host().emit(&Event::Overloaded { peer: &connection.link().peer });
    }
    let seconds = connection.host().capacity.retry_seconds();
    StatusCode::SERVICE_UNAVAILABLE.into_response().header(header::RETRY_AFTER, seconds)
}

/// Records that a handler returned a response that it must not return. The client gets another one.
#[cold]
pub(super) fn record_misuse(connection: &Connection, request: &Request, message: &'static str) {
    record_failed_response(connection, request, &io::Error::other(message));
}

/// Records a handler's panic, and returns the response.
#[cold]
pub(super) fn panic_response(
    connection: &Connection,
    request: &Request,
    payload: Box<dyn Any + Send>,
) -> Response {
    record_panic(connection, request.method(), request.target(), payload);
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Records a handler's panic. A cancel of the fiber is not a panic: it continues to unwind.
pub(super) fn record_panic(
    connection: &Connection,
    method: &Method,
    target: &str,
    payload: Box<dyn Any + Send>,
) {
    if is_cancel(&*payload) {
        resume_unwind(payload);
    }
    connection.host().counters().panicked.bump();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)");
    let (peer, place) = (&connection.link().peer, take_place());
    let place = place.as_deref();
    connection.host().emit(&Event::HandlerPanicked { peer, method, target, message, place });
}

/// Records that a handler could not complete its response.
pub(super) fn record_failed_response(
    connection: &Connection,
    request: &Request,
    error: &io::Error,
) {
    connection.host().counters().failed_responses.bump();
    let (peer, method, target) = (&connection.link().peer, request.method(), request.target());
    connection.host().emit(&Event::ResponseFailed { peer, method, target, error });
}
