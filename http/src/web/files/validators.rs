//! Conditional requests (RFC 9110 section 13): a client asks for a response only if a resource is,
//! or is not, in a state that the client knows.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use straightline_sched as sched;

use super::entity_tag::{EntityTag, Listed, Scanned, listed};
use crate::message::{IntoResponse, Problem, Request, Response};
use crate::proto::Headers;

/// What identifies the present state of a resource: its entity tag, the time of its last change, or
/// both. Evaluates the conditions of a request (RFC 9110 section 13), for any method.
///
/// | field of the request | the condition holds if | if not |
/// |---|---|---|
/// | `If-Match` | the tag is listed (strong comparison); `*`: there is a resource | 412 |
/// | `If-Unmodified-Since`, without `If-Match` | it was not changed since | 412 |
/// | `If-None-Match` | the tag is not listed (weak comparison); `*`: there is none | 304, 412 |
/// | `If-Modified-Since`, without `If-None-Match`, of GET and HEAD | it was changed since | 304 |
///
/// The fields are evaluated in this order (section 13.2.2). GET and HEAD get a 304, and other
/// methods a 412. A date that is none is ignored. A list of tags counts up to its first malformed
/// element.
///
/// A weak tag that a compressed response got in place of a strong one, `W/"x"` for `"x"`, is found
/// by `If-None-Match`, and never by `If-Match`.
///
/// ```
/// use straightline::web::{EntityTag, RequestExt, Validators};
/// use straightline::{IntoResponse, Request, Response, StatusCode};
///
/// fn thing(request: &mut Request) -> Response {
///     let version = 7; // of the thing, in the database
///     let validators = Validators::new().with_etag(EntityTag::strong(version));
///     if let Some(response) = request.check_conditions(&validators) {
///         return response; // 304 or 412
///     }
///     validators.mark("the thing".into_response())
/// }
///
/// let mut request = Request::builder().header("if-none-match", "W/\"7\"").build()?;
/// assert_eq!(thing(&mut request).status(), StatusCode::NOT_MODIFIED);
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
///
/// A PUT that must not overwrite a change of another client, or a resource that exists:
///
/// ```
/// use straightline::web::{EntityTag, RequestExt, Validators};
/// use straightline::{Method, Request, Response, StatusCode};
///
/// fn put(request: &mut Request, present: Option<u64>) -> Response {
///     let validators = match present {
///         Some(version) => Validators::new().with_etag(EntityTag::strong(version)),
///         None => Validators::absent(),
///     };
///     if let Some(response) = request.check_conditions(&validators) {
///         return response;
///     }
///     Response::new(StatusCode::NO_CONTENT) // here the thing is replaced
/// }
///
/// let ask = |name, value, present| {
///     let builder = Request::builder().method(Method::PUT).header(name, value);
///     put(&mut builder.build().unwrap(), present).status()
/// };
/// assert_eq!(ask("if-match", "\"7\"", Some(7)), StatusCode::NO_CONTENT);
/// assert_eq!(ask("if-match", "\"6\"", Some(7)), StatusCode::PRECONDITION_FAILED);
/// assert_eq!(ask("if-match", "\"6\"", None), StatusCode::PRECONDITION_FAILED);
/// assert_eq!(ask("if-none-match", "*", Some(7)), StatusCode::PRECONDITION_FAILED);
/// assert_eq!(ask("if-none-match", "*", None), StatusCode::NO_CONTENT);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Validators {
    etag: Option<EntityTag>,
    /// In whole seconds, as in `Last-Modified`, and a time that this field can hold.
    last_modified: Option<SystemTime>,
    is_absent: bool,
    /// The date is not enough to tell the representation from others.
    has_shared_date: bool,
}

/// What the conditions of a request ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evaluated {
    Perform,
    NotModified,
    Failed,
}

impl Validators {
    /// A resource that exists. Not a yield point.
    pub fn new() -> Self {
        Self::default()
    }

    /// A resource that does not exist yet, which a PUT may create. Not a yield point.
    pub fn absent() -> Self {
        Self { is_absent: true, ..Self::default() }
    }

    /// The entity tag of its present state.
    pub fn with_etag(mut self, etag: EntityTag) -> Self {
        self.etag = Some(etag);
        self
    }

