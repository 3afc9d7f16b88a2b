//! HTML as a response.

use crate::message::{IntoResponse, Response, ResponseBody};

/// A response in HTML: 200 and `text/html; charset=utf-8`.
///
/// The text is sent as it is. What comes from a client has to be escaped in it, which template
/// libraries do.
///
/// ```
/// use straightline::web::Html;
/// use straightline::{IntoResponse, Request};
///
/// fn index(_: &mut Request) -> Html<&'static str> {
///     Html("<!doctype html>\n<title>Hello</title>\n<p>Hello, World!\n")
/// }
///
/// let response = index(&mut Request::builder().build()?).into_response();
/// assert_eq!(response.headers().content_type(), Some("text/html; charset=utf-8"));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Html<T>(pub T);

impl<T: Into<ResponseBody>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        self.0.into().into_response().content_type("text/html; charset=utf-8")
    }
}
