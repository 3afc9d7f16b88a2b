//! What a handler returns.

use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

/// A response: status, header fields and a body of known length.
///
/// Text gets `Content-Type: text/plain; charset=utf-8` and bytes `application/octet-stream`, unless
/// the handler names another. `Date` and `Content-Length` come with every response by themselves.
///
/// ```
/// use straightline::{IntoResponse, Response, StatusCode, header};
///
/// fn created(id: u32) -> impl IntoResponse {
///     Response::new(StatusCode::CREATED)
///         .header(header::LOCATION, format!("/things/{id}"))
///         .content_type("application/json")
///         .body(format!("{{\"id\":{id}}}"))
/// }
/// ```
#[derive(Clone)]
pub struct Response {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) fields: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Payload,
    pub(crate) close: bool,
}

/// A body in memory.
#[derive(Clone)]
pub(crate) enum Payload {
    Static(&'static [u8]),
    Owned(Vec<u8>),
    Shared(Bytes),
}

/// What a handler may return.
///
/// Besides [`Response`] itself: text and bytes (200), a [`StatusCode`] (with its reason as the
/// body), a pair of status and anything else here, and a `Result` whose both sides are.
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
pub trait IntoResponse {
    /// The response.
    fn into_response(self) -> Response;
}

impl Response {
    /// An empty response with that status.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            content_type: None,
            fields: Vec::new(),
            body: Payload::Static(b""),
            close: false,
        }
    }

    /// 405 with the `Allow` field that it must have (RFC 9110 section 15.5.6).
    ///
    /// ```
    /// use straightline::{Method, Request, Response};
    ///
    /// fn read_only(request: &mut Request) -> Result<&'static str, Response> {
    ///     match *request.method() {
    ///         Method::GET | Method::HEAD => Ok("here it is\n"),
    ///         _ => Err(Response::method_not_allowed(&[Method::GET, Method::HEAD])),
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Never: a method is a token, and tokens are good header values.
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        StatusCode::METHOD_NOT_ALLOWED.into_response().header(header::ALLOW, names.join(", "))
    }

    /// Replaces the body. Text and bytes bring their content type along if there is none yet.
    pub fn body(mut self, body: impl IntoResponse) -> Self {
        let other = body.into_response();
        self.body = other.body;
        if !self.fields.iter().any(|(name, _)| *name == header::CONTENT_TYPE) {
            self.content_type = self.content_type.or(other.content_type);
        }
        self
    }

    /// Sets the content type.
    ///
    /// # Panics
    ///
    /// If it holds a byte that no header value may hold; that is a bug in the handler, and the
    /// client sees a 500.
    pub fn content_type(mut self, content_type: &'static str) -> Self {
        assert!(
            HeaderValue::from_str(content_type).is_ok(),
            "not a header value: {content_type:?}"
        );
        self.content_type = Some(content_type);
        self
    }

    /// Adds a header field; fields of the same name that were added before stay.
    ///
    /// # Panics
    ///
    /// If the value cannot be a header value (a control byte in it), or the name is one that the
    /// connection writes itself: `Connection` (see [`close`](Self::close)), `Content-Length`,
    /// `Date`, `Transfer-Encoding`. Both are bugs in the handler, and the client sees a 500. For a
    /// value from outside, check with [`HeaderValue::from_str`] first.
    pub fn header<V>(mut self, name: HeaderName, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        let own =
            [header::CONNECTION, header::CONTENT_LENGTH, header::DATE, header::TRANSFER_ENCODING];
        assert!(!own.contains(&name), "the connection writes `{name}` itself");
        if name == header::CONTENT_TYPE {
            self.content_type = None;
        }
        match value.try_into() {
            Ok(value) => self.fields.push((name, value)),
            Err(error) => panic!("not a value for the header field `{name}`: {error}"),
        }
        self
    }

    /// Closes the connection after this response.
    ///
    /// ```
    /// use straightline::{IntoResponse, StatusCode};
    ///
    /// let goodbye = (StatusCode::SERVICE_UNAVAILABLE, "restarting\n").into_response().close();
    /// assert_eq!(goodbye.status(), StatusCode::SERVICE_UNAVAILABLE);
    /// ```
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    fn with_body(content_type: &'static str, body: Payload) -> Self {
        Self { content_type: Some(content_type), body, ..Self::new(StatusCode::OK) }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("fields", &self.fields)
            .field("body_bytes", &self.body.bytes().len())
            .field("close", &self.close)
            .finish()
    }
}

impl Payload {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::with_body(TEXT, Payload::Static(self.as_bytes()))
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::with_body(TEXT, Payload::Owned(self.into_bytes()))
    }
}

impl IntoResponse for &'static [u8] {
    fn into_response(self) -> Response {
        Response::with_body(BYTES, Payload::Static(self))
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::with_body(BYTES, Payload::Owned(self))
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        Response::with_body(BYTES, Payload::Shared(self))
    }
}

impl IntoResponse for StatusCode {
    /// The status, and its reason as one line of text where a body is allowed.
    fn into_response(self) -> Response {
        match self.canonical_reason() {
            Some(reason) if !(self.is_informational() || is_bodyless(self)) => {
                Response { status: self, ..format!("{reason}\n").into_response() }
            }
            _ => Response::new(self),
        }
    }
}

impl<R: IntoResponse> IntoResponse for (StatusCode, R) {
    fn into_response(self) -> Response {
        Response { status: self.0, ..self.1.into_response() }
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

/// Whether a response of that status never has a body (RFC 9110 sections 15.3.5 and 15.4.5).
pub(crate) fn is_bodyless(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
