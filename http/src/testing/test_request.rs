//! A request of a test, which is built and sent.

use std::fmt;
use std::io;

use http::{HeaderName, HeaderValue, Method};

use super::outgoing::Outgoing;
use super::target::Target;
use super::test_response::TestResponse;
use crate::message::{checked, expect_valid};

/// A request of a [`Client`](super::Client) before it is sent.
///
/// ```
/// use straightline::testing::Client;
/// use straightline::{BodyError, Request};
///
/// fn shout(request: &mut Request) -> Result<String, BodyError> {
///     let text = request.body().read_to_vec(1024)?;
///     Ok(String::from_utf8_lossy(&text).to_uppercase())
/// }
///
/// let client = Client::new(shout);
/// client.post("/").header("x-mood", "loud").body("hello").send().assert_text("HELLO");
/// ```
#[must_use = "`send` sends the request"]
pub struct TestRequest<'c> {
    target: &'c Target,
    outgoing: Outgoing,
}

impl<'c> TestRequest<'c> {
    /// # Panics
    ///
    /// If the request target has a space, a control character or anything that is not ASCII: such
    /// a target would be another request.
    #[track_caller]
    pub(super) fn new(target: &'c Target, method: Method, path: &str) -> Self {
        let is_valid = !path.is_empty() && path.bytes().all(|byte| byte.is_ascii_graphic());
        assert!(is_valid, "not a request target: {path:?} (percent-encode it)");
        let outgoing = Outgoing {
            method,
            target: path.to_owned(),
            fields: Vec::new(),
            body: Vec::new(),
            is_chunked: false,
        };
        Self { target, outgoing }
    }

    /// Adds a header field. `Host` and `Content-Length` are added unless the test sets them.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        self.outgoing.fields.push(expect_valid(checked(name, value)));
        self
    }

    /// The body. Without a `Content-Type` field of the test's own, none is sent.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.outgoing.body = body.into();
        self
    }

    /// A body in JSON, with its `Content-Type`.
    ///
    /// # Panics
    ///
    /// If the value cannot be written as JSON.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json(self, value: &(impl serde::Serialize + ?Sized)) -> Self {
        match serde_json::to_vec(value) {
            Ok(body) => self.header("content-type", "application/json").body(body),
            Err(error) => panic!("not a value for JSON: {error}"),
        }
    }

    /// A body as an HTML form sends it, with its `Content-Type`.
    ///
    /// # Panics
    ///
    /// If the value cannot be written as a form.
    #[cfg(feature = "form")]
    #[track_caller]
    pub fn form(self, value: &impl serde::Serialize) -> Self {
        match serde_html_form::to_string(value) {
            Ok(body) => self.header("content-type", "application/x-www-form-urlencoded").body(body),
            Err(error) => panic!("not a value for a form: {error}"),
        }
    }

    /// Sends the body in chunks, without its length.
    pub fn chunked(mut self) -> Self {
        self.outgoing.is_chunked = true;
        self
    }

    /// Sends the request and waits for the whole response. A redirect is a response like any other,
    /// and is not followed.
    ///
    /// # Blocking
    ///
    /// A yield point on a fiber. On a plain thread it blocks the thread.
    ///
    /// # Panics
    ///
    /// Where [`try_send`](Self::try_send) returns an error.
    #[track_caller]
    pub fn send(self) -> TestResponse {
        let request = self.describe();
        match self.try_send() {
            Ok(response) => response,
            Err(error) => panic!("no response to {request}: {error}"),
        }
    }

    /// As [`send`](Self::send), for a test that expects that there is no whole response.
    ///
    /// # Blocking
    ///
    /// As [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// The connection's; `UnexpectedEof` for a response that ends too early, `InvalidData` for one
    /// that breaks the rules of HTTP or is too long, `TimedOut` for one that is late.
    ///
    /// ```
    /// use std::io::{self, Write};
    /// use straightline::testing::Client;
    /// use straightline::{Request, Response};
    ///
    /// fn breaks(_: &mut Request) -> Response {
    ///     Response::stream(|_, body| {
    ///         body.write_all(b"half of it")?;
    ///         body.flush()?;
    ///         Err(io::Error::other("on purpose"))
    ///     })
    /// }
    ///
    /// assert!(Client::new(breaks).get("/").try_send().is_err());
    /// ```
    pub fn try_send(self) -> io::Result<TestResponse> {
        let request = self.describe();
        let received = self.target.exchange(self.outgoing)?;
        Ok(TestResponse::new(request, received))
    }

    fn describe(&self) -> String {
        format!("{} of {}", self.outgoing.line(), self.target.name())
    }
}

impl fmt::Debug for TestRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRequest")
            .field("line", &self.outgoing.line())
            .field("fields", &self.outgoing.fields)
            .field("body_bytes", &self.outgoing.body.len())
            .finish_non_exhaustive()
    }
}
