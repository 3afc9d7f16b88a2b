//! Header fields that tell browsers to be careful.

use std::fmt;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::conn::Next;
use crate::message::{Request, Response, checked, expect_valid};

/// Header fields that are on each response, unless the handler has set them itself.
///
/// | field | value | against |
/// |---|---|---|
/// | `X-Content-Type-Options` | `nosniff` | text that is taken for a script |
/// | `X-Frame-Options` | `DENY` | clicks on a page that is hidden in another page |
/// | `Referrer-Policy` | `strict-origin-when-cross-origin` | paths that other sites see |
/// | `Cross-Origin-Opener-Policy` | `same-origin` | a page that opens this one and looks into it |
///
/// There is no `Content-Security-Policy` by default, since it depends on the pages: add it by
/// [`with`](Self::with). `Strict-Transport-Security` belongs to
/// [`https::hsts`](crate::https::hsts).
///
/// ```
/// use straightline::testing::Client;
/// use straightline::web::middleware::SecurityHeaders;
/// use straightline::{IntoResponse, Request, Response};
///
/// fn page(request: &mut Request) -> Response {
///     match request.path() {
///         "/embedded" => "hi\n".into_response().header("x-frame-options", "SAMEORIGIN"),
///         _ => "hi\n".into_response(),
///     }
/// }
///
/// let headers = || {
///     SecurityHeaders::new().with("content-security-policy", "default-src 'self'").middleware()
/// };
/// let client = Client::with_settings(page, move |server| server.wrap(headers()));
/// let response = client.get("/").send();
/// response.assert_header("x-content-type-options", "nosniff");
/// response.assert_header("content-security-policy", "default-src 'self'");
/// client.get("/embedded").send().assert_header("x-frame-options", "SAMEORIGIN");
/// ```
#[derive(Clone, Debug)]
#[must_use = "`middleware` makes the function to wrap with"]
pub struct SecurityHeaders {
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl SecurityHeaders {
    /// The fields of the table above.
    pub fn new() -> Self {
        let field =
            |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Self { fields: DEFAULTS.map(field).to_vec() }
    }

    /// Adds a field, or replaces its value.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid, or the server writes the field itself.
    #[track_caller]
    pub fn with<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        let (name, value) = expect_valid(checked(name, value));
        // A field that the server writes itself is a mistake now, and not in each response.
        expect_valid(Response::new(StatusCode::OK).try_set_header(&name, &value));
        let mut all = self.without(&name);
        all.fields.push((name, value));
        all
    }

    /// Leaves a field out.
    pub fn without(mut self, name: impl AsRef<str>) -> Self {
        self.fields.retain(|(other, _)| !other.as_str().eq_ignore_ascii_case(name.as_ref()));
        self
    }

    /// The function to wrap a server, a router or a route with.
    pub fn middleware(self) -> impl Fn(&mut Request, Next<'_>) -> Response + Send + Sync + 'static {
        move |request, next| {
            let mut response = next.run(request);
            for (name, value) in &self.fields {
                if !response.headers().contains(name) {
                    response.set_header(name, value);
                }
            }
            response
        }
    }
}

impl Default for SecurityHeaders {
    fn default() -> Self {
        Self::new()
    }
}

const DEFAULTS: [(&str, &str); 4] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "strict-origin-when-cross-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];
