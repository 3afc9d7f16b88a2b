//! The cookies of a test: enough of RFC 6265 section 5 for one server.
//!
//! All cookies go to all paths of the one server that the client asks. A cookie with a `Max-Age`
//! of zero, or with a date in the past, is forgotten.

use std::collections::BTreeMap;
use std::time::SystemTime;

use http::{HeaderMap, HeaderValue, header};
use straightline_sched::system_time;

/// Names with values.
#[derive(Debug, Default)]
pub(super) struct CookieStore {
    cookies: BTreeMap<String, String>,
}

impl CookieStore {
    /// Takes the cookies of a response.
    pub(super) fn learn(&mut self, headers: &HeaderMap) {
        for value in headers.get_all(header::SET_COOKIE) {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            let mut parts = text.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
                continue;
            };
            if parts.any(|attribute| is_over(attribute, system_time())) {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The field of the next request; `None` without cookies.
    pub(super) fn field(&self) -> Option<HeaderValue> {
        let pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        HeaderValue::from_str(&pairs.join("; ")).ok().filter(|value| !value.is_empty())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }
}

/// Whether this attribute says that the cookie has ended.
fn is_over(attribute: &str, now: SystemTime) -> bool {
    let Some((name, value)) = attribute.split_once('=') else { return false };
    let value = value.trim();
    if name.eq_ignore_ascii_case("max-age") {
        return value.parse::<i64>().is_ok_and(|seconds| seconds <= 0);
    }
    let is_date = name.eq_ignore_ascii_case("expires");
    is_date && httpdate::parse_http_date(value).is_ok_and(|at| at <= now)
}
