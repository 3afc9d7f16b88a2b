//! What goes wrong on a connection: what the client gets for it, and what is counted and told.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::panic::resume_unwind;

use http::{Method, StatusCode, header};
use straightline_sched::is_cancel;

use super::connection::{Connection, End};
use crate::config::Timeout;
use crate::proto::{Head, Refusal};
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::telemetry::{Event, take_place};
use crate::wire::{IdleEnd, Unread};

impl Connection {
    /// The connection broke, or ended too early: counts and tells it once.
    #[cold]
    pub(super) fn record_failure(&self, error: &io::Error) {
        if !self.fails() {
            return;
        }
        self.host.counters().aborted.bump();
        if let Some(timeout @ (Timeout::Write | Timeout::WriteRate)) = self.link.pacing.too_slow() {
            self.record_timeout(timeout);
            // Otherwise the system would try for many minutes to send what it has buffered.
            self.link.transport.reset_on_close();
            return;
        }
        self.host.emit(&Event::ConnectionFailed { peer: &self.link.peer, error });
    }

    pub(super) fn record_refusal(&self, refusal: Refusal) {
        self.host.counters().refused.bump();
        self.host.emit(&Event::RequestRefused { peer: &self.link.peer, refusal });
    }

    /// Counts and tells what is wrong with a body that the handler has not read.
    pub(super) fn record_unread(&self, unread: Unread) {
        match unread {
            Unread::Refused(refusal) => self.record_refusal(refusal),
            Unread::TimedOut(timeout) => self.record_timeout(timeout),
            _ => {}
        }
    }

    /// Answers a request that is not served; the connection has to end.
    #[cold]
    pub(super) fn refuse(&self, refusal: Refusal, is_head: bool) -> io::Result<()> {
        self.record_refusal(refusal);
        let text = format!("{}\n", refusal.kind.text());
        let response = (refusal.kind.status(), text).into_response();
        let method = if is_head { Method::HEAD } else { Method::GET };
        self.respond(&Head { method, minor: 1, ..Head::default() }, &response, false)?;
        self.log_unless_in_flight();
        self.link.flush()
    }

    /// The same for a request that a handler has had.
    #[cold]
    pub(super) fn refuse_and_settle(
        &self,
        request: &Request,
        refusal: Refusal,
    ) -> io::Result<Option<End>> {
        self.refuse(refusal, request.method() == Method::HEAD)?;
        Ok(Some(End::Linger))
    }

    /// Answers a request that did not come in time; the connection has to end.
    #[cold]
    pub(super) fn refuse_late(&self, timeout: Timeout) -> io::Result<()> {
        self.record_timeout(timeout);
        let response = (StatusCode::REQUEST_TIMEOUT, format!("{timeout}\n")).into_response();
        self.respond(&Head { minor: 1, ..Head::default() }, &response, false)?;
        self.log_unless_in_flight();
        self.link.flush()
    }

    /// The same for a request that a handler has had.
    #[cold]
    pub(super) fn refuse_late_and_settle(
        &self,
        request: &Request,
        timeout: Timeout,
    ) -> io::Result<Option<End>> {
        self.record_timeout(timeout);
        let response = (StatusCode::REQUEST_TIMEOUT, format!("{timeout}\n")).into_response();
        self.respond(&request.buffers.head, &response, false)?;
        self.link.flush()?;
        Ok(Some(End::Linger))
    }

    #[cold]
    pub(super) fn record_timeout(&self, timeout: Timeout) {
        self.host.counters().timeouts(timeout).bump();
        self.host.emit(&Event::TimedOut { peer: &self.link.peer, timeout });
    }

    /// Counts and tells why a connection at rest is closed, if that has a reason of its own.
    #[cold]
    pub(super) fn record_idle_end(&self) {
        match self.link.idle_end() {
            None => {}
            Some(IdleEnd::Expired) => {
                self.record_timeout(if self.link.is_new() { Timeout::Head } else { Timeout::Idle });
            }
            Some(IdleEnd::Evicted) => {
                self.host.counters().evicted.bump();
                self.host.emit(&Event::ConnectionEvicted { peer: &self.link.peer });
            }
        }
    }

    /// The response for a cancelled handler; an error if the client has disconnected.
    #[cold]
    pub(super) fn expired(&self) -> io::Result<Response> {
        self.host.counters().cancelled.bump();
        self.host.emit(&Event::HandlerCancelled { peer: &self.link.peer });
        if self.link.pacing.is_client_gone() {
            let message = "the client went away before it was answered";
            return Err(io::Error::new(ErrorKind::ConnectionAborted, message));
        }
        self.record_timeout(Timeout::Handler);
        let text = format!("{}\n", Timeout::Handler);
        Ok((StatusCode::GATEWAY_TIMEOUT, text).into_response())
    }

    /// What the client gets when too many requests are in flight, or take too much memory.
    #[cold]
    pub(super) fn refused_for_load(&self) -> Response {
        if self.host.memory.is_short() {
            self.host.record_short_of_memory(&self.link.peer);
        } else {
            self.host.counters().overloaded.bump();
            self.host.emit(&Event::Overloaded { peer: &self.link.peer });
        }
        let seconds = self.host.capacity.retry_seconds();
        StatusCode::SERVICE_UNAVAILABLE.into_response().header(header::RETRY_AFTER, seconds)
    }

    /// A handler returned what it may not, and the client gets something else.
    #[cold]
    pub(super) fn record_misuse(&self, request: &Request, message: &'static str) {
        self.record_failed_response(request, &io::Error::other(message));
    }

    #[cold]
    pub(super) fn panicked(&self, request: &Request, payload: Box<dyn Any + Send>) -> Response {
        self.record_panic(request.method(), request.target(), payload);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }

    pub(super) fn record_panic(&self, method: &Method, target: &str, payload: Box<dyn Any + Send>) {
        if is_cancel(&*payload) {
            resume_unwind(payload);
        }
        self.host.counters().panicked.bump();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("(no message)");
        let (peer, place) = (&self.link.peer, take_place());
        let place = place.as_deref();
        self.host.emit(&Event::HandlerPanicked { peer, method, target, message, place });
    }

    /// A handler could not complete its response.
    pub(super) fn record_failed_response(&self, request: &Request, error: &io::Error) {
        self.host.counters().failed_responses.bump();
        let (peer, method, target) = (&self.link.peer, request.method(), request.target());
        self.host.emit(&Event::ResponseFailed { peer, method, target, error });
    }
}
