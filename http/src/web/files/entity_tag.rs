//! Entity tags (RFC 9110 section 8.8.3), and the lists of them in conditions.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

use crate::message::InvalidHeader;

/// An entity tag: names one state of a resource, in the field `ETag` (RFC 9110 section 8.8.3).
///
/// A *strong* tag names the exact bytes: two responses with the same strong tag have the same body.
/// A *weak* tag names a meaning: the bytes may differ, as they do if a response is compressed on
/// the fly. Only strong tags are fit for ranges and for `If-Match`.
///
/// Two tags are equal (`==`) if both their text and their strength are. A condition compares in one
/// of two other ways: [`matches_strongly`](Self::matches_strongly) and
/// [`matches_weakly`](Self::matches_weakly).
///
/// ```
/// use straightline::web::EntityTag;
///
/// let version = EntityTag::strong("v7");
/// assert_eq!(version.to_string(), "\"v7\"");
/// let other: EntityTag = "W/\"v7\"".parse()?;
/// assert!(other.is_weak() && other.matches_weakly(&version));
/// assert!(!other.matches_strongly(&version));
/// # Ok::<(), straightline::InvalidHeader>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag {
    /// The field value: the quoted text, behind `W/` if the tag is weak. Checked to be a valid one.
    value: String,
}

impl EntityTag {
    /// A strong tag.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// If the text has a quotation mark, a space or a control character. For a text from outside,
    /// parse the whole tag.
    #[track_caller]
    pub fn strong(text: impl fmt::Display) -> Self {
        Self::expect_valid(format!("\"{text}\""))
    }

    /// A weak tag.
    ///
    /// Not a yield point.
    ///
    /// # Panics
    ///
    /// As [`strong`](Self::strong).
    #[track_caller]
    pub fn weak(text: impl fmt::Display) -> Self {
        Self::expect_valid(format!("W/\"{text}\""))
    }

    #[track_caller]
    fn expect_valid(value: String) -> Self {
        assert!(
            is_tag(value.as_bytes()),
            "straightline: {value:?} is no entity tag: its text has no quotation mark, no space \
             and no control character"
        );
        Self { value }
    }

    /// Whether the tag is weak.
    pub fn is_weak(&self) -> bool {
        self.value.starts_with(WEAK)
    }

    /// The field value.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// The strong comparison (RFC 9110 section 8.8.3.2): both are strong, and the text is the same.
    /// For `If-Match` and `If-Range`.
    pub fn matches_strongly(&self, other: &Self) -> bool {
        Scanned::of(self).matches_strongly(Scanned::of(other))
    }

    /// The weak comparison (RFC 9110 section 8.8.3.2): the text is the same. For `If-None-Match`.
    pub fn matches_weakly(&self, other: &Self) -> bool {
        Scanned::of(self).matches_weakly(Scanned::of(other))
    }
}

impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}

impl FromStr for EntityTag {
    type Err = InvalidHeader;

    fn from_str(value: &str) -> Result<Self, InvalidHeader> {
        if is_tag(value.as_bytes()) {
            return Ok(Self { value: value.to_owned() });
        }
        Err(InvalidHeader::new(format!("not an entity tag: {value:?}")))
    }
}

impl TryFrom<&EntityTag> for HeaderValue {
    type Error = http::header::InvalidHeaderValue;

    /// Succeeds: a tag is a valid value.
    fn try_from(tag: &EntityTag) -> Result<Self, Self::Error> {
        Self::from_bytes(tag.value.as_bytes())
    }
}

/// A tag in a field of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scanned<'f> {
    is_weak: bool,
    /// With its quotation marks.
    quoted: &'f [u8],
}

/// What a list of tags says: `If-Match` or `If-None-Match`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listed<'f> {
    /// `*`: any state.
    Any,
    Tag(Scanned<'f>),
}

impl<'f> Scanned<'f> {
    pub(super) fn of(tag: &'f EntityTag) -> Self {
        let is_weak = tag.is_weak();
        let begin = if is_weak { WEAK.len() } else { 0 };
        Self { is_weak, quoted: &tag.value.as_bytes()[begin..] }
    }

    /// The tag at the beginning of `bytes`, and the bytes behind it.
    pub(super) fn first(bytes: &'f [u8]) -> Option<(Self, &'f [u8])> {
        let (is_weak, rest) = match bytes.strip_prefix(WEAK.as_bytes()) {
            Some(rest) => (true, rest),
            None => (false, bytes),
        };
        let inside = rest.strip_prefix(b"\"")?;
        let length = inside.iter().position(|&byte| !is_tag_byte(byte))?;
        let end = length + 2;
        (inside[length] == b'"').then(|| (Self { is_weak, quoted: &rest[..end] }, &rest[end..]))
    }

