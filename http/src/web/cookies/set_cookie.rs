//! A cookie that a response sets.

use std::time::Duration;

use cookie::time::{self, OffsetDateTime};
use cookie::{Cookie, SameSite};
use http::{HeaderValue, header};

use super::keys::CookieKeys;
use crate::message::{HandlerError, IntoResponse, InvalidHeader, Response};

/// A cookie that a response sets (RFC 6265 section 4.1): beside the response, as in
/// `(cookie, "text")`, or several as in `([one, two], "text")`.
///
/// By default it lasts until the browser ends, goes to all paths of this host and to no other host,
/// and has `HttpOnly` (scripts cannot read it), `SameSite=Lax` (forms of other sites do not send
/// it) and `Secure` (only TLS carries it; browsers make an exception for `localhost`).
///
/// The value may be any text: it is percent-encoded, and [`Cookies`](super::Cookies) decodes it.
/// A cookie that browsers would drop or misread makes the response a 500, and the error is
/// reported; [`add_to`](Self::add_to) returns it.
///
/// ```
/// use std::time::Duration;
/// use straightline::web::{Redirect, SetCookie};
/// use straightline::{IntoResponse, Request};
///
/// fn dark(_: &mut Request) -> impl IntoResponse {
///     let year = Duration::from_secs(365 * 24 * 60 * 60);
///     (SetCookie::new("theme", "dark").with_max_age(year), Redirect::see_other("/"))
/// }
///
/// let response = dark(&mut Request::builder().build()?).into_response();
/// assert_eq!(
///     response.headers().get("set-cookie"),
///     Some("theme=dark; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=31536000")
/// );
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone, Debug)]
pub struct SetCookie {
    cookie: Cookie<'static>,
}

