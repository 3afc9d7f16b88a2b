//! The report of a finished request, or of bytes that are not a request: to the observers, the
//! access log and the numbers of its route.

use http::StatusCode;
use straightline_sched::system_time;

use super::connection::Connection;
use crate::message::Request;
use crate::proto::Headers;
use crate::telemetry::{FinishedRequest, Outcome};

/// Reports a request and its response, once. The request's head must still be there.
#[inline]
pub(super) fn report_request(connection: &Connection, request: &Request) {
    let (link, route) = (connection.link(), connection.link().exchange.route());
    let is_wanted = connection.host().wants_requests();
    if (is_wanted || route.is_some()) && link.exchange.record_reported() {
        if let Some(route) = route {
            link.count_route(route);
        }
        if is_wanted {
            report(connection, Some(request));
        }
    }
}

#[cold]
fn report(connection: &Connection, request: Option<&Request>) {
    let link = connection.link();
    let (status, body_at) = link.exchange.take_response();
    let duration = link.exchange.time();
    connection.host().report(&FinishedRequest {
        begun: system_time().checked_sub(duration).unwrap_or_else(system_time),
        duration,
        peer: link.peer(),
        #[cfg(feature = "_tls")]
        tls: link.tls(),
        method: request.map(Request::method),
        target: request.map(Request::target),
        version: request.map(Request::version),
        headers: request.map_or(Headers::received(&[], &[]), Request::headers),
        route: link.exchange.route().map(|route| route.name),
        status: StatusCode::from_u16(status).ok(),
        request_bytes: request.map_or(0, Request::received_bytes),
        response_bytes: link.output.body_bytes(body_at),
        outcome: link.exchange.take_outcome(),
    });
}

/// Reports a request whose fiber was cancelled, or has panicked, while its response was being sent:
/// its head is lost.
#[cold]
pub(super) fn report_lost(connection: &Connection, outcome: Outcome) {
    let (link, exchange) = (connection.link(), &connection.link().exchange);
    if exchange.is_in_flight() && exchange.record_reported() {
        exchange.set_outcome(outcome);
        if let Some(route) = exchange.route() {
            link.count_route(route);
        }
        if connection.host().wants_requests() {
            report(connection, None);
        }
    }
}

/// Reports bytes that are not a request. A request in flight is not reported here: it is reported
/// when it ends.
#[cold]
pub(super) fn report_unless_in_flight(connection: &Connection) {
    let exchange = &connection.link().exchange;
    if !exchange.is_in_flight() {
        exchange.restart_clock();
        if connection.host().wants_requests() {
            report(connection, None);
        }
    }
}