    pub(super) fn matches_strongly(self, other: Self) -> bool {
        !self.is_weak && !other.is_weak && self.quoted == other.quoted
    }

    pub(super) fn matches_weakly(self, other: Self) -> bool {
        self.quoted == other.quoted
    }
}

/// The elements of a list of tags. A `*` counts only alone. The list ends at the first element that
/// is malformed.
pub(super) fn listed(field: &[u8]) -> impl Iterator<Item = Listed<'_>> {
    let is_any = field.trim_ascii() == b"*";
    let mut rest = if is_any { &[][..] } else { field };
    let tags = std::iter::from_fn(move || {
        let begin = rest.iter().position(|byte| !b", \t".contains(byte))?;
        let (tag, behind) = Scanned::first(&rest[begin..])?;
        let behind = behind.trim_ascii_start();
        let is_good = behind.is_empty() || behind.starts_with(b",");
        rest = if is_good { behind } else { &[] };
        is_good.then_some(Listed::Tag(tag))
    });
    is_any.then_some(Listed::Any).into_iter().chain(tags)
}

fn is_tag(value: &[u8]) -> bool {
    Scanned::first(value).is_some_and(|(_, rest)| rest.is_empty())
}

/// Whether the byte may stand in a tag (RFC 9110 section 8.8.3: etagc).
fn is_tag_byte(byte: u8) -> bool {
    matches!(byte, b'!' | b'#'..=b'~' | 0x80..)
}

const WEAK: &str = "W/";

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(field: &str) -> Vec<String> {
        let text = |tag: Scanned<'_>| {
            let weak = if tag.is_weak { WEAK } else { "" };
            format!("{weak}{}", String::from_utf8_lossy(tag.quoted))
        };
        listed(field.as_bytes())
            .map(|listed| match listed {
                Listed::Any => "*".to_owned(),
                Listed::Tag(tag) => text(tag),
            })
            .collect()
    }

    #[test]
    fn a_list_ends_at_its_first_malformed_element() {
        let cases: [(&str, &[&str]); 14] = [
            ("\"a\"", &["\"a\""]),
            ("\"a\", W/\"b\",\"c\"", &["\"a\"", "W/\"b\"", "\"c\""]),
            (" ,, \"a\" ,\t\"b\" , ", &["\"a\"", "\"b\""]),
            ("\"a,b\", \"\"", &["\"a,b\"", "\"\""]),
            ("*", &["*"]),
            (" * ", &["*"]),
            ("*, \"a\"", &[]),
            ("\"a\", *", &["\"a\""]),
            ("a", &[]),
            ("\"a", &[]),
            ("\"a\" \"b\"", &[]),
            ("\"a\", \"b\"c, \"d\"", &["\"a\""]),
            ("w/\"a\"", &[]),
            ("\"a b\"", &[]),
        ];
        for (field, expected) in cases {
            assert_eq!(texts(field), expected, "{field}");
        }
    }

    #[test]
    fn the_table_of_rfc_9110_section_8_8_3_2() {
        let cases = [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ];
        for (one, other, strongly, weakly) in cases {
            let (one, other): (EntityTag, EntityTag) =
                (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.matches_strongly(&other), strongly);
            assert_eq!(other.matches_strongly(&one), strongly);
            assert_eq!(one.matches_weakly(&other), weakly);
        }
    }

    #[test]
    fn what_no_tag_may_hold_is_refused() {
        for text in ["", "a", "\"", "\"a\"b", "\"a\"b\"", "\"\r\n\"", "\"a b\"", "W/a", "*"] {
            assert!(text.parse::<EntityTag>().is_err(), "{text:?}");
        }
        assert!(std::panic::catch_unwind(|| EntityTag::strong("a\r\nset-cookie: b")).is_err());
        assert_eq!(EntityTag::weak("é").to_string(), "W/\"é\"");
    }

    quickcheck::quickcheck! {
        fn a_list_of_tags_is_read_as_it_was_written(tags: Vec<(bool, String)>) -> bool {
            let tags: Vec<String> = tags
                .into_iter()
                .map(|(is_weak, text)| {
                    let text: String =
                        text.chars().filter(|&c| !c.is_control() && c != ' ' && c != '"').collect();
                    format!("{}\"{text}\"", if is_weak { WEAK } else { "" })
                })
                .collect();
            texts(&tags.join(", ")) == tags && texts(&tags.join(",")) == tags
        }
    }
}
