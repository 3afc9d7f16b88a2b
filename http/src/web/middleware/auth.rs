//! What the two kinds of authentication have in common: the credentials of a request, and the
//! comparison of secrets.

use http::{HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq;

use crate::message::{Problem, Request};

/// Whether two secrets are the same, in a time that tells nothing about where they differ: with
/// `==`, a client could find a secret byte by byte. The time tells whether the lengths are the
/// same.
///
/// ```
/// use straightline::web::middleware::same_secret;
///
/// assert!(same_secret(b"swordfish", b"swordfish"));
/// assert!(!same_secret(b"swordfish", b"swordfist"));
/// ```
pub fn same_secret(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}

/// The credentials of a request.
pub(super) enum Credentials<'r> {
    /// There are none, or they are of another scheme.
    Missing,
    /// What stands behind the scheme.
    Of(&'r str),
    /// There are two fields, or one that is not credentials.
    Malformed,
}

/// The credentials of that scheme (RFC 9110 section 11.4).
pub(super) fn credentials<'r>(request: &'r Request, scheme: &str) -> Credentials<'r> {
    let mut fields = request.headers().all(header::AUTHORIZATION);
    let (Some(field), second) = (fields.next(), fields.next()) else {
        return Credentials::Missing;
    };
    if second.is_some() {
        return Credentials::Malformed;
    }
    let Ok(text) = str::from_utf8(field) else { return Credentials::Malformed };
    let (sent, rest) = text.split_once(' ').unwrap_or((text, ""));
    if !sent.eq_ignore_ascii_case(scheme) {
        return Credentials::Missing;
    }
    let rest = rest.trim_matches(' ');
    if is_token68(rest) { Credentials::Of(rest) } else { Credentials::Malformed }
}

/// `token68` of RFC 9110 section 11.2.
fn is_token68(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(is_good)
}

/// An answer that says by which scheme the client can authenticate itself.
pub(super) fn challenge(status: StatusCode, challenge: &HeaderValue) -> Problem {
    Problem::new(status).with_header(header::WWW_AUTHENTICATE, challenge)
}
