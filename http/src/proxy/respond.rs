//! The response to the client, made of the upstream's.
//!
//! A response that has arrived whole is bytes in memory, and leaves in one write; its connection is
//! idle at once. The body of any other response is passed on piece by piece, while the rest of the
//! request's body goes the other way.

use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use straightline_sched as sched;

use super::connection::UpstreamConnection;
use super::download::{Download, DownloadError};
use super::failure::Failure;
use super::hop_by_hop::ConnectionNames;
use super::keeper;
use super::pool::Pool;
use super::shared::Shared;
use super::tunnel;
use super::upload::{Upload, UploadError};
use super::upstreams::Permit;
use crate::config::OnDisconnect;
use crate::conn::SKIP_BYTES_MAX;
use crate::message::{BodyWriter, IntoResponse, Request, Response, ResponseBody, UpstreamError};
use crate::proto::{ReceivedBody, ReceivedHead};
use crate::wire::Expectation;

/// What the response needs of the exchange; the head is still in the connection's input.
pub(super) struct Reply {
    pub(super) shared: Arc<Shared>,
    pub(super) pool: Rc<Pool>,
    pub(super) permit: Permit,
    pub(super) connection: UpstreamConnection,
    /// The upload, if it is not complete.
    pub(super) upload: Option<Upload>,
}

impl Reply {
    pub(super) fn into_response(mut self, head: &ReceivedHead, request: &Request) -> Response {
        let arrived = self.connection.input.unread().len() - head.end;
        let whole = match head.body {
            ReceivedBody::Known(length) => usize::try_from(length).ok(),
            _ => None,
        };
        let whole = whole.filter(|length| *length <= arrived.min(WHOLE_BYTES_MAX));
        if head.is_misframed {
            self.permit.record_misframed("a 204 that announces a body");
        }
        let ends_upload = self.ends_upload(head, whole.is_some(), request);
        let received = self.take(head.end + whole.unwrap_or(0));
        let fields = foreign_fields(head, &received);
        let mut response = match whole {
            Some(0) => {
                self.end(head.keep_alive, request);
                empty(head, request.method())
            }
            Some(_) => {
                let body = received.slice(head.end..);
                self.end(head.keep_alive, request);
                in_memory(head.status, body, &fields)
            }
            None => self.streamed(head),
        };
        response.set_status(head.status);
        response.push_foreign_fields(fields);
        if head.status == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110 section 15.5.22: the response names the protocol, in a field of this hop.
            let values = head.headers(&received).all("upgrade");
            let mut values =
                values.filter_map(|value| HeaderValue::from_bytes(value).ok()).peekable();
            if values.peek().is_some() {
                response.push_field(header::CONNECTION, HeaderValue::from_static("upgrade"));
            }
            values.for_each(|value| response.push_field(header::UPGRADE, value));
        }
        if ends_upload { response.close() } else { response }
    }

    /// Whether the rest of the request's body will not be read: then the response says that the
    /// connection closes behind it (RFC 9112 section 9.6). A response that is passed on while the
    /// upload goes on may be one that the upload is needed for, such as an echo; one that is no
    /// success, or whose upstream closes the connection, wants no more of it.
    fn ends_upload(&self, head: &ReceivedHead, is_whole: bool, request: &Request) -> bool {
        let is_coming = request.link().exchange.expectation() == Expectation::None;
        let goes_on = !is_whole && is_coming && head.keep_alive && head.status.is_success();
        self.upload.is_some() && !goes_on && !(is_coming && is_skipped(request))
    }

    /// The response that switches to `protocol`, if the upstream switches to that one.
    pub(super) fn switch(mut self, head: &ReceivedHead, protocol: &str) -> Response {
        let received = self.take(head.end);
        let mut names = head.headers(&received).list("upgrade");
        if !names.next().is_some_and(|name| name.eq_ignore_ascii_case(protocol)) {
            let message = "the upstream switches to another protocol than was asked for";
            self.permit.record_failure(&io::Error::new(io::ErrorKind::InvalidData, message));
            return Failure::Unexpected(message).into_response();
        }
        self.permit.record_success();
        let idle = self.shared.timeouts.upgraded;
        let mut response = Response::upgrade(protocol, move |client| {
            let Self { pool, connection, permit, .. } = self;
            let outcome = tunnel::run(&client, connection, &pool, idle);
            drop(permit);
            outcome
        });
        response.push_foreign_fields(foreign_fields(head, &received));
        response
    }

    /// Takes the first bytes of the input.
    fn take(&mut self, count: usize) -> Bytes {
        let bytes = Bytes::copy_from_slice(&self.connection.input.unread()[..count]);
        self.connection.input.consume(count);
        bytes
    }

    /// The response has arrived whole: the connection is idle, or closed if another request must
    /// not be sent on it.
    fn end(self, is_reusable: bool, request: &Request) {
        let Self { shared, pool, permit, connection, upload } = self;
        permit.record_success();
        let is_over = connection.input.is_empty();
        if !is_over {
            // They are not to be taken for the next response.
            permit.record_misframed("bytes behind the end of a response");
        }
        if is_reusable && upload.is_none() && is_over {
            pool.put(permit.index(), connection);
            keeper::ensure(&shared, &pool, request);
        }
    }

    /// A response whose body is passed on while it arrives.
    fn streamed(self, head: &ReceivedHead) -> Response {
        let is_reusable = head.keep_alive;
        let (fields_max, timeout) = (self.shared.limits.fields, self.shared.timeouts.body);
        let download = Download::new(head.body, fields_max, timeout);
        let response = Response::stream(move |request, body| {
            self.transfer(download, is_reusable, request, body)
        });
        match head.body {
            ReceivedBody::Known(length) => response.content_length(length),
            ReceivedBody::Chunked | ReceivedBody::UntilClose => response,
        }
    }

    /// Passes the body on, and the rest of the request's body the other way.
    fn transfer(
        mut self,
        mut download: Download,
        is_reusable: bool,
        request: &Request,
        body: &mut BodyWriter<'_>,
    ) -> io::Result<()> {
        let is_watched = self.shared.on_disconnect == OnDisconnect::Cancel;
        let before_wait = || {
            if is_watched {
                request.link().watch();
            }
        };
        let UpstreamConnection { stream, input } = &mut self.connection;
        let stream = &**stream;
        // A client that was not asked for its body may send none: nothing waits for it.
        let is_coming = request.link().exchange.expectation() == Expectation::None;
        let passed = match self.upload.as_mut().filter(|_| is_coming) {
            None => download.run(stream, input, body, before_wait),
            Some(upload) => sched::scope(|scope| {
                let up = scope.spawn(|| {
                    upload.run(request, stream).inspect_err(|error| {
                        if matches!(error, UploadError::Client(_)) {
                            // The upstream waits in vain: the download finds the end.
                            stream.reset();
                        }
                    })
                });
                let passed = download.run(stream, input, body, before_wait);
                up.cancel();
                match (up.join(), passed) {
                    (Ok(Err(UploadError::Client(error))), Err(_)) => {
                        Err(DownloadError::Client(error))
                    }
                    (_, passed) => passed,
                }
            }),
        };
        match passed {
            Ok(()) => {
                self.upload = self.upload.filter(|upload| !upload.is_complete());
                self.end(is_reusable, request);
                Ok(())
            }
            Err(DownloadError::Client(error)) => Err(error),
            Err(DownloadError::Upstream(error)) => {
                self.permit.record_failure(&error);
                Err(UpstreamError::mark(error))
            }
        }
    }
}

