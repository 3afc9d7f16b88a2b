//! An error that a client can read: problem details (RFC 9457).

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write};
use std::io;

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::into_response::IntoResponse;
use super::invalid_header::{checked, expect_valid};
use super::response::Response;
use super::response_body::{Cause, ResponseBody};
use crate::body_error::BodyError;
use crate::telemetry::escape_json;

/// An error with its response: problem details, `application/problem+json` (RFC 9457).
///
/// All errors of [`web`](crate::web) are problems, so a handler that returns
/// `Result<_, Problem>` or `Result<_, HandlerError>` may use `?` on each of them.
///
/// What stands in a problem is for the client. An error of the program's own belongs behind it,
/// with [`with_source`](Self::with_source): the client does not see it, and
/// [`Event::ResponseFailed`](crate::Event::ResponseFailed) reports it.
/// [`internal`](Self::internal) makes such a problem of any error. `?` does it for `std::io`
/// errors, and keeps the status of a [`BodyError`]; for `?` on any error there is
/// [`HandlerError`](crate::HandlerError). So no text of an error reaches a client by mistake.
///
/// ```
/// use straightline::{IntoResponse, Problem, Request, StatusCode};
///
/// fn withdraw(_: &mut Request) -> Result<String, Problem> {
///     let (balance, amount) = (30, 50);
///     if amount > balance {
///         return Err(Problem::new(StatusCode::CONFLICT)
///             .with_type("https://bank.example/problems/out-of-credit")
///             .with_title("You do not have enough credit")
///             .with_detail(format!("The balance is {balance}, and that costs {amount}."))
///             .with_member("balance", balance));
///     }
///     Ok("here you are\n".to_owned())
/// }
///
/// let response = withdraw(&mut Request::builder().build()?).into_response();
/// assert_eq!(response.status(), StatusCode::CONFLICT);
/// assert_eq!(response.headers().content_type(), Some("application/problem+json"));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
pub struct Problem {
    inner: Box<Inner>,
}

struct Inner {
    status: StatusCode,
    type_uri: Option<Cow<'static, str>>,
    title: Option<Cow<'static, str>>,
    detail: Option<Cow<'static, str>>,
    instance: Option<Cow<'static, str>>,
    /// Names with values in JSON.
    members: Vec<(Cow<'static, str>, String)>,
    fields: Vec<(HeaderName, HeaderValue)>,
    source: Option<Cause>,
}

/// The value of a [member](Problem::with_member): text, a number or a truth value.
#[derive(Clone, Debug)]
pub struct ProblemValue(String);

impl Problem {
    /// A problem that only the status describes.
    pub fn new(status: StatusCode) -> Self {
        let inner = Inner {
            status,
            type_uri: None,
            title: None,
            detail: None,
            instance: None,
            members: Vec::new(),
            fields: Vec::new(),
            source: None,
        };
        Self { inner: Box::new(inner) }
    }

    /// A 500 that says nothing about `error`, which is reported.
    ///
    /// ```
    /// use straightline::{Problem, Request};
    ///
    /// fn answer(_: &mut Request) -> Result<String, Problem> {
    ///     let number: u64 = "42".parse().map_err(Problem::internal)?;
    ///     Ok(format!("{number}\n"))
    /// }
    /// ```
    pub fn internal(error: impl Error + 'static) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR).with_source(error)
    }

    /// A URI that names the kind of problem; its page may explain it. Without one, `about:blank` is
    /// meant: the status says all.
    pub fn with_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.inner.type_uri = Some(uri.into());
        self
    }

