//! What goes wrong in a handler: the response that takes the place of the handler's, the counter
//! that records the fault, and the event that is emitted.

use std::any::Any;
use std::error::Error;
use std::io;
use std::panic::resume_unwind;

use http::{Method, StatusCode};
use straightline_sched::is_cancel;

use crate::config::Timeout;
use crate::message::{Request, Response};
use crate::telemetry::{Event, Outcome, contain, message_of, take_place};
use crate::wire::Link;

#[cold]
pub(super) fn record_timeout(link: &Link, timeout: Timeout) {
    link.exchange.set_outcome(Outcome::TimedOut(timeout));
    link.host.counters().timeouts(timeout).bump();
    link.host.emit(&Event::TimedOut { peer: link.peer(), timeout });
}

/// Records that a handler was cancelled, and returns the response: a 499 if the client has
/// disconnected.
#[cold]
pub(super) fn cancelled_response(link: &Link) -> Response {
    link.host.counters().cancelled.bump();
    link.host.emit(&Event::HandlerCancelled { peer: link.peer() });
    if link.pacing.is_client_gone() {
        link.exchange.set_outcome(Outcome::Disconnected);
        return Response::new(client_closed_request());
    }
    record_timeout(link, Timeout::Handler);
    Response::error(StatusCode::GATEWAY_TIMEOUT, format!("{}\n", Timeout::Handler), None)
}

/// The status for a request whose client is gone, as nginx has it. No client gets it.
pub(super) fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT)
}

/// Records that a handler returned a response that it must not return. The client gets another one.
#[cold]
pub(super) fn record_misuse(request: &Request, message: &'static str) {
    record_failed_response(request, &io::Error::other(message));
}

/// Records that a handler could not complete its response, or returned an error.
pub(super) fn record_failed_response(request: &Request, error: &(dyn Error + 'static)) {
    let link = request.link();
    link.exchange.set_outcome(Outcome::Failed);
    link.host.counters().failed_responses.bump();
    let (peer, method, target) = (link.peer(), request.method(), request.target());
    link.host.emit(&Event::ResponseFailed { peer, method, target, error });
}

/// Records a handler's panic, and returns the response. A cancel of the fiber is not a panic: it
/// continues to unwind.
#[cold]
pub(super) fn panic_response(request: &Request, payload: Box<dyn Any + Send>) -> Response {
    record_panic(request.link(), request.method(), request.target(), payload);
    let text = "Internal Server Error\n".to_owned();
    Response::error(StatusCode::INTERNAL_SERVER_ERROR, text, None)
}

/// As [`panic_response`], where no response can be sent.
pub(super) fn record_panic(
    link: &Link,
    method: &Method,
    target: &str,
    payload: Box<dyn Any + Send>,
) {
    if is_cancel(&*payload) {
        resume_unwind(payload);
    }
    link.exchange.set_outcome(Outcome::Panicked);
    link.host.counters().panicked.bump();
    let (peer, message, place) = (link.peer(), message_of(&*payload), take_place());
    let place = place.as_deref();
    link.host.record_panic(&Event::HandlerPanicked { peer, method, target, message, place });
    // The destructor of what a program panics with is code of the program too.
    contain(|| link.pacing.hold(|| drop(payload)));
}
