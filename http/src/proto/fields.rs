//! Header fields, as a view into received bytes or into the fields of a response.

use std::fmt;
use std::iter;
use std::ops::Range;

use http::{HeaderName, HeaderValue, header};

use crate::text::{ascii_text, text};

/// Where one header field is in the head: offsets from the head's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: (u32, u32),
    pub(crate) value: (u32, u32),
}

impl Field {
    /// A head is limited to less than 4 GiB, so its offsets fit.
    pub(crate) fn new(name: Range<usize>, value: Range<usize>) -> Self {
        Self { name: span(name), value: span(value) }
    }
}

impl Field {
    /// Whether the field has that name; `head` begins with the head's first byte.
    pub(crate) fn has_name(&self, head: &[u8], name: &[u8]) -> bool {
        slice(head, self.name).eq_ignore_ascii_case(name)
    }

    /// The same field in a head in which it begins later by that many bytes. Earlier, if the number
    /// has wrapped around.
    #[inline]
    pub(super) fn moved(self, by: u32) -> Self {
        let moved = |(start, end): (u32, u32)| (start.wrapping_add(by), end.wrapping_add(by));
        Self { name: moved(self.name), value: moved(self.value) }
    }
}

#[allow(clippy::cast_possible_truncation)] // the parser refuses heads of 4 GiB and more
pub(super) fn span(range: Range<usize>) -> (u32, u32) {
    (range.start as u32, range.end as u32)
}

#[inline]
pub(super) fn slice(head: &[u8], (start, end): (u32, u32)) -> &[u8] {
    &head[start as usize..end as usize]
}

/// The header fields of a request or of a response, or the trailer fields of a body, in their
/// order.
///
/// A name is text or a [`HeaderName`], and compares without regard to case. Values are bytes:
/// visible ASCII, spaces, tabs and, from careless clients, any byte from 0x80 up.
///
/// ```
/// # use straightline::{Request, header};
/// fn describe(request: &Request) -> String {
///     let headers = request.headers();
///     let agent = headers.get(header::USER_AGENT).unwrap_or("an unknown client");
///     let cookies = headers.all("cookie").count();
///     let longest = headers.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
///     format!("{agent}: {} fields, {cookies} cookies, {longest} bytes at most\n", headers.len())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Headers<'h> {
    fields: Fields<'h>,
}

/// Where the fields are.
#[derive(Clone, Copy)]
enum Fields<'h> {
    /// In received bytes.
    Received(&'h [u8], &'h [Field]),
    /// The fields of a response, and the content type in front of them.
    Made(Option<&'static str>, &'h [(HeaderName, HeaderValue)]),
}

impl<'h> Fields<'h> {
    /// The value of the next field of that name.
    fn next_of(&mut self, name: &str) -> Option<&'h [u8]> {
        match self {
            Self::Received(head, fields) => loop {
                let (field, rest) = fields.split_first()?;
                *fields = rest;
                if field.has_name(head, name.as_bytes()) {
                    return Some(slice(head, field.value));
                }
            },
            Self::Made(content_type, fields) => {
                let content_type = content_type.take();
                if content_type.is_some()
                    && header::CONTENT_TYPE.as_str().eq_ignore_ascii_case(name)
                {
                    return content_type.map(str::as_bytes);
                }
                loop {
                    let ((other, value), rest) = fields.split_first()?;
                    *fields = rest;
                    if other.as_str().eq_ignore_ascii_case(name) {
                        return Some(value.as_bytes());
                    }
                }
            }
        }
    }
}

/// The fields of [`Headers`], one after the other.
///
/// ```
/// # use straightline::{Response, StatusCode};
/// for (name, value) in Response::new(StatusCode::OK).headers() {
///     println!("{name}: {}", String::from_utf8_lossy(value));
/// }
/// ```
#[derive(Clone)]
pub struct HeadersIter<'h> {
    fields: Fields<'h>,
}

impl<'h> Headers<'h> {
    pub(crate) fn received(head: &'h [u8], fields: &'h [Field]) -> Self {
        Self { fields: Fields::Received(head, fields) }
    }

    pub(crate) fn made(
        content_type: Option<&'static str>,
        fields: &'h [(HeaderName, HeaderValue)],
    ) -> Self {
        Self { fields: Fields::Made(content_type, fields) }
    }

