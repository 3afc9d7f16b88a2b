//! The cookies that a client has sent.

use std::borrow::Cow;
use std::str;

use http::header;
use percent_encoding::percent_decode_str;

use super::keys::CookieKeys;
use crate::proto::Headers;

/// The cookies of a request; see [`RequestExt::cookies`](crate::web::RequestExt::cookies).
///
/// A pair that is malformed is left out, and the others count. If several have the same name, the
/// first counts: browsers send the one with the longest path first. Names are not decoded, because
/// `%5F_Host-id` is another name than `__Host-id`, for which browsers guarantee something. The
/// first 256 pairs count; browsers send at most 180.
///
/// ```
/// use straightline::Request;
/// use straightline::web::RequestExt;
///
/// let request = Request::builder().header("cookie", "theme=dark; name=Ada%20L; ; x").build()?;
/// let cookies = request.cookies();
/// assert_eq!(cookies.get("name").as_deref(), Some("Ada L"));
/// assert_eq!(cookies.iter().count(), 2);
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Cookies<'r> {
    pairs: Vec<(&'r str, &'r str)>,
}

impl<'r> Cookies<'r> {
    /// What the fields of a request say.
    pub fn of(headers: Headers<'r>) -> Self {
        let values = headers.all(header::COOKIE);
        let pairs = values.flat_map(|value| value.split(|&byte| byte == b';'));
        Self { pairs: pairs.take(PAIRS_MAX).filter_map(parse).collect() }
    }

    /// The value of the cookie of that name, percent-decoded, as [`SetCookie`](super::SetCookie)
    /// has encoded it. A value that is not UTF-8 then is returned as it was sent.
    pub fn get(&self, name: &str) -> Option<Cow<'r, str>> {
        self.raw(name).map(decode)
    }

    /// The value of the cookie of that name as the client has sent it.
    pub fn raw(&self, name: &str) -> Option<&'r str> {
        self.pairs.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// The value of a cookie that was [signed](super::SetCookie::signed) with these keys; `None` if
    /// there is none of that name, or it was not.
    pub fn signed(&self, name: &str, keys: &CookieKeys) -> Option<String> {
        keys.verify(name, &self.get(name)?)
    }

    /// The value of a cookie that was [encrypted](super::SetCookie::private) with these keys;
    /// `None` if there is none of that name, or it was not.
    pub fn private(&self, name: &str, keys: &CookieKeys) -> Option<String> {
        keys.decrypt(name, &self.get(name)?)
    }

    /// All cookies, in the order of the client: names with percent-decoded values.
    pub fn iter(&self) -> impl Iterator<Item = (&'r str, Cow<'r, str>)> {
        self.pairs.iter().map(|&(name, value)| (name, decode(value)))
    }
}

fn decode(value: &str) -> Cow<'_, str> {
    percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value))
}

/// A name, which is a token, and a value; `None` if the pair is malformed.
fn parse(pair: &[u8]) -> Option<(&str, &str)> {
    let (name, value) = str::from_utf8(pair).ok()?.split_once('=')?;
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    let is_token = |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_token)).then_some((name, value))
}

/// How many pairs count. Arbitrary: more than browsers send (RFC 6265 section 6.1 asks for 50).
const PAIRS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    fn parse_all(field: &str) -> Vec<(String, String)> {
        let request = Request::builder().header("cookie", field).build().expect("a request");
        let cookies = Cookies::of(request.headers());
        cookies.iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect()
    }

    fn one(name: &str, value: &str) -> Vec<(String, String)> {
        vec![(name.to_owned(), value.to_owned())]
    }

    #[test]
    fn a_malformed_pair_is_left_out_and_the_others_count() {
        for wrong in ["", "x", "=x", "a b=c", "a,b=c", "\"a\"=b", "a\t=b=", "[x]=1", "é=1"] {
            let expected = if wrong == "a\t=b=" { 2 } else { 1 };
            let found = parse_all(&format!("{wrong}; ok=1"));
            assert_eq!(found.len(), expected, "{wrong}: {found:?}");
        }
    }

    #[test]
    fn only_values_are_decoded() {
        assert_eq!(parse_all("a=%41%zz%"), one("a", "A%zz%"));
        assert_eq!(parse_all("a=%ff"), one("a", "%ff"));
        assert_eq!(parse_all("%5F_Host-a=1"), one("%5F_Host-a", "1"));
        assert_eq!(parse_all("a=\"b c\""), one("a", "\"b c\""));
        assert_eq!(parse_all("a=b=c;"), one("a", "b=c"));
        assert_eq!(parse_all("a="), one("a", ""));
    }

    #[test]
    fn the_first_of_a_name_counts_and_the_fields_are_one_list() {
        let mut request = Request::builder().build().expect("a request");
        request.append_header("cookie", "a=1; a=2");
        request.append_header("cookie", "b=3");
        let cookies = Cookies::of(request.headers());
        assert_eq!(cookies.raw("a"), Some("1"));
        assert_eq!(cookies.raw("b"), Some("3"));
        assert_eq!(cookies.raw("A"), None);
    }

    #[test]
    fn the_number_of_cookies_is_bounded() {
        assert_eq!(parse_all(&"a=b;".repeat(1000)).len(), PAIRS_MAX);
        assert_eq!(parse_all(&";".repeat(4000)).len(), 0);
    }

    #[test]
    fn any_bytes_may_come() {
        fn property(bytes: Vec<u8>) -> bool {
            let bytes: Vec<u8> =
                bytes.into_iter().filter(|byte| *byte >= b' ' && *byte != 0x7f).collect();
            let Ok(value) = http::HeaderValue::from_bytes(&bytes) else { return true };
            let request = Request::builder().header("cookie", value).build().expect("a request");
            let cookies = Cookies::of(request.headers());
            let keys = CookieKeys::generate();
            cookies.iter().all(|(name, _)| {
                cookies.get(name).is_some()
                    && cookies.signed(name, &keys).is_none()
                    && cookies.private(name, &keys).is_none()
            })
        }
        quickcheck::quickcheck(property as fn(Vec<u8>) -> bool);
    }
}
