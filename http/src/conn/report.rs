//! The report of a finished request, or of bytes that are not a request: to the observers, the
//! access log and the numbers of its route.

use http::StatusCode;
use straightline_sched::system_time;

use crate::message::Request;
use crate::proto::Headers;
use crate::telemetry::{FinishedRequest, Outcome};
use crate::wire::Link;

/// Reports a request and its response, once. The request's head must still be there.
#[inline]
pub(super) fn report_request(link: &Link, request: &Request) {
    if link.host.wants_requests() || link.exchange.has_route() {
        report_wanted(link, request);
    }
}

#[inline(never)]
fn report_wanted(link: &Link, request: &Request) {
    if link.exchange.record_reported() {
        if let Some(route) = link.exchange.route() {
            link.count_route(route);
        }
        if link.host.wants_requests() {
            report(link, Some(request));
        }
    }
}

#[cold]
fn report(link: &Link, request: Option<&Request>) {
    let (status, body_at) = link.exchange.take_response();
    let duration = link.exchange.time();
    link.host.report(&FinishedRequest {
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
pub(super) fn report_lost(link: &Link, outcome: Outcome) {
    let exchange = &link.exchange;
    if exchange.is_in_flight() && exchange.record_reported() {
        exchange.set_outcome(outcome);
        if let Some(route) = exchange.route() {
            link.count_route(route);
        }
        if link.host.wants_requests() {
            report(link, None);
        }
    }
}

/// Reports bytes that are not a request. A request in flight is not reported here: it is reported
/// when it ends.
#[cold]
pub(super) fn report_unless_in_flight(link: &Link) {
    if !link.exchange.is_in_flight() {
        link.exchange.restart_clock();
        if link.host.wants_requests() {
            report(link, None);
        }
    }
}