impl SetCookie {
    /// A cookie with these attributes: `HttpOnly; SameSite=Lax; Secure; Path=/`.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        let cookie = Cookie::build((name.into(), value.into()))
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(true)
            .path("/");
        Self { cookie: cookie.build() }
    }

    /// Removes the cookie of that name. If it has a path or a domain, set the same.
    ///
    /// ```
    /// use straightline::web::SetCookie;
    /// use straightline::{IntoResponse, Request};
    ///
    /// fn log_out(_: &mut Request) -> impl IntoResponse {
    ///     (SetCookie::removal("session"), "good bye\n")
    /// }
    /// ```
    pub fn removal(name: impl Into<String>) -> Self {
        let mut removal = Self::new(name, "");
        removal.cookie.set_max_age(time::Duration::ZERO);
        removal.cookie.set_expires(OffsetDateTime::UNIX_EPOCH);
        removal
    }

    /// How long the browser keeps it, in whole seconds. Browsers allow 400 days at most.
    pub fn with_max_age(mut self, age: Duration) -> Self {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.cookie.set_max_age(time::Duration::seconds(seconds));
        self
    }

    /// Only requests to this path and below have it. This separates nothing by itself: scripts of
    /// the other paths can read it.
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.cookie.set_path(path.into());
        self
    }

    /// All hosts of this domain get it too.
    pub fn with_domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.set_domain(domain.into());
        self
    }

    /// Whether requests that come from other sites have it.
    pub fn with_same_site(mut self, same_site: SameSite) -> Self {
        self.cookie.set_same_site(same_site);
        self
    }

    /// Whether it is hidden from scripts.
    pub fn with_http_only(mut self, http_only: bool) -> Self {
        self.cookie.set_http_only(http_only);
        self
    }

    /// Whether it is sent with TLS only. Without this, a service without TLS needs `false`.
    pub fn with_secure(mut self, secure: bool) -> Self {
        self.cookie.set_secure(secure);
        self
    }

    /// Signs the value: the client can read it, and not change it.
    /// [`Cookies::signed`](super::Cookies::signed) reads it.
    pub fn signed(mut self, keys: &CookieKeys) -> Self {
        let value = keys.sign(self.cookie.name(), self.cookie.value());
        self.cookie.set_value(value);
        self
    }

    /// Encrypts the value: the client can neither read nor change it.
    /// [`Cookies::private`](super::Cookies::private) reads it.
    pub fn private(mut self, keys: &CookieKeys) -> Self {
        let value = keys.encrypt(self.cookie.name(), self.cookie.value());
        self.cookie.set_value(value);
        self
    }

    /// Adds the cookie to a response.
    ///
    /// # Errors
    ///
    /// Browsers would drop or misread the cookie: its name, path or domain has a byte that is not
    /// allowed there; its name and value have more than 4096 bytes; `SameSite=None` is without
    /// `Secure`; the name begins with `__Secure-` or `__Host-`, and an attribute does not fit
    /// (RFC 6265bis section 4.1.3). The response stays as it is.
    ///
    /// ```
    /// use straightline::web::SetCookie;
    /// use straightline::{Response, StatusCode};
    ///
    /// let mut response = Response::new(StatusCode::OK);
    /// SetCookie::new("__Host-id", "7").add_to(&mut response)?;
    /// let other = SetCookie::new("__Host-id", "7").with_domain("example.org");
    /// assert!(other.add_to(&mut response).is_err());
    /// # Ok::<(), straightline::InvalidHeader>(())
    /// ```
    pub fn add_to(&self, response: &mut Response) -> Result<(), InvalidHeader> {
        response.try_append_header(header::SET_COOKIE, self.to_value()?)
    }

    fn to_value(&self) -> Result<HeaderValue, InvalidHeader> {
        self.check().map_err(|why| {
            InvalidHeader::new(format!("the cookie `{}` {why}", self.cookie.name().escape_debug()))
        })?;
        let text = self.cookie.encoded().to_string();
        HeaderValue::try_from(text).map_err(|_| InvalidHeader::new("not a cookie"))
    }

    /// What is wrong with the cookie.
    fn check(&self) -> Result<(), &'static str> {
        let (cookie, name) = (&self.cookie, self.cookie.name());
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err("has a byte in its name that is not allowed there");
        }
        let path = cookie.path().unwrap_or_default();
        let is_path_byte = |byte: u8| matches!(byte, b' '..=b'~') && byte != b';';
        if !path.starts_with('/') || !path.bytes().all(is_path_byte) || path.ends_with(' ') {
            return Err("has a path that does not begin with a slash, or has a wrong byte");
        }
        let is_domain_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
        if let Some(domain) = cookie.domain()
            && (domain.is_empty() || !domain.bytes().all(is_domain_byte))
        {
            return Err("has a domain with a wrong byte");
        }
        if path.len().max(cookie.domain().map_or(0, str::len)) > ATTRIBUTE_BYTES_MAX {
            return Err("has an attribute that is too long for browsers");
        }
        if cookie.encoded().stripped().to_string().len() > PAIR_BYTES_MAX {
            return Err("is too long for browsers");
        }
        let is_secure = cookie.secure() == Some(true);
        if cookie.same_site() == Some(SameSite::None) && !is_secure {
            return Err("goes to other sites, and so needs `Secure`");
        }
        // Browsers compare these prefixes without regard to case.
        let has_prefix = |prefix: &str| {
            let begin = name.get(..prefix.len());
            begin.is_some_and(|begin| begin.eq_ignore_ascii_case(prefix))
        };
        if has_prefix("__Secure-") && !is_secure {
            return Err("needs `Secure` by its prefix");
        }
        if has_prefix("__Host-") && !(is_secure && path == "/" && cookie.domain().is_none()) {
            return Err("needs `Secure`, the path `/` and no domain by its prefix");
        }
        Ok(())
    }
}

/// A byte of a token (RFC 9110 section 5.6.2) that the percent-encoding leaves as it is.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$&'*+-._~".contains(&byte)
}

impl<R: IntoResponse> IntoResponse for (SetCookie, R) {
    fn into_response(self) -> Response {
        ([self.0], self.1).into_response()
    }
}

impl<R: IntoResponse, const COUNT: usize> IntoResponse for ([SetCookie; COUNT], R) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        match self.0.iter().try_for_each(|cookie| cookie.add_to(&mut response)) {
            Ok(()) => response,
            Err(error) => HandlerError::from(error).into_response(),
        }
    }
}

