//! Encodes a response into the connection's output.

use std::io;

use http::{Method, StatusCode};

use super::connection::Connection;
use super::handler_faults::record_failed_response;
use super::service::{ErrorContext, ErrorResponder};
use crate::message::{ErrorText, Request, Response};
use crate::proto::{self, BodyFraming, Head, has_no_body};
use crate::telemetry::contain;
use crate::wire::OUTPUT_BYTES_MAX;

/// Encodes a response. A small body stays in the output, so that several responses leave in one
/// write; a large body is written at once.
#[allow(clippy::inline_always)]
#[inline(always)]
pub(super) fn respond(
    connection: &Connection,
    head: &Head,
    request: Option<&Request>,
    response: &Response,
    keep_alive: bool,
) -> io::Result<()> {
    match response.body().error_text() {
        Some(error) => respond_error(connection, head, request, response, error, keep_alive),
        None => respond_as_it_is(connection, head, response, keep_alive),
    }
}

/// The program's function for error responses, unless the handler has chosen this text.
fn error_responder<'c>(
    connection: &'c Connection,
    error: &ErrorText,
) -> Option<&'c ErrorResponder> {
    connection.service().error_responder().filter(|_| !error.is_chosen)
}

/// Responds with an error: reports its cause, and lets the program choose the response.
#[cold]
#[inline(never)]
fn respond_error(
    connection: &Connection,
    head: &Head,
    request: Option<&Request>,
    response: &Response,
    error: &ErrorText,
    keep_alive: bool,
) -> io::Result<()> {
    if let (Some(request), Some(cause)) = (request, &error.cause) {
        record_failed_response(request, &**cause);
    }
    let made = error_responder(connection, error).and_then(|responder| {
        let context = ErrorContext::new(
            response.status(),
            error.text.trim_end(),
            request,
            connection.link().exchange.outcome(),
        );
        own_error_response(responder, &context, response)
    });
    // What wrappers have added is also on a response that takes the place of the handler's.
    let added = request.map_or_else(Vec::new, |request| request.link().wrapper_fields.added());
    let made = match made {
        None if added.is_empty() => None,
        None => {
            let same = Response::error(response.status(), error.text.clone(), None);
            Some(same.in_place_of(response))
        }
        made => made,
    };
    let made = made.map(|made| made.with_missing(added));
    // Whether the connection stays open is decided by now.
    respond_as_it_is(connection, head, made.as_ref().unwrap_or(response), keep_alive)
}

/// The program's response for an error; `None` if it panics, or its body is not in memory.
pub(crate) fn own_error_response(
    responder: &ErrorResponder,
    context: &ErrorContext<'_>,
    original: &Response,
) -> Option<Response> {
    let made = contain(|| responder(context))?;
    (!made.body().is_streamed()).then(|| made.in_place_of(original))
}

#[allow(clippy::inline_always)]
#[inline(always)]
fn respond_as_it_is(
    connection: &Connection,
    head: &Head,
    response: &Response,
    keep_alive: bool,
) -> io::Result<()> {
    let mut output = connection.link().output.buffer();
    let status = response.status();
    connection.link().begin_response(status);
    let (bytes, own_type) = response.body().parts();
    let may_have_body = !has_no_body(status);
    let framing = match bytes {
        Some(bytes) if may_have_body => BodyFraming::Length(bytes.len() as u64),
        _ => special_framing(status, response.body().length(), head.minor),
    };
    connection.host().encoder().encode(
        output.bytes(),
        response.head(),
        response.content_type_or(own_type),
        framing,
        proto::ConnectionHeader::for_version(head.minor, keep_alive),
    );
    connection.link().exchange.begin_response_body(output.begin_body());
    let is_sent = head.method != Method::HEAD && may_have_body;
    let body = bytes.filter(|_| is_sent).unwrap_or_default();
    if body.len() > COPY_BYTES_MAX {
        drop(output);
        connection.link().held.set_response(response.body().owned_bytes());
        let flushed = connection.link().flush_with(body);
        connection.link().held.set_response(0);
        return flushed;
    }
    output.bytes().extend_from_slice(body);
    if output.bytes().len() > OUTPUT_BYTES_MAX {
        drop(output);
        connection.link().flush()?;
    }
    Ok(())
}

/// How the head frames a body that the status forbids, or that is not in memory. A 304 may have
/// the length that the body of a 200 would have (RFC 9110 section 8.6).
#[cold]
fn special_framing(status: StatusCode, length: Option<u64>, minor: u8) -> BodyFraming {
    match (status, length) {
        (StatusCode::NO_CONTENT, _) | (StatusCode::NOT_MODIFIED, Some(0)) => BodyFraming::None,
        (StatusCode::RESET_CONTENT, _) => BodyFraming::Length(0),
        (_, Some(length)) => BodyFraming::Length(length),
        (_, None) if minor == 0 => BodyFraming::None,
        (_, None) => BodyFraming::Chunked,
    }
}

/// A body up to this size is copied into the output, behind its head. A larger body is written
/// without a copy. Arbitrary: copying 16 KiB costs about as much as a system call.
const COPY_BYTES_MAX: usize = 16 * 1024;
