//! What a connection calls for each request: the handler, the wrappers around it, and the program's
//! error responses.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use super::next::{Next, ShardHandler, Wrapper};
use crate::message::Request;
use crate::message::Response;
use crate::telemetry::Outcome;

/// Makes the response for an error.
pub(crate) type ErrorResponder = dyn Fn(&ErrorContext<'_>) -> Response + Send + Sync;

/// What serves the requests of a shard.
pub(crate) struct Service {
    handler: Box<ShardHandler>,
    around: Around,
    /// There are wrappers.
    is_wrapped: bool,
}

/// What the shards of a server share around their handlers.
#[derive(Clone, Default)]
pub(crate) struct Around {
    /// The outermost first.
    pub(crate) wrappers: Arc<Vec<Box<Wrapper>>>,
    pub(crate) errors: Option<Arc<ErrorResponder>>,
}

/// An error response that the server is about to send: of its own, or of a handler that returned
/// only a status or an error.
///
/// ```
/// use straightline::{ErrorContext, Request, Response, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").error_responses(|error: &ErrorContext<'_>| {
///     let body = format!("{{\"status\":{}}}", error.status().as_u16());
///     Response::new(error.status()).content_type("application/json").with_body(body)
/// });
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
pub struct ErrorContext<'e> {
    status: StatusCode,
    message: &'e str,
    request: Option<&'e Request>,
    outcome: Outcome,
}

impl Service {
    pub(crate) fn new(handler: Box<ShardHandler>, around: Around) -> Self {
        let is_wrapped = !around.wrappers.is_empty();
        Self { handler, around, is_wrapped }
    }

    /// Whether there are wrappers, which [`run_wrapped`](Self::run_wrapped) calls.
    #[inline]
    pub(super) fn is_wrapped(&self) -> bool {
        self.is_wrapped
    }

    /// Calls the handler alone.
    #[inline]
    pub(super) fn run(&self, request: &mut Request) -> Response {
        (self.handler)(request)
    }

    pub(super) fn run_wrapped(&self, request: &mut Request) -> Response {
        Next::outermost(&self.around.wrappers, &*self.handler).run(request)
    }

    pub(super) fn error_responder(&self) -> Option<&ErrorResponder> {
        self.around.errors.as_deref()
    }
}

impl<'e> ErrorContext<'e> {
    pub(crate) fn new(
        status: StatusCode,
        message: &'e str,
        request: Option<&'e Request>,
        outcome: Outcome,
    ) -> Self {
        Self { status, message, request, outcome }
    }

    /// The status of the response, which is sent in any case.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What the client would be told: a line of text, without its line end.
    pub fn message(&self) -> &'e str {
        self.message
    }

    /// What is wrong, as far as the server knows: [`Outcome::Answered`] if the handler chose the
    /// status.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The request; `None` if its head was malformed or did not arrive, or if the client was
    /// rejected before it could send one.
    pub fn request(&self) -> Option<&'e Request> {
        self.request
    }
}

impl fmt::Debug for ErrorContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorContext")
            .field("status", &self.status)
            .field("message", &self.message)
            .field("request", &self.request)
            .finish()
    }
}