/// The bytes of a name and a value together that browsers take (RFC 6265bis section 5.6).
const PAIR_BYTES_MAX: usize = 4096;

/// The bytes of the value of an attribute that browsers take (RFC 6265bis section 5.6).
const ATTRIBUTE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Request;
    use crate::web::cookies::Cookies;

    fn text(cookie: &SetCookie) -> String {
        let value = cookie.to_value().expect("a cookie");
        value.to_str().expect("text").to_owned()
    }

    #[test]
    fn attributes_stand_behind_the_pair() {
        let all = SetCookie::new("a", "b c;d")
            .with_http_only(false)
            .with_same_site(SameSite::None)
            .with_path("/x y")
            .with_domain(".example.org")
            .with_max_age(Duration::from_millis(1999));
        assert_eq!(
            text(&all),
            "a=b%20c%3Bd; SameSite=None; Secure; Path=/x y; Domain=example.org; Max-Age=1"
        );
        assert_eq!(
            text(&SetCookie::removal("a").with_secure(false)),
            "a=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
        );
    }

    #[test]
    fn a_hostile_text_adds_no_attribute_and_no_header() {
        let hostile =
            ["a\r\nset-cookie: b=c", "a; Domain=evil.example", "a\0", "a=b", "é", "a,b", "\u{7f}"];
        for hostile in hostile {
            let value = text(&SetCookie::new("n", hostile));
            let pair = value.split_once("; HttpOnly").expect("the attributes").0;
            assert!(pair.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';'), "{pair}");
            let request = Request::builder().header("cookie", pair).build().expect("a request");
            let read = Cookies::of(request.headers()).get("n").map(String::from);
            assert_eq!(read.as_deref(), Some(hostile));
            for wrong in [
                SetCookie::new(hostile, "v"),
                SetCookie::new("n", "v").with_domain(hostile),
                SetCookie::new("n", "v").with_path(hostile),
            ] {
                assert!(wrong.to_value().is_err(), "{wrong:?}");
            }
        }
        for hostile in ["", "a b", "%41", "a#", "__Host-a;", "\"a\""] {
            assert!(SetCookie::new(hostile, "v").to_value().is_err(), "{hostile:?}");
        }
    }

    #[test]
    fn what_browsers_would_drop_is_an_error() {
        let wrong = [
            SetCookie::new("a", "x".repeat(4097)),
            SetCookie::new("a", "").with_path(format!("/{}", "x".repeat(1024))),
            SetCookie::new("a", "").with_same_site(SameSite::None).with_secure(false),
            SetCookie::new("__Secure-a", "").with_secure(false),
            SetCookie::new("__secure-a", "").with_secure(false),
            SetCookie::new("__Host-a", "").with_secure(false),
            SetCookie::new("__Host-a", "").with_path("/a"),
            SetCookie::new("__HOST-a", "").with_domain("example.org"),
        ];
        for cookie in wrong {
            let response = (cookie.clone(), "text").into_response();
            assert_eq!(response.status().as_u16(), 500, "{cookie:?}");
            assert!(!response.headers().contains("set-cookie"));
        }
        for right in ["__Secure-a", "__Host-a", "a"] {
            text(&SetCookie::new(right, "x".repeat(4000)));
        }
    }

    #[test]
    fn several_cookies_are_several_fields() {
        let cookies = [SetCookie::new("a", "1"), SetCookie::removal("b")];
        let response = (SetCookie::new("c", "3"), (cookies, "text")).into_response();
        assert_eq!(response.headers().all("set-cookie").count(), 3);
    }

    #[test]
    fn what_is_set_is_read_as_the_same() {
        #[allow(clippy::needless_pass_by_value)] // as the library calls it
        fn property(value: String) -> bool {
            let cookie = SetCookie::new("n", value.clone());
            let Ok(field) = cookie.to_value() else { return value.len() > 1000 };
            let field = field.to_str().expect("text").split(';').next().unwrap_or_default();
            let request = Request::builder().header("cookie", field).build().expect("a request");
            Cookies::of(request.headers()).get("n").as_deref() == Some(&*value)
        }
        quickcheck::quickcheck(property as fn(String) -> bool);
    }
}
