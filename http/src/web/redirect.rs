//! Redirects (RFC 9110 section 15.4), and the check that one stays on this site.

use http::{StatusCode, header};

use crate::message::{IntoResponse, Problem, Response};

/// A response that sends the client to another place (RFC 9110 section 15.4).
///
/// A place that comes from the client, such as `/login?next=/account`, has to be checked: otherwise
/// a link to this site leads to any other. [`local_target`] does that.
///
/// A place that cannot be a header value makes the response a 500, and the error is reported.
///
/// ```
/// use straightline::web::{Redirect, local_target};
/// use straightline::{IntoResponse, Problem, Request, StatusCode};
///
/// fn log_in(request: &mut Request) -> Result<Redirect, Problem> {
///     let next = request.query().and_then(|query| query.strip_prefix("next="));
///     Ok(Redirect::see_other(local_target(next.unwrap_or("/"))?))
/// }
///
/// let mut request = Request::builder().target("/login?next=/account").build()?;
/// let response = log_in(&mut request)?.into_response();
/// assert_eq!(response.status(), StatusCode::SEE_OTHER);
/// assert_eq!(response.headers().get("location"), Some("/account"));
///
/// let mut request = Request::builder().target("/login?next=//evil.example/").build()?;
/// assert_eq!(log_in(&mut request).unwrap_err().status(), StatusCode::BAD_REQUEST);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    status: StatusCode,
    target: String,
}

impl Redirect {
    /// A 303: the client gets the other place by GET. For the answer to a form that was sent.
    pub fn see_other(target: impl Into<String>) -> Self {
        Self { status: StatusCode::SEE_OTHER, target: target.into() }
    }

    /// A 307: the client sends the same request, with its method and body, to the other place. It
    /// asks here again the next time.
    pub fn temporary(target: impl Into<String>) -> Self {
        Self { status: StatusCode::TEMPORARY_REDIRECT, target: target.into() }
    }

    /// A 308: the client sends the same request, with its method and body, to the other place, and
    /// may remember that: browsers do, without an end, unless `Cache-Control` gives one.
    pub fn permanent(target: impl Into<String>) -> Self {
        Self { status: StatusCode::PERMANENT_REDIRECT, target: target.into() }
    }
}

impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        (self.status, [(header::LOCATION, self.target)], ()).into_response()
    }
}

/// The text, if it is a path of this site, with or without a query and a fragment: for a redirect
/// to a place that a client has named.
///
/// What a browser could take for another site is refused: a scheme; a host, as in `//host` and its
/// spellings with a backslash, which browsers read as a slash; control bytes, which they drop. So
/// is every other byte that a URI may not have, and an empty segment anywhere in the path.
///
/// Not a yield point.
///
/// # Errors
///
/// 400 for any other text.
///
/// ```
/// use straightline::web::local_target;
///
/// assert_eq!(local_target("/a/b?c=//d#e")?, "/a/b?c=//d#e");
/// for other in ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/a.example"] {
///     assert!(local_target(other).is_err());
/// }
/// # Ok::<(), straightline::Problem>(())
/// ```
pub fn local_target(text: &str) -> Result<&str, Problem> {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let is_uri = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if path.starts_with('/') && !path.contains("//") && is_uri {
        return Ok(text);
    }
    Err(Problem::new(StatusCode::BAD_REQUEST).with_detail("The target is not a path of this site."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_of_this_site_is_local() {
        for local in ["/", "/a", "/a/?b#c", "/%5c%2f", "/a:b", "/a@b", "/?//", "/#//", "/a/b//c"] {
            assert_eq!(local_target(local).is_ok(), local != "/a/b//c", "{local}");
        }
        let others = [
            "",
            "a",
            "?a",
            "#a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            "/\r\n/evil.example",
            "/\r\nset-cookie: a=b",
            "\t//evil.example",
            " //evil.example",
            "/ /evil.example",
            "/.//evil.example",
            "/..//evil.example",
            "/a/..//evil.example",
            "/a\\..\\\\evil.example",
            "http://evil.example",
            "https:evil.example",
            "HTTPS:/evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "//user@evil.example",
            "/\0/evil.example",
            "/\u{7f}",
            "/\u{2028}/evil.example",
            "/é",
            "\u{ff0f}/evil.example",
        ];
        for other in others {
            assert!(local_target(other).is_err(), "{other:?}");
        }
    }

    #[test]
    fn a_target_cannot_become_another_header() {
        for target in ["/\r\nset-cookie: a=b", "/\n", "/\0", "/\u{1}"] {
            let response = Redirect::see_other(target).into_response();
            assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
            assert!(!response.headers().contains("location"));
        }
        let response = Redirect::permanent("https://example.org/é").into_response();
        assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
        assert_eq!(response.headers().get("location"), Some("https://example.org/é"));
    }
}
