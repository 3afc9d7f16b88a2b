//! `Accept-Language` (RFC 9110 section 12.5.4), with the matching of RFC 4647.

use http::header;

use super::weighted_list::{QUALITY_MAX, WeightedList, best};
use crate::proto::Headers;

/// The languages that the client accepts (RFC 9110 section 12.5.4).
///
/// A response that depends on it needs `Vary: accept-language`.
///
/// A range matches a tag that begins with it: `en` matches `en-GB` (RFC 4647 section 3.3.1). The
/// longest range that matches counts, and `*` matches what no other does. A range that is longer
/// than the tag matches it if there is nothing better: `de-CH` matches `de` (section 3.4). Without
/// the field every language is accepted.
///
/// Not a yield point. Of the field, the first 64 elements count; an element that is malformed does
/// not.
///
/// ```
/// use straightline::Request;
/// use straightline::web::RequestExt;
///
/// let request = Request::builder().header("accept-language", "de-CH, en;q=0.8").build()?;
/// let languages = request.accepted_languages();
/// assert_eq!(languages.preferred(&["en-US", "de"]), Some("de"));
/// assert_eq!(languages.preferred(&["fr"]).unwrap_or("en-US"), "en-US");
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone, Debug)]
pub struct AcceptedLanguages<'h> {
    list: WeightedList<'h>,
}

impl<'h> AcceptedLanguages<'h> {
    /// What the fields of a request say.
    pub fn of(headers: Headers<'h>) -> Self {
        Self { list: WeightedList::of(headers, header::ACCEPT_LANGUAGE.as_str()) }
    }

    /// How much the client wants the language, in thousandths; 0 if it does not accept it. Case
    /// does not matter.
    pub fn quality(&self, tag: &str) -> u16 {
        if self.list.is_empty() {
            return QUALITY_MAX;
        }
        let matching = self.list.iter().filter(|entry| begins_with(tag, entry.range));
        // Of several with the same length, the first.
        let longest = matching.rev().max_by_key(|entry| entry.range.len());
        if let Some(entry) = longest {
            return entry.quality;
        }
        let longer = self.list.iter().filter(|entry| begins_with(entry.range, tag));
        match longer.map(|entry| entry.quality).max() {
            // A refusal of `de-CH` is none of `de`.
            Some(quality @ 1..) => quality,
            _ => self.list.iter().find(|entry| entry.range == "*").map_or(0, |any| any.quality),
        }
    }

    /// The language among `choices` that the client prefers; of several, the first. `None` if it
    /// accepts none of them: send a default then, or a 406.
    pub fn preferred<'c>(&self, choices: &[&'c str]) -> Option<&'c str> {
        best(choices, |tag| self.quality(tag))
    }
}

/// Whether `start` is the whole of `tag`, or its first subtags.
fn begins_with(tag: &str, start: &str) -> bool {
    let (tag, start) = (tag.as_bytes(), start.as_bytes());
    let begins = tag.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    begins && matches!(tag.get(start.len()), None | Some(b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    #[test]
    fn a_tag_has_the_quality_of_the_range_that_fits_best() {
        let cases = [
            ("en", "en-GB", 1000),
            ("en, en-GB;q=0.3", "en-gb", 300),
            ("en-GB;q=0.3, en", "EN-US", 1000),
            ("en", "eng", 0),
            ("de-CH;q=0.7", "de", 700),
            ("de-CH;q=0.7, de-AT;q=0.8", "de", 800),
            ("de-CH;q=0, *;q=0.1", "de", 100),
            ("de;q=0, *", "de-CH", 0),
            ("*;q=0.5, fr", "de", 500),
            ("*;q=0", "de", 0),
            ("", "de", 1000),
        ];
        for (field, tag, expected) in cases {
            let request = Request::builder().header("accept-language", field).build();
            let request = request.expect("a request");
            let languages = AcceptedLanguages::of(request.headers());
            assert_eq!(languages.quality(tag), expected, "{field}: {tag}");
        }
    }
}
