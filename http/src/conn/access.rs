//! The access log's entries for requests, and for bytes that are not a request.

use http::Version;
use straightline_sched::system_time;

use super::connection::Connection;
use crate::request::Request;
use crate::telemetry::Entry;

/// Logs a request and its response, once, if the server has an access log. The request's head must
/// still be in the buffer.
#[inline]
pub(super) fn log_request(connection: &Connection, request: &Request) {
    if connection.host().access_log().is_some() && connection.link().exchange.record_logged() {
        log(connection, Some(request));
    }
}

#[cold]
fn log(connection: &Connection, request: Option<&Request>) {
    let Some(log) = connection.host().access_log() else { return };
    let link = connection.link();
    let (status, body_at) = link.exchange.take_response();
    let duration = link.exchange.time();
    let field = |name| request.and_then(|request| request.headers().get_bytes(name));
    let version = |request: &Request| match request.version() {
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    log.write(&Entry {
        time: system_time().checked_sub(duration).unwrap_or_else(system_time),
        peer: &link.peer.to_string(),
        client: &link.peer.host(),
        line: request
            .map(|request| (request.method().as_str(), request.target(), version(request))),
        status,
        bytes: link.output.body_bytes(body_at),
        duration,
        host: field("host"),
        referer: field("referer"),
        user_agent: field("user-agent"),
    });
}

/// Logs bytes that are not a request. A request in flight is not logged here: it is logged when it
/// ends.
#[cold]
pub(super) fn log_unless_in_flight(connection: &Connection) {
    if !connection.link().exchange.is_in_flight() {
        connection.link().exchange.restart_clock();
        log(connection, None);
    }
}
