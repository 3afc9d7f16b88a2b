//! Responses that are more than bytes in memory: bodies that are written piece by piece, what
//! happens when that fails half-way, and connections that become another protocol's.

use std::any::Any;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use http::{HeaderValue, Method, StatusCode, header};
use straightline_sched::DeadlineExceeded;

use super::connection::{Connection, End};
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

impl Connection {
    /// Answers with what is not in memory, or to CONNECT, or with what no handler may return.
    #[cold]
    pub(super) fn respond_special(
        &self,
        request: &mut Request,
        mut response: Response,
    ) -> io::Result<Option<End>> {
        let is_sent = request.method() != Method::HEAD && !has_no_body(response.head.status);
        let streamed = match mem::replace(&mut response.body, Payload::Static(b"")) {
            Payload::Streamed(streamed) => *streamed,
            in_memory => {
                response.body = in_memory;
                return self.answer_outlined(request, &self.checked(request, response));
            }
        };
        let length = streamed.length();
        let write: Box<WriteBody> = match streamed {
            Streamed::Upgrade(run) => return self.respond_upgrade(request, &response.head, run),
            _ if !is_sent || is_unfit(request, response.head.status) => {
                response.body =
                    Payload::Streamed(Box::new(Streamed::Writer(length, Box::new(|_, _| Ok(())))));
                let response = match self.drop_unsent(request, streamed)? {
                    Some(instead) => instead,
                    None => self.checked(request, response),
                };
                return self.answer_outlined(request, &response);
            }
            Streamed::Writer(_, write) => write,
            Streamed::File(_, file) => Box::new(move |_, body| body.send_file(&file)),
        };
        self.respond_written(request, response.head, length, write)
    }

    /// Drops a function that is not called. A value that it owns may have a destructor that waits
    /// or panics, so the drop runs as the handler does; returns what the client gets if it fails.
    fn drop_unsent(&self, request: &Request, unsent: Streamed) -> io::Result<Option<Response>> {
        let pacing = &self.link.pacing;
        match catch_unwind(AssertUnwindSafe(|| pacing.hold(|| drop(unsent)))) {
            Ok(Ok(())) => Ok(None),
            Ok(Err(DeadlineExceeded)) => self.expired().map(Some),
            Err(payload) => Ok(Some(self.panicked(request, payload))),
        }
    }

    /// A handler's response, unless it is none that a handler may give.
    fn checked(&self, request: &Request, response: Response) -> Response {
        if !is_unfit(request, response.head.status) {
            return response;
        }
        if response.head.status.is_informational() {
            self.record_misuse(request, "a handler returned an interim status");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        self.record_misuse(request, "a handler agreed to a CONNECT and made no tunnel");
        StatusCode::NOT_IMPLEMENTED.into_response().close()
    }

    /// Has a body written.
    fn respond_written(
        &self,
        request: &mut Request,
        head: ResponseHead,
        length: Option<u64>,
        write: Box<WriteBody>,
    ) -> io::Result<Option<End>> {
        let keep_alive = self.may_go_on(request, &head);
        let (link, flush) = (Rc::clone(&self.link), Rc::clone(&self.flush));
        let minor = request.buffers.head.minor;
        let mut body = BodyWriter::new(link, flush, head, length, minor, keep_alive);
        let pacing = &self.link.pacing;
        let written = catch_unwind(AssertUnwindSafe(|| pacing.hold(|| write(request, &mut body))));
        let failure = match written {
            Ok(Ok(Ok(()))) => body.finish().err().map(Failure::Error),
            Ok(Ok(Err(error))) => Some(Failure::Error(error)),
            Ok(Err(DeadlineExceeded)) => Some(Failure::Expired),
            Err(payload) => Some(Failure::Panic(payload)),
        };
        let unread = self.unread_body(request);
        if let Some(failure) = failure {
            return self.give_up(request, unread, &mut body, failure);
        }
        // The response is whole, and the handler has not asked for this part of the body.
        self.record_unread(unread);
        let keep_alive = body.keep_alive() && self.is_skippable(unread);
        self.settle(request, unread, keep_alive)
    }

    /// Tells the client that there is no whole body: by another response if nothing has left of
    /// this one, by the way in which the connection ends otherwise.
    fn give_up(
        &self,
        request: &mut Request,
        unread: Unread,
        body: &mut BodyWriter,
        failure: Failure,
    ) -> io::Result<Option<End>> {
        let is_untouched = body.rollback();
        let failure = match failure {
            Failure::Panic(payload) => Err(self.panicked(request, payload)),
            Failure::Expired => Err(self.expired()?),
            Failure::Error(error) => Ok(error),
        };
        // On account of the request's body: the client's fault.
        match unread {
            Unread::Refused(refusal) if is_untouched => {
                return self.refuse_and_settle(request, refusal);
            }
            Unread::TimedOut(timeout) if is_untouched => {
                return self.refuse_late_and_settle(request, timeout);
            }
            Unread::Refused(refusal) => {
                self.record_refusal(refusal);
                return self.cut(body);
            }
            Unread::TimedOut(timeout) => {
                self.record_timeout(timeout);
                return self.cut(body);
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
                    self.record_failed_response(request, &error);
                    StatusCode::INTERNAL_SERVER_ERROR.into_response()
                }
            },
        };
        if is_untouched {
            return self.answer_outlined(request, &response.close());
        }
        self.cut(body)
    }

