//! Any error of a handler, as a response.

use std::error::Error;
use std::fmt;
use std::io;

use super::into_response::IntoResponse;
use super::problem::Problem;
use super::response::Response;
use super::response_body::Cause;
use crate::body_error::BodyError;

/// Any error that ends a handler, so that `?` works: the client gets a 500 that says nothing about
/// the error, and [`Event::ResponseFailed`](crate::Event::ResponseFailed) reports it.
///
/// A [`BodyError`], also inside of an `std::io` error, keeps its own status, because it is the
/// client's fault, and a [`Problem`] keeps its response. For other statuses convert a
/// [`Response`](crate::Response).
///
/// ```
/// use straightline::{HandlerError, IntoResponse, Request, StatusCode, fs};
///
/// fn total(request: &mut Request) -> Result<String, HandlerError> {
///     if request.path() != "/total" {
///         return Err(StatusCode::NOT_FOUND.into_response().into());
///     }
///     let mut total = 0;
///     for line in fs::read_to_string("/var/lib/shop/totals")?.lines() {
///         total += line.parse::<u64>()?;
///     }
///     Ok(format!("{total}\n"))
/// }
///
/// let mut request = Request::builder().target("/total").build()?;
/// let response = total(&mut request).into_response();
/// assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
pub struct HandlerError(Kind);

enum Kind {
    Error(Cause),
    Response(Box<Response>),
}

impl<E: Error + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self(Kind::Error(Box::new(error)))
    }
}

impl From<Response> for HandlerError {
    fn from(response: Response) -> Self {
        Self(Kind::Response(Box::new(response)))
    }
}

impl IntoResponse for HandlerError {
    fn into_response(self) -> Response {
        let cause = match self.0 {
            Kind::Response(response) => return *response,
            Kind::Error(cause) => cause,
        };
        let cause = match cause.downcast::<Problem>() {
            Ok(problem) => return problem.into_response(),
            Err(cause) => cause,
        };
        let of_body = cause.downcast_ref::<BodyError>().copied();
        let of_body = of_body.or_else(|| BodyError::of(cause.downcast_ref::<io::Error>()?));
        match of_body {
            Some(error) => error.into_response(),
            None => Response::failed(cause),
        }
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Error(cause) => f.debug_tuple("HandlerError").field(cause).finish(),
            Kind::Response(response) => f.debug_tuple("HandlerError").field(response).finish(),
        }
    }
}
