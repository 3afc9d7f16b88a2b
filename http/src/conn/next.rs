//! Wrappers: functions around the handler, which see its panics and its timeouts as the responses
//! that they become.
//!
//! The handler has the handler's timeout for itself, and the wrappers together have as much beyond
//! it: when the handler is cancelled, its wrappers go on with the response that replaces its own.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use straightline_sched::DeadlineExceeded;

use super::handler_faults::{cancelled_response, panic_response};
use crate::message::{Request, Response};

/// The handler of a shard.
pub(crate) type ShardHandler = dyn Fn(&mut Request) -> Response;

/// A function around the handler.
pub(crate) type Wrapper = dyn Fn(&mut Request, Next<'_>) -> Response + Send + Sync;

/// What a wrapper ([`ServerBuilder::wrap`](crate::ServerBuilder::wrap)) calls: the other wrappers
/// and the handler.
///
/// ```
/// use straightline::{Next, Request, Response};
///
/// fn with_frame_options(request: &mut Request, next: Next<'_>) -> Response {
///     next.run(request).header("x-frame-options", "DENY")
/// }
///
/// let handler = |_: &mut Request| Response::new(straightline::StatusCode::OK);
/// let response = with_frame_options(&mut Request::builder().build()?, Next::new(&handler));
/// assert!(response.headers().contains("x-frame-options"));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone, Copy)]
pub struct Next<'n> {
    wrappers: &'n [Arc<Wrapper>],
    handler: &'n (dyn Fn(&mut Request) -> Response + 'n),
    /// The caller is inside of the handler's time, and a panic passes through it. Then there are no
    /// wrappers.
    is_inside: bool,
}

impl<'n> Next<'n> {
    /// For a test of a wrapper, and for wrappers around a part of the handlers: calls that handler.
    pub fn new(handler: &'n dyn Fn(&mut Request) -> Response) -> Self {
        Self { wrappers: &[], handler, is_inside: false }
    }

    pub(super) fn outermost(wrappers: &'n [Arc<Wrapper>], handler: &'n ShardHandler) -> Self {
        Self { wrappers, handler, is_inside: false }
    }

    /// For a wrapper that a handler calls: it shares the handler's time, and a panic passes through
    /// it.
    #[cfg(feature = "router")]
    #[inline]
    pub(crate) fn inside(handler: &'n dyn Fn(&mut Request) -> Response) -> Self {
        Self { wrappers: &[], handler, is_inside: true }
    }

    /// Runs the rest, and returns its response: a 500 if it panicked, a 504 if the handler's time
    /// was over, a 499 if the client is gone and the handler was cancelled for that. The event is
    /// reported by then. A wrapper may call this several times, or not at all.
    ///
    /// A wrapper returns before the response is sent. So the client may get another response than
    /// the wrapper has seen:
    ///
    /// | what happens | the wrapper sees | the client gets |
    /// |---|---|---|
    /// | a stream fails, and nothing of it was sent | its status | 500, or that of a `BodyError` |
    /// | a stream is late, and nothing of it was sent | its status | 504 |
    /// | a stream fails or is late after that | its status | its status, and not all of its body |
    /// | the request's body is refused or too slow (1) | the handler's status | 400, 413 or 408 |
    /// | the client has not asked for the upgrade | 101 | 426 |
    /// | an interim status or a tunnel that may not be sent | that status | 500 or 501 |
    /// | the handler is cancelled as its client is gone | 499 | nothing |
    /// | the wrappers' time is over | nothing: it unwinds | 504 |
    ///
    /// (1) and the handler has not returned that error.
    ///
    /// Except in the last case, fields that wrappers have added are also on the response that
    /// replaces the handler's, unless they are about the body (`Content-*`, `Cache-Control`, `ETag`
    /// and the like). [`Event::RequestFinished`](crate::Event::RequestFinished) has the last word:
    /// the status that is sent, and how the request ended. Write logs and statistics from there.
    ///
    /// # Blocking
    ///
    /// A yield point if the handler is one.
    ///
    /// # Cancellation
    ///
    /// A cancel of the fiber, at the end of a drain, passes through.
    #[inline]
    pub fn run(self, request: &mut Request) -> Response {
        if self.is_inside { (self.handler)(request) } else { self.run_outside(request) }
    }

    fn run_outside(self, request: &mut Request) -> Response {
        let Some((first, rest)) = self.wrappers.split_first() else {
            return run_handler(request, self.handler);
        };
        let next = Next { wrappers: rest, ..self };
        match catch_unwind(AssertUnwindSafe(|| first(request, next))) {
            Ok(response) => response,
            Err(payload) => panic_response(request, payload),
        }
    }
}

/// Runs the handler within its time, behind wrappers.
fn run_handler(request: &mut Request, handler: &dyn Fn(&mut Request) -> Response) -> Response {
    if request.link().is_detached() {
        return handler(request);
    }
    let link = request.link().clone();
    let outcome = catch_unwind(AssertUnwindSafe(|| link.pacing.hold(|| handler(request))));
    let response = match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(DeadlineExceeded)) => cancelled_response(&link),
        Err(payload) => panic_response(request, payload),
    };
    // Without wrappers of the server, a handler has called another one: all fields are its own.
    if link.host.has_wrappers() {
        link.wrapper_fields.begin_wrappers(&response.head().fields);
    }
    response
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("wrappers", &self.wrappers.len()).finish_non_exhaustive()
    }
}
