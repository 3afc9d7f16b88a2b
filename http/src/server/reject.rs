//! Answers clients for which there is no room, and closes their connections with care.
//!
//! A close of a socket with unread bytes resets the connection, and then the client may never see
//! the answer. So a fiber reads until the client ends the connection, for up to a second. That
//! takes a stack, so the number of such fibers is bounded: beyond the bound a client gets the
//! answer, and its connection is closed at once.

use std::cell::Cell;
use std::rc::Rc;

use http::{StatusCode, header};
use straightline_net::Transport;
use straightline_sched as sched;

use crate::config::Capacity;
use crate::conn::{ErrorContext, ErrorResponder, own_error_response};
use crate::message::Response;
use crate::telemetry::Outcome;
use crate::wire::linger;

/// A shard's answer to rejected clients.
pub(super) struct Rejections {
    /// The whole response.
    response: Vec<u8>,
    /// How many rejected clients have a fiber that waits for their close.
    lingering: Rc<Cell<usize>>,
}

impl Rejections {
    pub(super) fn new(response: Vec<u8>) -> Self {
        Self { response, lingering: Rc::default() }
    }

    /// Answers a client, and closes its connection.
    pub(super) fn send(&self, stream: Box<dyn Transport>) {
        // The send buffer of a new socket has room for this.
        let is_sent = stream.try_write(&self.response).is_ok();
        if !is_sent || self.lingering.get() >= LINGERING_MAX {
            // A client that has sent something may see a reset before the answer.
            return;
        }
        let one = Lingering::new(&self.lingering);
        // If there is no stack for the fiber, the connection is closed at once.
        let _ = sched::FiberBuilder::new().name("rejected client").spawn(move || {
            let _one = one;
            linger(&*stream);
        });
    }
}

/// The whole response for a client that is rejected. (A 5xx needs no date: RFC 9110 section 6.6.1.)
pub(super) fn rejection(capacity: &Capacity, errors: Option<&ErrorResponder>) -> Vec<u8> {
    let (status, text) = (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    let response = Response::error(status, format!("{text}\n"), None)
        .header(header::RETRY_AFTER, capacity.retry_seconds());
    let context = ErrorContext::new(status, text, None, Outcome::Overloaded);
    let own = errors.and_then(|errors| own_error_response(errors, &context, &response));
    // The send buffer of a new socket has room for so much.
    let own = own.filter(|own| own.body().bytes().len() <= BODY_BYTES_MAX);
    let response = own.unwrap_or(response);
    let body = response.body().bytes();
    let mut bytes = format!("HTTP/1.1 503 {text}\r\n").into_bytes();
    for (name, value) in response.headers() {
        bytes.extend_from_slice(&[name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    let last = format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    bytes.extend_from_slice(&[last.as_bytes(), body].concat());
    bytes
}

/// Counts one rejected client until this is dropped.
struct Lingering(Rc<Cell<usize>>);

impl Lingering {
    fn new(all: &Rc<Cell<usize>>) -> Self {
        all.set(all.get() + 1);
        Self(Rc::clone(all))
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// How large the program's own body may be. Arbitrary: a page of text.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// How many rejected clients of a shard may have a fiber at a time. Arbitrary: that many stacks are
/// no burden, and under a flood the other connections are closed at once.
const LINGERING_MAX: usize = 128;
