//! The header fields of a request, as a view into the bytes of its head.

use std::fmt;
use std::ops::Range;
use std::str;

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

#[allow(clippy::cast_possible_truncation)] // the parser refuses heads of 4 GiB and more
pub(super) fn span(range: Range<usize>) -> (u32, u32) {
    (range.start as u32, range.end as u32)
}

fn slice(head: &[u8], (start, end): (u32, u32)) -> &[u8] {
    &head[start as usize..end as usize]
}

/// A request's header fields, in the order in which the client sent them.
///
/// Names compare without regard to case. Values are bytes: visible ASCII, spaces, tabs and, from
/// careless clients, any byte from 0x80 up.
///
/// ```
/// # use straightline::Request;
/// fn describe(request: &Request) -> String {
///     let headers = request.headers();
///     let cookies = headers.all("cookie").count();
///     let longest = headers.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
///     format!("{} fields, {cookies} cookies, {longest} bytes at most\n", headers.len())
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Headers<'c> {
    head: &'c [u8],
    fields: &'c [Field],
}

impl<'c> Headers<'c> {
    pub(crate) fn new(head: &'c [u8], fields: &'c [Field]) -> Self {
        Self { head, fields }
    }

    /// The value of the first field of that name, if it is text.
    ///
    /// ```
    /// # use straightline::Request;
    /// fn agent<'r>(request: &'r Request) -> &'r str {
    ///     request.headers().get("user-agent").unwrap_or("an unknown client")
    /// }
    /// ```
    pub fn get(&self, name: &str) -> Option<&'c str> {
        str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The value of the first field of that name.
    pub fn get_bytes(&self, name: &str) -> Option<&'c [u8]> {
        self.all(name).next()
    }

    /// The values of all fields of that name.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'c [u8]> + use<'c, 'n> {
        self.iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All fields: each name as the client spelled it, and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&'c str, &'c [u8])> + use<'c> {
        let head = self.head;
        self.fields.iter().map(move |field| {
            // The parser let only token bytes into a name, and they are ASCII.
            let name = str::from_utf8(slice(head, field.name)).unwrap_or_default();
            (name, slice(head, field.value))
        })
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}
