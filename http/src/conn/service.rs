//! What a connection calls for each request: the handler, the wrappers around it, and the program's
//! error responses.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;

use super::next::{Next, ShardHandler, Wrapper};
use crate::message::{Problem, Request, Response};
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
    pub(crate) wrappers: Arc<Vec<Arc<Wrapper>>>,
    pub(crate) errors: Option<Arc<ErrorResponder>>,
}

/// An error response (4xx or 5xx) that the server is about to send: of its own, or of a handler
/// that returned only a status or an error. The function of
/// [`ServerBuilder::error_responses`](crate::ServerBuilder::error_responses) gets it.
///
/// A response of [`Response::new`], such as `Response::new(StatusCode::NOT_FOUND)`, and a status
/// with a body, such as `(StatusCode::NOT_FOUND, "no such note\n")`, are sent as they are.
///
/// The status stays, and so does the connection: [`Response::close`] has no effect here. The fields
/// of the response that is replaced (`Retry-After`, those of wrappers) are added, unless the
/// function has set a field of the same name. The function runs after the wrappers, which see the
/// line of text as the body.
///
/// The function is also called once when the server is built, for the 503 of clients that are
/// rejected because there are too many connections. That response is prepared once for all of them,
/// so it must hold nothing that belongs to one request, such as an id; a body of more than 16 KiB
/// is not taken for it. Then the [request](Self::request) is `None` and the
/// [outcome](Self::outcome) is [`Outcome::Overloaded`].
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

    /// The error as [problem details](Problem). With it the error responses of a program are of
    /// one form:
    ///
    /// ```
    /// use straightline::{ErrorContext, Request, Server};
    ///
    /// Server::builder()
    ///     .bind("127.0.0.1:0")
    ///     .error_responses(|error: &ErrorContext<'_>| error.to_problem())
    ///     .build(|_: &mut Request| "hi\n")?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn to_problem(&self) -> Problem {
        let problem = Problem::new(self.status);
        let reason = self.status.canonical_reason().unwrap_or_default();
        if self.message.eq_ignore_ascii_case(reason) {
            return problem;
        }
        problem.with_detail(self.message.to_owned())
    }

    /// Why there is an error, as far as the server knows: [`Outcome::Answered`] if the handler or a
    /// wrapper chose the status.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The request. `None` if its head was refused or did not arrive, or if the client was rejected
    /// before it could send one. A head is refused as a whole, also if its request line is fine:
    /// for an announced body that is too long, for an unknown expectation, for an unknown transfer
    /// coding.
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
