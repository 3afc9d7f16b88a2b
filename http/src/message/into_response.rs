//! What a handler may return.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::io;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::invalid_header::InvalidHeader;
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
/// | `([(name, value), ..], R)` | the response of `R` with those header fields (1) |
/// | `(StatusCode, [(name, value), ..], R)` | with both |
/// | `Option<R>` | the response of `R`, or 404 |
/// | `Result<R, E>` | the response of `R` or `E` |
/// | [`Problem`](crate::Problem) | its status, with problem details |
/// | [`BodyError`] | the status that its variants document |
/// | `std::io::Error`, [`HandlerError`](crate::HandlerError) | 500, and the error is reported |
/// | `()` | 200 with no body |
///
/// [`web`](crate::web) has more: JSON, HTML, redirects, cookies.
///
/// (1) They replace those of `R` with the same names. A name or a value that is not valid makes the
/// response a 500, and the error is reported: a value may come from a client, so there is no panic.
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
///
/// fn script(_: &mut Request) -> impl IntoResponse {
///     let fields = [("content-type", "text/javascript"), ("cache-control", "max-age=60")];
///     (fields, "alert('hello');\n")
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler may not return `{Self}`: it is not a response",
    label = "not a response",
    note = "a handler returns a `Response`, text, bytes, a `StatusCode`, a pair of a `StatusCode` \
            or of header fields and one of these, an `Option` of one, or a `Result` of two",
    note = "a handler is a plain function and not an `async fn`: it waits by calling functions \
            that wait; `sched::block_on` runs a future",
    note = "for `?` on any error, return `Result<_, straightline::HandlerError>`"
)]
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;

    /// The response of what `call` returns. A `Response` is not moved on the way: twelve
    /// instructions for each function that passes one through, measured.
    #[doc(hidden)]
    #[inline]
    fn response_of(call: impl FnOnce() -> Self) -> Response
    where
        Self: Sized,
    {
        call().into_response()
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }

    #[inline]
    fn response_of(call: impl FnOnce() -> Self) -> Response {
        call()
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

impl IntoResponse for Box<str> {
    fn into_response(self) -> Response {
        Response::of(String::from(self))
    }
}

impl IntoResponse for Cow<'static, str> {
    fn into_response(self) -> Response {
        match self {
            Cow::Borrowed(text) => Response::of(text),
            Cow::Owned(text) => Response::of(text),
        }
    }
}

impl IntoResponse for Cow<'static, [u8]> {
    fn into_response(self) -> Response {
        match self {
            Cow::Borrowed(bytes) => Response::of(bytes),
            Cow::Owned(bytes) => Response::of(bytes),
        }
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
    /// The response with that status. One that has failed, such as JSON that could not be made,
    /// does not become a success by it, and stays a 500.
    fn into_response(self) -> Response {
        let (status, response) = (self.0, self.1.into_response());
        if is_failed_success(status, &response) { response } else { response.with_status(status) }
    }
}

impl<N, V, R, const COUNT: usize> IntoResponse for ([(N, V); COUNT], R)
where
    N: TryInto<HeaderName>,
    N::Error: fmt::Display,
    V: TryInto<HeaderValue>,
    V::Error: fmt::Display,
    R: IntoResponse,
{
    fn into_response(self) -> Response {
        with_fields(self.1.into_response(), self.0).unwrap_or_else(|error| {
            // The value may be from the client, so this is no panic.
            Response::failed(Box::new(error))
        })
    }
}

impl<N, V, R, const COUNT: usize> IntoResponse for (StatusCode, [(N, V); COUNT], R)
where
    N: TryInto<HeaderName>,
    N::Error: fmt::Display,
    V: TryInto<HeaderValue>,
    V::Error: fmt::Display,
    R: IntoResponse,
{
    fn into_response(self) -> Response {
        let (status, fields, response) = self;
        let response = response.into_response();
        if is_failed_success(status, &response) {
            return response;
        }
        with_fields(response.with_status(status), fields)
            .unwrap_or_else(|error| Response::failed(Box::new(error)))
    }
}

/// Whether a handler wants to report a success by a response that could not be made.
fn is_failed_success(status: StatusCode, response: &Response) -> bool {
    let has_failed = response.body().error_text().is_some_and(|error| error.cause.is_some());
    has_failed && !(status.is_client_error() || status.is_server_error())
}

/// The response with these fields, in place of all that it has of their names.
fn with_fields<N, V>(
    mut response: Response,
    fields: impl IntoIterator<Item = (N, V)>,
) -> Result<Response, InvalidHeader>
where
    N: TryInto<HeaderName>,
    N::Error: fmt::Display,
    V: TryInto<HeaderValue>,
    V::Error: fmt::Display,
{
    let mut made = Response::new(StatusCode::OK);
    for (name, value) in fields {
        made.try_append_header(name, value)?;
    }
    let fields = made.into_head().fields;
    fields.iter().for_each(|(name, _)| response.remove_header(name));
    fields.into_iter().for_each(|(name, value)| response.append_header(name, value));
    Ok(response)
}

impl IntoResponse for () {
    /// 200 with no body. A 204 is a [`StatusCode`].
    fn into_response(self) -> Response {
        Response::new(StatusCode::OK)
    }
}

impl IntoResponse for Infallible {
    /// There is no such value.
    fn into_response(self) -> Response {
        match self {}
    }
}

impl<R: IntoResponse> IntoResponse for Option<R> {
    /// The response, or a 404.
    fn into_response(self) -> Response {
        self.map_or_else(|| StatusCode::NOT_FOUND.into_response(), R::into_response)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_beside_a_response_replace_its_own() {
        let fields = [("content-type", "text/css"), ("x-a", "1"), ("x-a", "2")];
        let response = (StatusCode::CREATED, fields, (fields, "b {}\n")).into_response();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert_eq!(response.headers().content_type(), Some("text/css"));
        assert_eq!(response.headers().len(), 3);
        assert_eq!(response.headers().all("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
    }

    #[test]
    fn header_fields_that_are_not_valid_make_a_500_and_no_header() {
        let hostile = [
            ("location", "/\r\nset-cookie: a=b"),
            ("location", "/\0"),
            ("a b", "c"),
            ("", "c"),
            ("a\r\nb", "c"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
        ];
        for field in hostile {
            let pair = [field].map(|(name, value)| (name.to_owned(), value.to_owned()));
            for response in [
                (pair.clone(), "text").into_response(),
                (StatusCode::OK, pair, "text").into_response(),
            ] {
                assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR, "{field:?}");
                assert!(response.headers().iter().all(|(name, _)| name == "content-type"));
                assert_eq!(response.body().as_bytes(), Some(&b"Internal Server Error\n"[..]));
            }
        }
    }

    #[test]
    fn the_obvious_types_are_responses() {
        let shape = |response: Response| {
            let body = response.body().as_bytes().unwrap_or_default().to_vec();
            (response.status().as_u16(), String::from_utf8(body).unwrap_or_default())
        };
        let text = |status, body: &str| (status, body.to_owned());
        assert_eq!(shape(().into_response()), text(200, ""));
        assert_eq!(shape(Some("a").into_response()), text(200, "a"));
        assert_eq!(shape(None::<&str>.into_response()), text(404, "Not Found\n"));
        assert_eq!(shape(Box::<str>::from("a").into_response()), text(200, "a"));
        assert_eq!(shape(Cow::Borrowed("a").into_response()), text(200, "a"));
        let result: Result<Option<&str>, Infallible> = Ok(None);
        assert_eq!(shape(result.into_response()), text(404, "Not Found\n"));
    }
}