    /// A short text about the kind of problem. Default: the reason of the status.
    pub fn with_title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.inner.title = Some(title.into());
        self
    }

    /// A text about this occurrence: what the client may do about it.
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.inner.detail = Some(detail.into());
        self
    }

    /// A URI that names this occurrence.
    pub fn with_instance(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.inner.instance = Some(uri.into());
        self
    }

    /// Adds a member of the program's own; a former one of that name is replaced. The members of
    /// the standard have methods of their own, and are not changed by this one.
    pub fn with_member(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<ProblemValue>,
    ) -> Self {
        let (name, ProblemValue(value)) = (name.into(), value.into());
        self.inner.members.retain(|(other, _)| *other != name);
        if !STANDARD.contains(&&*name) {
            self.inner.members.push((name, value));
        }
        self
    }

    /// Adds a member whose value is a list or has members itself, such as the errors of several
    /// fields; see [`with_member`](Self::with_member).
    ///
    /// A value that cannot be JSON (such as a map whose keys are not text) makes a problem without
    /// that member, and the error is reported as the [source](Self::with_source), unless there is
    /// one.
    ///
    /// ```
    /// use straightline::{Problem, StatusCode};
    ///
    /// let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY)
    ///     .with_json("fields", &["title", "done"]);
    /// ```
    #[cfg(feature = "json")]
    pub fn with_json(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: &(impl serde::Serialize + ?Sized),
    ) -> Self {
        match serde_json::to_string(value) {
            Ok(json) => self.with_member(name, ProblemValue(json)),
            Err(error) => {
                self.inner.source.get_or_insert_with(|| Box::new(error));
                self
            }
        }
    }

    /// Adds a header field to the response, such as `Retry-After`.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid.
    #[track_caller]
    pub fn with_header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        self.inner.fields.push(expect_valid(checked(name, value)));
        self
    }

    /// The error behind the problem, for the log: the client does not see it.
    ///
    /// ```
    /// use straightline::{Problem, Request, StatusCode, fs};
    ///
    /// fn report(_: &mut Request) -> Result<String, Problem> {
    ///     fs::read_to_string("/var/lib/reports/today").map_err(|error| {
    ///         Problem::new(StatusCode::SERVICE_UNAVAILABLE)
    ///             .with_detail("Today's report is not ready.")
    ///             .with_source(error)
    ///     })
    /// }
    /// ```
    pub fn with_source(mut self, source: impl Error + 'static) -> Self {
        self.inner.source = Some(Box::new(source));
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status
    }

    /// What the client may read about this occurrence.
    pub fn detail(&self) -> Option<&str> {
        self.inner.detail.as_deref()
    }

    /// The text about the kind of problem.
    pub fn title(&self) -> &str {
        let reason = self.inner.status.canonical_reason();
        self.inner.title.as_deref().unwrap_or(reason.unwrap_or("Error"))
    }

    /// The text of RFC 9457 section 3.
    fn to_json(&self) -> String {
        let mut json = "{".to_owned();
        let mut text = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                let _ = write!(json, "\"{name}\":");
                escape_json(&mut json, value.as_bytes());
                json.push(',');
            }
        };
        text("type", self.inner.type_uri.as_deref());
        text("title", Some(self.title()));
        text("detail", self.inner.detail.as_deref());
        text("instance", self.inner.instance.as_deref());
        let _ = write!(json, "\"status\":{}", self.inner.status.as_u16());
        for (name, value) in &self.inner.members {
            json.push(',');
            escape_json(&mut json, name.as_bytes());
            let _ = write!(json, ":{value}");
        }
        json.push_str("}\n");
        json
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let json = self.to_json();
        let Inner { status, fields, source, .. } = *self.inner;
        let body = match source {
            None => ResponseBody::from(json),
            Some(cause) => ResponseBody::chosen_error(json, cause),
        };
        let response = Response::new(status)
            .with_body(body)
            .header(header::CONTENT_TYPE, "application/problem+json");
        fields.into_iter().fold(response, |response, (name, value)| response.append(name, value))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.inner.status.as_u16(), self.title())?;
        self.inner.detail.as_ref().map_or(Ok(()), |detail| write!(f, ": {detail}"))
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner.source.as_deref()
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problem")
            .field("status", &self.inner.status)
            .field("title", &self.title())
            .field("detail", &self.inner.detail)
            .field("source", &self.inner.source)
            .finish_non_exhaustive()
    }
}

impl From<StatusCode> for Problem {
    fn from(status: StatusCode) -> Self {
        Self::new(status)
    }
}

impl From<BodyError> for Problem {
    /// A problem with the [status](BodyError::status) and the text of the error.
    fn from(error: BodyError) -> Self {
        let problem = Self::new(error.status());
        match error {
            // The program's own mistake.
            BodyError::Declined | BodyError::Busy => problem.with_source(error),
            // There will be memory when other requests are done.
            BodyError::NoMemory => problem.with_header(header::RETRY_AFTER, "1"),
            _ => problem.with_detail(error.to_string()),
        }
    }
}

impl From<io::Error> for Problem {
    /// A [`BodyError`] keeps its status. Any other error is a 500 that says nothing about it, and
    /// [`Event::ResponseFailed`](crate::Event::ResponseFailed) reports it.
    fn from(error: io::Error) -> Self {
        match BodyError::of(&error) {
            Some(error) => Self::from(error),
            None => Self::internal(error),
        }
    }
}

impl From<&str> for ProblemValue {
    fn from(text: &str) -> Self {
        let mut json = String::new();
        escape_json(&mut json, text.as_bytes());
        Self(json)
    }
}

impl From<String> for ProblemValue {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<bool> for ProblemValue {
    fn from(value: bool) -> Self {
        Self(value.to_string())
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(impl From<$number> for ProblemValue {
            fn from(number: $number) -> Self {
                Self(number.to_string())
            }
        })*
    };
}

numbers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

/// The members of the standard.
const STANDARD: [&str; 5] = ["type", "title", "status", "detail", "instance"];

#[cfg(test)]
mod tests {
    use super::*;

    fn body(problem: Problem) -> String {
        let response = problem.into_response();
        String::from_utf8(response.body().as_bytes().unwrap_or_default().to_vec())
            .unwrap_or_default()
    }

    #[test]
    fn what_a_client_sent_cannot_break_out_of_its_text() {
        let problem = Problem::new(StatusCode::BAD_REQUEST)
            .with_detail("no \"x\"\r\n\u{2028}</script>".to_owned())
            .with_member("a\"b", "c\\")
            .with_member("status", 1)
            .with_member("n", 1)
            .with_member("n", 2);
        assert_eq!(
            body(problem),
            "{\"title\":\"Bad Request\",\"detail\":\"no \\\"x\\\"\\u000d\\u000a\\u2028</script>\",\
             \"status\":400,\"a\\\"b\":\"c\\\\\",\"n\":2}\n"
        );
    }

    #[test]
    fn the_source_stays_inside() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE)
            .with_source(std::io::Error::other("the password is swordfish"))
            .with_header(header::RETRY_AFTER, "7");
        assert!(problem.source().is_some_and(|source| source.to_string().contains("swordfish")));
        let response = problem.into_response();
        assert_eq!(response.headers().get("retry-after"), Some("7"));
        assert_eq!(response.headers().content_type(), Some("application/problem+json"));
        let body = response.body().as_bytes().unwrap_or_default();
        assert_eq!(body, b"{\"title\":\"Service Unavailable\",\"status\":503}\n");
    }
}