    /// The value of the first field of that name, if it is text.
    ///
    /// ```
    /// # use straightline::Request;
    /// fn agent(request: &Request) -> &str {
    ///     request.headers().get("user-agent").unwrap_or("an unknown client")
    /// }
    /// ```
    pub fn get(&self, name: impl AsRef<str>) -> Option<&'h str> {
        text(self.get_bytes(name)?)
    }

    /// The value of the first field of that name.
    pub fn get_bytes(&self, name: impl AsRef<str>) -> Option<&'h [u8]> {
        self.all(name).next()
    }

    /// The values of all fields of that name.
    pub fn all<N: AsRef<str>>(&self, name: N) -> impl Iterator<Item = &'h [u8]> + use<'h, N> {
        let mut fields = self.fields;
        iter::from_fn(move || fields.next_of(name.as_ref()))
    }

    /// Whether there is a field of that name.
    ///
    /// ```
    /// # use straightline::{Request, header};
    /// fn has_cookie(request: &Request) -> bool {
    ///     request.headers().contains(header::COOKIE)
    /// }
    /// ```
    pub fn contains(&self, name: impl AsRef<str>) -> bool {
        self.get_bytes(name).is_some()
    }

    /// The elements of all fields of that name, which are lists (RFC 9110 section 5.6.1): the text
    /// between commas, without the spaces around it. Empty elements are left out, and elements that
    /// are not text. For fields whose elements may be quoted strings, a comma within quotes counts
    /// too.
    ///
    /// ```
    /// # use straightline::Request;
    /// fn takes_gzip(request: &Request) -> bool {
    ///     let mut codings = request.headers().list("accept-encoding");
    ///     codings.any(|coding| coding.split(';').next() == Some("gzip"))
    /// }
    /// ```
    pub fn list<N: AsRef<str>>(&self, name: N) -> impl Iterator<Item = &'h str> + use<'h, N> {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .filter_map(|element| text(element.trim_ascii()))
            .filter(|element| !element.is_empty())
    }

    /// The media type of the body with its parameters, as it stands there (RFC 9110 section 8.3).
    /// To compare it, take [`is_media_type`](Self::is_media_type).
    pub fn content_type(&self) -> Option<&'h str> {
        self.get(header::CONTENT_TYPE)
    }

    /// Whether the body is of that media type, whatever its parameters. Case does not matter.
    ///
    /// ```
    /// # use straightline::{Request, StatusCode};
    /// fn check(request: &Request) -> Result<(), StatusCode> {
    ///     match request.headers().is_media_type("application/json") {
    ///         true => Ok(()),
    ///         false => Err(StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ///     }
    /// }
    /// ```
    pub fn is_media_type(&self, media_type: &str) -> bool {
        let own = self.content_type().unwrap_or_default();
        let own = own.split(';').next().unwrap_or_default();
        own.trim().eq_ignore_ascii_case(media_type)
    }

    /// The announced length of the body, in bytes; `None` if there is no such field, or its value
    /// is not a number.
    pub fn content_length(&self) -> Option<u64> {
        self.get(header::CONTENT_LENGTH)?.parse().ok()
    }

    /// All fields: each name, as the client spelled it, and its value.
    pub fn iter(&self) -> HeadersIter<'h> {
        HeadersIter { fields: self.fields }
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        match self.fields {
            Fields::Received(_, fields) => fields.len(),
            Fields::Made(content_type, fields) => {
                fields.len() + usize::from(content_type.is_some())
            }
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'h> Iterator for HeadersIter<'h> {
    type Item = (&'h str, &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.fields {
            Fields::Received(head, fields) => {
                let (field, rest) = fields.split_first()?;
                *fields = rest;
                // The parser let only token bytes into a name, and they are ASCII.
                let name = ascii_text(slice(head, field.name)).unwrap_or_default();
                Some((name, slice(head, field.value)))
            }
            Fields::Made(content_type, fields) => {
                if let Some(content_type) = content_type.take() {
                    return Some(("content-type", content_type.as_bytes()));
                }
                let ((name, value), rest) = fields.split_first()?;
                *fields = rest;
                Some((name.as_str(), value.as_bytes()))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let length = Headers { fields: self.fields }.len();
        (length, Some(length))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}

impl<'h> IntoIterator for Headers<'h> {
    type Item = (&'h str, &'h [u8]);
    type IntoIter = HeadersIter<'h>;

    fn into_iter(self) -> HeadersIter<'h> {
        self.iter()
    }
}

impl<'h> IntoIterator for &Headers<'h> {
    type Item = (&'h str, &'h [u8]);
    type IntoIter = HeadersIter<'h>;

    fn into_iter(self) -> HeadersIter<'h> {
        self.iter()
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}

impl fmt::Debug for HeadersIter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Headers { fields: self.fields }.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a response, and the same fields as they are received.
    fn check_both(check: impl Fn(Headers<'_>)) {
        let field = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let made = [
            field("vary", "a, ,b"),
            field("content-length", "12"),
            field("vary", " c"),
            field("x", ""),
        ];
        check(Headers::made(Some("text/plain; charset=utf-8"), &made));

        let (mut head, mut fields) = (Vec::new(), Vec::new());
        let content_type = ("content-type", "text/plain; charset=utf-8".as_bytes());
        let others = made.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        for (name, value) in [content_type].into_iter().chain(others) {
            let start = head.len();
            head.extend_from_slice(name.as_bytes());
            let value_start = head.len();
            head.extend_from_slice(value);
            fields.push(Field::new(start..value_start, value_start..head.len()));
        }
        check(Headers::received(&head, &fields));
    }

    #[test]
    fn fields_are_found_by_name() {
        check_both(|headers| {
            assert!(headers.contains("Vary") && headers.contains("X") && !headers.contains("var"));
            assert_eq!(headers.get("VARY"), Some("a, ,b"));
            assert_eq!(headers.get("y"), None);
            assert!(headers.list("vary").eq(["a", "b", "c"]));
            assert_eq!(headers.list("y").count(), 0);
            assert_eq!(headers.content_type(), Some("text/plain; charset=utf-8"));
            assert!(headers.is_media_type("TEXT/plain") && !headers.is_media_type("text"));
            assert_eq!(headers.content_length(), Some(12));
        });
        let none = Headers::made(None, &[]);
        assert!(!none.contains("content-type") && !none.is_media_type("text/plain"));
        assert_eq!((none.content_type(), none.content_length()), (None, None));
    }

    #[test]
    fn fields_are_counted_and_shown() {
        check_both(|headers| {
            assert_eq!((headers.len(), headers.is_empty()), (5, false));
            let mut fields = headers.iter();
            for left in (0..5).rev() {
                assert!(fields.next().is_some());
                assert_eq!((fields.len(), fields.size_hint()), (left, (left, Some(left))));
            }
            assert_eq!(fields.next(), None);
            let shown = format!("{headers:?}");
            assert!(shown.starts_with("{\"content-type\": \"text/plain"), "{shown}");
            assert_eq!(shown, format!("{:?}", headers.iter()));
        });
        let none = Headers::made(None, &[]);
        assert_eq!((none.len(), none.is_empty(), none.iter().len()), (0, true, 0));
    }
}
