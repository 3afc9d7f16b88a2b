//! A response that a test has received, and what the test asserts about it.

use std::fmt;

use http::{HeaderMap, StatusCode};

use super::response_reader::Received;

/// A whole response, with assertions that show it when they fail.
///
/// The assertions return the response again, so they can be chained. A failure names the request,
/// and shows the status, the header fields and the beginning of the body.
///
/// ```
/// use straightline::testing::Client;
/// use straightline::{Request, Response};
///
/// let client = Client::new(|_: &mut Request| Response::method_not_allowed(&[]));
/// client
///     .get("/")
///     .send()
///     .assert_status(405)
///     .assert_header("content-type", "text/plain; charset=utf-8")
///     .assert_text("Method Not Allowed\n");
/// ```
#[must_use = "a response that the test does not look at proves little"]
pub struct TestResponse {
    /// The request line and the server, for messages.
    request: String,
    received: Received,
}

impl TestResponse {
    pub(super) fn new(request: String, received: Received) -> Self {
        Self { request, received }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.received.status
    }

    /// All header fields.
    pub fn headers(&self) -> &HeaderMap {
        &self.received.headers
    }

    /// The trailer fields behind a chunked body.
    pub fn trailers(&self) -> &HeaderMap {
        &self.received.trailers
    }

    /// A header field as text; `None` if it is missing. Several fields of that name are joined by
    /// `, `.
    ///
    /// ```
    /// use straightline::testing::Client;
    /// use straightline::Request;
    ///
    /// let response = Client::new(|_: &mut Request| "hello\n").get("/").send();
    /// assert_eq!(response.header("content-length").as_deref(), Some("6"));
    /// assert_eq!(response.header("etag"), None);
    /// ```
    pub fn header(&self, name: &str) -> Option<String> {
        let values = self.received.headers.get_all(name).iter();
        let texts: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    /// The body.
    pub fn bytes(&self) -> &[u8] {
        &self.received.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.received.body) {
            Ok(text) => text,
            Err(error) => self.fail(&format!("the body is not UTF-8: {error}")),
        }
    }

    /// The body as a value in JSON.
    ///
    /// # Panics
    ///
    /// If it is not JSON of that type.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.received.body) {
            Ok(value) => value,
            Err(error) => self.fail(&format!("the body is not the expected JSON: {error}")),
        }
    }

    /// Asserts the status.
    ///
    /// # Panics
    ///
    /// If it is another one.
    #[track_caller]
    pub fn assert_status(&self, expected: u16) -> &Self {
        if self.received.status.as_u16() != expected {
            self.fail(&format!("the status is not {expected}"));
        }
        self
    }

    /// Asserts the value of a header field, as [`header`](Self::header) returns it.
    ///
    /// # Panics
    ///
    /// If it is missing or has another value.
    #[track_caller]
    pub fn assert_header(&self, name: &str, expected: &str) -> &Self {
        match self.header(name) {
            Some(value) if value == expected => self,
            Some(value) => {
                self.fail(&format!("`{name}` is `{value}` and not `{expected}`"));
            }
            None => self.fail(&format!("`{name}` is missing, and should be `{expected}`")),
        }
    }

    /// Asserts that there is no header field of that name.
    ///
    /// # Panics
    ///
    /// If there is one.
    #[track_caller]
    pub fn assert_no_header(&self, name: &str) -> &Self {
        match self.header(name) {
            Some(value) => self.fail(&format!("`{name}` is `{value}`, and should be missing")),
            None => self,
        }
    }

    /// Asserts the whole body, as text.
    ///
    /// # Panics
    ///
    /// If it is another text.
    #[track_caller]
    pub fn assert_text(&self, expected: &str) -> &Self {
        if self.received.body != expected.as_bytes() {
            self.fail(&format!("the body is not {expected:?}"));
        }
        self
    }

    /// Asserts that the body contains a text.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn assert_contains(&self, expected: &str) -> &Self {
        if !String::from_utf8_lossy(&self.received.body).contains(expected) {
            self.fail(&format!("the body does not contain {expected:?}"));
        }
        self
    }

    /// Asserts the whole body, as JSON: the order of members and the spaces do not count.
    ///
    /// # Panics
    ///
    /// If it is not JSON, or another value.
    ///
    /// ```
    /// use straightline::testing::Client;
    /// use straightline::{Problem, Request, StatusCode};
    ///
    /// let client = Client::new(|_: &mut Request| Problem::new(StatusCode::CONFLICT));
    /// let expected = serde_json::json!({"title": "Conflict", "status": 409});
    /// client.get("/").send().assert_status(409).assert_json(&expected);
    /// ```
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn assert_json(&self, expected: &serde_json::Value) -> &Self {
        let value: serde_json::Value = self.json();
        if value != *expected {
            self.fail(&format!("the body is not the JSON {expected}"));
        }
        self
    }

    #[track_caller]
    fn fail(&self, reason: &str) -> ! {
        panic!("{reason}\n{self}")
    }
}

/// The request line, the status, the header fields, and the beginning of the body.
impl fmt::Display for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Received { status, version, headers, body, trailers, .. } = &self.received;
        writeln!(f, "response to {}:\n{version:?} {status}", self.request)?;
        for (name, value) in headers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        let shown = &body[..body.len().min(SHOWN_BYTES)];
        writeln!(f, "\n{}", String::from_utf8_lossy(shown))?;
        if shown.len() < body.len() {
            writeln!(f, "... ({} bytes in all)", body.len())?;
        }
        for (name, value) in trailers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How much of a body a message shows. Arbitrary: a screen of text.
const SHOWN_BYTES: usize = 1000;
