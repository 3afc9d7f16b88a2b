//! Encodes a response into the connection's output.

use std::io;

use http::{Method, StatusCode};

use super::connection::Connection;
use crate::proto::{self, BodyFraming, Head, has_no_body};
use crate::response::Response;
use crate::wire::OUTPUT_BYTES_MAX;

/// Encodes a response. A small body stays in the output, so that several responses leave in one
/// write; a large body is written at once.
#[allow(clippy::inline_always)]
#[inline(always)]
pub(super) fn respond(
    connection: &Connection,
    head: &Head,
    response: &Response,
    keep_alive: bool,
) -> io::Result<()> {
    let mut output = connection.link().output.buffer();
    connection.link().begin_response(response.status());
    connection.host().encoder().encode(
        output.bytes(),
        response.head(),
        response.effective_content_type(),
        framing(response, head.minor),
        proto::ConnectionHeader::for_version(head.minor, keep_alive),
    );
    connection.link().exchange.begin_response_body(output.begin_body());
    let is_sent = head.method != Method::HEAD && !has_no_body(response.status());
    let body = if is_sent { response.body().bytes() } else { &[] };
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

/// How the head frames the body.
#[inline]
fn framing(response: &Response, minor: u8) -> BodyFraming {
    match response.body().length() {
        Some(length) if !has_no_body(response.status()) => BodyFraming::Length(length),
        length => special_framing(response.status(), length, minor),
    }
}

/// How the head frames a body that the status forbids, or whose length is not known. A 304 may have
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
