//! What goes wrong on a connection: the response that the client gets, the counter that records the
//! fault, and the event that is emitted.

use std::any::Any;
use std::io;

use http::{Method, StatusCode, header};
use straightline_sched::is_cancel;

use super::connection::{Connection, End};
use super::handler_faults::{client_closed_request, panic_response, record_timeout};
use super::report::{report_request, report_unless_in_flight};
use super::respond::respond;
use crate::config::Timeout;
use crate::message::{IntoResponse, Request, Response};
use crate::proto::{Head, Refusal};
use crate::telemetry::{Event, Outcome};
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
        record_timeout(connection.link(), timeout);
        // Without a reset, the kernel would try for many minutes to send the bytes that the socket
        // buffers.
        connection.link().transport.reset_on_close();
        return;
    }
    connection.link().exchange.set_outcome(Outcome::Disconnected);
    connection.host().emit(&Event::ConnectionFailed { peer: connection.link().peer(), error });
}

pub(super) fn record_refusal(connection: &Connection, refusal: Refusal) {
    connection.link().exchange.set_outcome(Outcome::Refused(refusal.kind));
    connection.host().counters().refused.bump();
    connection.host().emit(&Event::RequestRefused { peer: connection.link().peer(), refusal });
}

/// Records why the unread part of a request's body cannot be read.
pub(super) fn record_unread(connection: &Connection, unread: Unread) {
    match unread {
        Unread::Refused(refusal) => record_refusal(connection, refusal),
        Unread::TimedOut(timeout) => record_timeout(connection.link(), timeout),
        _ => {}
    }
}

/// Responds to a request that is refused. The connection has to end.
#[cold]
pub(super) fn refuse(
    connection: &Connection,
    request: Option<&Request>,
    refusal: Refusal,
    is_head: bool,
) -> io::Result<()> {
    record_refusal(connection, refusal);
    let text = format!("{}\n", refusal.kind.text());
    let response = Response::error(refusal.kind.status(), text, None);
    let method = if is_head { Method::HEAD } else { Method::GET };
    let head = Head { method, minor: 1, ..Head::default() };
    respond(connection, &head, request, &response, false)?;
    report_unless_in_flight(connection.link());
    connection.link().flush()
}

/// As [`refuse`], for a request in flight whose body is refused.
#[cold]
pub(super) fn refuse_and_settle(
    connection: &Connection,
    request: &Request,
    refusal: Refusal,
) -> io::Result<Option<End>> {
    refuse(connection, Some(request), refusal, request.head().method == Method::HEAD)?;
    Ok(Some(End::Linger))
}

/// Responds with a 408 when a head has not arrived in time. The connection has to end.
#[cold]
pub(super) fn refuse_late(connection: &Connection, timeout: Timeout) -> io::Result<()> {
    record_timeout(connection.link(), timeout);
    let response = Response::error(StatusCode::REQUEST_TIMEOUT, format!("{timeout}\n"), None);
    respond(connection, &Head { minor: 1, ..Head::default() }, None, &response, false)?;
    report_unless_in_flight(connection.link());
    connection.link().flush()
}

/// As [`refuse_late`], for a request in flight whose body has not arrived in time.
#[cold]
pub(super) fn refuse_late_and_settle(
    connection: &Connection,
    request: &Request,
    timeout: Timeout,
) -> io::Result<Option<End>> {
    record_timeout(connection.link(), timeout);
    let response = Response::error(StatusCode::REQUEST_TIMEOUT, format!("{timeout}\n"), None);
    respond(connection, request.head(), Some(request), &response, false)?;
    connection.link().flush()?;
    Ok(Some(End::Linger))
}

/// Records why an idle connection is closed: its timeout expired, or it is evicted. A drain sets no
/// reason: the server counts the connections that the drain closes.
#[cold]
pub(super) fn record_idle_end(connection: &Connection) {
    match connection.link().idle_end() {
        None => {}
        Some(IdleEnd::Expired) => {
            let is_new = connection.link().is_new();
            record_timeout(connection.link(), if is_new { Timeout::Head } else { Timeout::Idle });
        }
        Some(IdleEnd::Evicted) => {
            connection.host().counters().evicted.bump();
            connection.host().emit(&Event::ConnectionEvicted { peer: connection.link().peer() });
        }
    }
}

/// Records that too many requests are in flight, or that the clients use too much memory, and
/// returns the response.
#[cold]
pub(super) fn overload_response(connection: &Connection) -> Response {
    connection.link().exchange.set_outcome(Outcome::Overloaded);
    if connection.host().memory.is_short() {
        connection.host().record_short_of_memory(connection.link().peer());
    } else {
        connection.host().counters().overloaded.bump();
        connection.host().emit(&Event::Overloaded { peer: connection.link().peer() });
    }
    let seconds = connection.host().capacity.retry_seconds();
    StatusCode::SERVICE_UNAVAILABLE.into_response().header(header::RETRY_AFTER, seconds)
}

/// The response for a cancelled handler; an error if the client has disconnected.
#[cold]
pub(super) fn client_gone(response: Response) -> io::Result<Response> {
    if response.status() == client_closed_request() {
        let message = "the client went away before it was answered";
        return Err(io::Error::new(io::ErrorKind::ConnectionAborted, message));
    }
    Ok(response)
}

/// The handler has kept its thread for so long that the server has disconnected the clients of its
/// shard.
#[cold]
pub(super) fn cut_off(connection: &Connection) -> io::Error {
    connection.link().exchange.set_outcome(Outcome::ForceClosed);
    let message = "a handler kept its thread, and the server disconnected the shard's clients";
    io::Error::new(io::ErrorKind::ConnectionAborted, message)
}

/// The response for a handler that panicked. A cancel of the fiber is not a panic: it is reported,
/// and continues to unwind.
#[cold]
pub(super) fn handler_panic(
    connection: &Connection,
    request: &Request,
    payload: Box<dyn Any + Send>,
) -> Response {
    if is_cancel(&*payload) {
        connection.link().exchange.set_outcome(Outcome::ForceClosed);
        report_request(connection.link(), request);
    }
    panic_response(request, payload)
}