/// Whether the server reads what is left of the body, to keep the connection.
pub(super) fn is_skipped(request: &Request) -> bool {
    request.body().remaining().is_some_and(|left| left <= SKIP_BYTES_MAX)
}

/// A response without a body. One to HEAD, and a 304, may have the length of the body that a GET
/// would get.
fn empty(head: &ReceivedHead, method: &Method) -> Response {
    let is_head = *method == Method::HEAD && head.status != StatusCode::NO_CONTENT;
    let unsent = || Response::stream(|_, _| Ok(()));
    match head.content_length {
        Some(length) if is_head || head.status == StatusCode::NOT_MODIFIED => {
            unsent().content_length(length)
        }
        None if is_head && head.status != StatusCode::NOT_MODIFIED => unsent(),
        _ => Response::new(head.status),
    }
}

/// A response whose body is at hand. Bytes get a content type by default, and the fields that are
/// passed on may have none: then they are written as a stream, which gets none.
fn in_memory(status: StatusCode, body: Bytes, fields: &[(HeaderName, HeaderValue)]) -> Response {
    if fields.iter().any(|(name, _)| name == header::CONTENT_TYPE) {
        return Response::new(status).with_body(ResponseBody::from(body));
    }
    let length = body.len() as u64;
    let write = move |_: &mut Request, writer: &mut BodyWriter<'_>| writer.write_all(&body);
    Response::stream(write).content_length(length)
}

/// The fields that the client gets. Their values share the memory of the head.
fn foreign_fields(head: &ReceivedHead, received: &Bytes) -> Vec<(HeaderName, HeaderValue)> {
    let headers = head.headers(received);
    let connection = ConnectionNames::of(headers);
    let mut fields = Vec::with_capacity(head.fields.len());
    for (field, (name, _)) in head.fields.iter().zip(headers) {
        if connection.has(name) {
            continue;
        }
        let (from, to) = (field.value.0 as usize, field.value.1 as usize);
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_maybe_shared(received.slice(from..to));
        // The parser lets only bytes in that both allow.
        if let (Ok(name), Ok(value)) = (name, value) {
            fields.push((name, value));
        }
    }
    fields
}

/// The largest body that is passed on from memory. Arbitrary: most responses of services are
/// smaller, and the memory is held for as long as the client takes.
const WHOLE_BYTES_MAX: usize = 16 * 1024;