    /// When it was last changed. Conditions see whole seconds. A time before 1970 or after the year
    /// 9999 is left out, and a time in the future counts as now (RFC 9110 section 8.8.2.1).
    pub fn with_last_modified(mut self, time: SystemTime) -> Self {
        let time = time.min(sched::system_time());
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).ok();
        let seconds = since_1970.map(|since| since.as_secs()).filter(|&since| since < YEAR_10000);
        self.last_modified = seconds.map(at_second);
        self
    }

    /// The entity tag.
    pub fn etag(&self) -> Option<&EntityTag> {
        self.etag.as_ref()
    }

    /// Evaluates the request's conditions, and returns the response if the method must not be
    /// performed: a 304 with these validators, or a 412. Call it when the request would otherwise
    /// succeed. [`RequestExt::check_conditions`](crate::web::RequestExt::check_conditions) is the
    /// same.
    ///
    /// Not a yield point.
    pub fn check(&self, request: &Request) -> Option<Response> {
        match self.evaluate(request.method(), request.headers()) {
            Evaluated::Perform => None,
            Evaluated::NotModified => Some(self.mark(Response::new(StatusCode::NOT_MODIFIED))),
            Evaluated::Failed => {
                let problem = Problem::new(StatusCode::PRECONDITION_FAILED)
                    .with_detail("The resource is not in the state that the request names.");
                Some(problem.into_response())
            }
        }
    }

    /// The response with `ETag` and `Last-Modified`. Not a yield point.
    pub fn mark(&self, mut response: Response) -> Response {
        if let Some(etag) = self.etag.as_ref().and_then(|tag| HeaderValue::try_from(tag).ok()) {
            response.append_header(header::ETAG, etag);
        }
        if let Some(time) = self.last_modified {
            response.append_header(header::LAST_MODIFIED, httpdate::fmt_http_date(time));
        }
        response
    }

    /// Other representations of the resource may have the same date, so a client that knows only
    /// the date gets the whole (RFC 9110 section 13.1.5).
    pub(super) fn sharing_date(mut self) -> Self {
        self.has_shared_date = true;
        self
    }

    /// Whether a `Range` field counts: there is no `If-Range`, or it names the present state (RFC
    /// 9110 section 13.1.5). A weak tag never does, and neither does an earlier or later date.
    pub(super) fn match_if_range(&self, headers: Headers<'_>) -> bool {
        if !headers.contains(header::IF_RANGE) {
            return true;
        }
        let Some(field) = only(headers, header::IF_RANGE) else { return false };
        if let Some((tag, rest)) = Scanned::first(field) {
            let own = self.etag.as_ref().map(Scanned::of);
            return rest.is_empty() && own.is_some_and(|own| own.matches_strongly(tag));
        }
        let date = date(field);
        !self.has_shared_date && date.is_some() && date == self.last_modified
    }

    fn evaluate(&self, method: &Method, headers: Headers<'_>) -> Evaluated {
        // RFC 9110 section 13.2.1.
        if [Method::CONNECT, Method::OPTIONS, Method::TRACE].contains(method) {
            return Evaluated::Perform;
        }
        if headers.contains(header::IF_MATCH) {
            if !self.is_listed(headers, header::IF_MATCH, Scanned::matches_strongly) {
                return Evaluated::Failed;
            }
        } else if let Some(date) = only(headers, header::IF_UNMODIFIED_SINCE).and_then(date)
            && self.last_modified.is_some_and(|time| time > date)
        {
            return Evaluated::Failed;
        }
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        if headers.contains(header::IF_NONE_MATCH) {
            if self.is_listed(headers, header::IF_NONE_MATCH, Scanned::matches_weakly) {
                return if is_read { Evaluated::NotModified } else { Evaluated::Failed };
            }
        } else if is_read
            && let Some(date) = only(headers, header::IF_MODIFIED_SINCE).and_then(date)
            && self.last_modified.is_some_and(|time| time <= date)
        {
            return Evaluated::NotModified;
        }
        Evaluated::Perform
    }

    /// Whether the fields of that name list the present state.
    fn is_listed<'a>(
        &'a self,
        headers: Headers<'a>,
        name: HeaderName,
        matches: fn(Scanned<'a>, Scanned<'a>) -> bool,
    ) -> bool {
        let own = self.etag.as_ref().map(Scanned::of);
        let is_own = |element: Listed<'a>| match element {
            Listed::Any => true,
            Listed::Tag(tag) => own.is_some_and(|own| matches(own, tag)),
        };
        !self.is_absent && headers.all(name).flat_map(listed).any(is_own)
    }
}

/// The value of a field that may not be there twice.
fn only(headers: Headers<'_>, name: HeaderName) -> Option<&[u8]> {
    let mut values = headers.all(name);
    values.next().filter(|_| values.next().is_none())
}

/// A date in any of the three formats (RFC 9110 section 5.6.7).
fn date(field: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(field).ok()?).ok()
}

fn at_second(since_1970: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(since_1970)
}

/// The first second that a date cannot hold, since 1970.
const YEAR_10000: u64 = 253_402_300_800;
