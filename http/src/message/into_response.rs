//! What a handler may return.

use std::io;

use bytes::Bytes;
use http::{StatusCode, header};

use super::response::Response;
use super::response_body::ResponseBody;
use crate::body_error::BodyError;
use crate::proto::has_no_body;

/// The types that a handler may return.
///
/// | type | response |
/// |---|---|
/// | [`Response`] | itself |
/// | text, bytes, [`ResponseBody`] | 200 with that body |
/// | [`StatusCode`] | that status, with its reason as the body |
/// | `(StatusCode, R)` | the response of `R` with that status |
/// | `Result<R, E>` | the response of `R` or `E` |
/// | [`BodyError`] | the status that its variants document |
/// | `std::io::Error`, [`HandlerError`](crate::HandlerError) | 500, and the error is reported |
///
/// ```
/// use straightline::{IntoResponse, Request, StatusCode};
///
/// fn double(request: &mut Request) -> Result<String, impl IntoResponse> {
///     let number = request.query().and_then(|query| query.parse::<u32>().ok());
///     match number {
///         Some(number) => Ok(format!("{}\n", u64::from(number) * 2)),
///         None => Err((StatusCode::BAD_REQUEST, "a number, please\n")),
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler may not return `{Self}`: it is not a response",
    label = "not a response",
    note = "a handler returns a `Response`, text, bytes, a `StatusCode`, a pair of a `StatusCode` \
            and one of these, or a `Result` of two of these",
    note = "a handler is a plain function and not an `async fn`: it waits by calling functions \
            that wait; `sched::block_on` runs a future",
    note = "for `?` on any error, return `Result<_, straightline::HandlerError>`"
)]
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::of(self)
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::of(self)
    }
}

impl IntoResponse for &'static [u8] {
    fn into_response(self) -> Response {
        Response::of(self)
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::of(self)
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        Response::of(self)
    }
}

impl<const N: usize> IntoResponse for &'static [u8; N] {
    fn into_response(self) -> Response {
        Response::of(self)
    }
}

impl IntoResponse for ResponseBody {
    fn into_response(self) -> Response {
        Response::of(self)
    }
}

impl IntoResponse for StatusCode {
    /// The status, and its reason as one line of text where a body is allowed.
    fn into_response(self) -> Response {
        match self.canonical_reason() {
            Some(reason) if !(self.is_informational() || has_no_body(self)) => {
                let text = format!("{reason}\n");
                if self.is_client_error() || self.is_server_error() {
                    return Response::error(self, text, None);
                }
                Response::of(text).with_status(self)
            }
            _ => Response::new(self),
        }
    }
}

impl<R: IntoResponse> IntoResponse for (StatusCode, R) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl<R: IntoResponse, E: IntoResponse> IntoResponse for Result<R, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(response) => response.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        let response = Response::error(self.status(), format!("{self}\n"), None);
        match self {
            // There will be memory when other requests are done.
            Self::NoMemory => response.header(header::RETRY_AFTER, "1"),
            _ => response,
        }
    }
}

impl IntoResponse for io::Error {
    /// A [`BodyError`] keeps its status. Any other error is a 500 that says nothing about it, and
    /// [`Event::ResponseFailed`](crate::Event::ResponseFailed) reports it.
    fn into_response(self) -> Response {
        match BodyError::of(&self) {
            Some(error) => error.into_response(),
            None => Response::failed(self.into()),
        }
    }
}