    /// Ends the connection in the middle of the body. What there is of it may leave, but nothing
    /// that would make it look complete.
    fn cut(&self, body: &BodyWriter) -> io::Result<Option<End>> {
        if !body.ends_with_connection() {
            self.link.flush()?;
        }
        Ok(Some(End::Cut))
    }

    /// Goes over to another protocol, if the client wants that.
    fn respond_upgrade(
        &self,
        request: &mut Request,
        head: &ResponseHead,
        run: Box<RunProtocol>,
    ) -> io::Result<Option<End>> {
        if let Some(refused) = self.upgrade_refused(request, head) {
            let dropped = self.drop_unsent(request, Streamed::Upgrade(run))?;
            return self.answer_outlined(request, &dropped.unwrap_or(refused));
        }
        let unread = match self.unread_body(request) {
            Unread::Known(_) | Unread::Unknown | Unread::Cut(_) => self.skip_body(request)?,
            unread => unread,
        };
        match unread {
            Unread::Nothing => {}
            Unread::Refused(refusal) => return self.refuse_and_settle(request, refusal),
            Unread::TimedOut(timeout) => return self.refuse_late_and_settle(request, timeout),
            Unread::Known(_) | Unread::Unknown | Unread::Cut(_) => {
                let response = StatusCode::PAYLOAD_TOO_LARGE.into_response();
                return self.answer_outlined(request, &response.close());
            }
        }
        // The protocol's first bytes may have come already. Copied while a refusal is possible.
        let input = &request.buffers.input.unread()[request.body.end()..];
        let mut early = Vec::new();
        if early.try_reserve_exact(input.len()).is_err() {
            let refusal = RefusalKind::Memory.at(request.body.end());
            return self.refuse_and_settle(request, refusal);
        }
        early.extend_from_slice(input);
        self.link.begin_response(head.status);
        let encoder = self.host.encoder();
        encoder.encode_upgrade(self.link.output.buffer().bytes(), head);
        drop(encoder);
        self.link.flush()?;

        // No request follows, and a client that closes its side may still read.
        self.link.unwatch();
        self.log_request(request);
        self.link.end_request(true);
        let (method, target) = (request.method().clone(), request.target().to_owned());
        // The protocol may last for hours, and has no use for the buffer, nor for the head in it.
        request.buffers.input.release();
        let upgraded = Upgraded::new(Rc::clone(&self.link), early);
        let protocol = Rc::clone(upgraded.protocol());
        let pacing = &self.link.pacing;
        match catch_unwind(AssertUnwindSafe(|| pacing.hold_endless(|| run(upgraded)))) {
            Ok(Ok(Ok(()))) => {}
            // What the protocol wrote before is to arrive all the same.
            Ok(Ok(Err(error))) => self.record_failure(&error),
            Ok(Err(DeadlineExceeded)) => self.record_protocol_end(&protocol),
            Err(payload) => self.record_panic(&method, &target, payload),
        }
        Ok(Some(End::Linger))
    }

    /// A protocol was cancelled.
    #[cold]
    fn record_protocol_end(&self, protocol: &Protocol) {
        self.host.counters().cancelled.bump();
        self.host.emit(&Event::HandlerCancelled { peer: &self.link.peer });
        if protocol.is_cut() {
            self.record_timeout(Timeout::Idle);
        }
    }

    /// What the client gets if it did not ask for the protocol.
    fn upgrade_refused(&self, request: &Request, head: &ResponseHead) -> Option<Response> {
        let is_connect = *request.method() == Method::CONNECT;
        if head.status != StatusCode::SWITCHING_PROTOCOLS {
            if is_connect && head.status.is_success() {
                return None;
            }
            self.record_misuse(request, "a handler made a tunnel without a CONNECT");
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
}

/// A status that means something else than the handler thinks: an interim one, or agreement to a
/// CONNECT, behind which the client takes what it gets for the other end's bytes.
fn is_unfit(request: &Request, status: StatusCode) -> bool {
    status.is_informational() || (*request.method() == Method::CONNECT && status.is_success())
}
