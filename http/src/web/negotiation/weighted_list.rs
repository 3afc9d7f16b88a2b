//! A list of ranges with weights: the syntax that `Accept`, `Accept-Language` and
//! `Accept-Encoding` share (RFC 9110 sections 12.4.2 and 12.5).
//!
//! An element that is malformed is left out, and the others count: a client that makes a mistake in
//! one element gets what the rest of its list allows.

use std::str;

use crate::proto::Headers;

/// The ranges of a field with their weights, in the order of the client.
#[derive(Clone, Debug, Default)]
pub(super) struct WeightedList<'h> {
    ranges: Vec<WeightedRange<'h>>,
}

/// A range, and how much the client wants what the range matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WeightedRange<'h> {
    /// The text in front of the weight, such as `text/html;level=1`, `en-GB`, `br` or `*`.
    pub(super) range: &'h str,
    /// In thousandths. 0 means that the client does not accept it.
    pub(super) quality: u16,
}

impl<'h> WeightedList<'h> {
    /// The list of all fields of that name.
    pub(super) fn of(headers: Headers<'h>, name: &'static str) -> Self {
        let values = headers.all(name).filter_map(|value| str::from_utf8(value).ok());
        let elements = values.flat_map(Parts::elements).filter(|element| !element.is_empty());
        Self { ranges: elements.take(ELEMENTS_MAX).filter_map(parse_element).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = WeightedRange<'h>> {
        self.ranges.iter().copied()
    }
}

/// The choice of the highest quality; of several, the first. `None` if no quality is above 0.
pub(super) fn best<'c>(choices: &[&'c str], quality: impl Fn(&str) -> u16) -> Option<&'c str> {
    let mut best = (0, None);
    for choice in choices {
        let quality = quality(choice);
        if quality > best.0 {
            best = (quality, Some(*choice));
        }
    }
    best.1
}

/// The parts of a text between separators that are not within a quoted string, without the spaces
/// around them. An unfinished quoted string ends with the text.
pub(super) struct Parts<'t> {
    rest: Option<&'t str>,
    separator: u8,
}

impl<'t> Parts<'t> {
    /// The elements of a list.
    pub(super) fn elements(list: &'t str) -> Self {
        Self { rest: Some(list), separator: b',' }
    }

    /// An item, and its parameters.
    pub(super) fn parameters(item: &'t str) -> Self {
        Self { rest: Some(item), separator: b';' }
    }
}

impl<'t> Iterator for Parts<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let rest = self.rest?;
        let (mut is_quoted, mut is_escaped) = (false, false);
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_quoted => is_escaped = true,
                b'"' => is_quoted = !is_quoted,
                _ if byte == self.separator && !is_quoted => {
                    self.rest = Some(&rest[at + 1..]);
                    return Some(rest[..at].trim_ascii());
                }
                _ => {}
            }
        }
        self.rest = None;
        Some(rest.trim_ascii())
    }
}

/// The range and the weight of an element; `None` if it is malformed.
fn parse_element(element: &str) -> Option<WeightedRange<'_>> {
    if element.starts_with(';') {
        return None;
    }
    let mut range = "";
    for part in Parts::parameters(element) {
        if let Some((name, weight)) = part.split_once('=')
            && name.trim_ascii().eq_ignore_ascii_case("q")
            && !range.is_empty()
        {
            // Older standards allowed parameters behind the weight. They do not count.
            return Some(WeightedRange { range, quality: parse_quality(weight.trim_ascii())? });
        }
        // Both are parts of `element`, so the range extends to the end of this part.
        let end = part.as_ptr().addr() + part.len() - element.as_ptr().addr();
        range = &element[..end];
    }
    Some(WeightedRange { range: range.trim_ascii(), quality: QUALITY_MAX })
}

/// A weight in thousandths. As well as what RFC 9110 section 12.4.2 allows it takes more than three
/// digits, and a weight such as `.2`: there are clients that send them.
fn parse_quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digit = |at| fraction.as_bytes().get(at).map_or(0, |digit| u16::from(digit - b'0'));
    let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2);
    let is_zero = fraction.bytes().all(|byte| byte == b'0');
    match whole {
        "1" if is_zero => Some(QUALITY_MAX),
        // Less than a thousandth is little, but not a refusal.
        "0" => Some(thousandths.max(u16::from(!is_zero))),
        "" if !fraction.is_empty() => Some(thousandths.max(u16::from(!is_zero))),
        _ => None,
    }
}

/// The weight of what the client wants most.
pub(super) const QUALITY_MAX: u16 = 1000;

/// How many elements of a field count; the rest is ignored, so that a choice among a few costs a
/// bounded time. Arbitrary: browsers send less than ten.
const ELEMENTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;

    fn parse(field: &str) -> Vec<(String, u16)> {
        let request = Request::builder().header("accept", field).build().expect("a request");
        let list = WeightedList::of(request.headers(), "accept");
        list.iter().map(|range| (range.range.to_owned(), range.quality)).collect()
    }

    fn one(range: &str, quality: u16) -> Vec<(String, u16)> {
        vec![(range.to_owned(), quality)]
    }

    #[test]
    fn a_weight_is_read_in_thousandths() {
        let weights = [
            ("a", 1000),
            ("a;q=1", 1000),
            ("a;q=1.", 1000),
            ("a;q=1.000", 1000),
            ("a; Q = 0.5", 500),
            ("a;q=0.05", 50),
            ("a;q=0.005", 5),
            ("a;q=0.9999", 999),
            ("a;q=0.0001", 1),
            ("a;q=.2", 200),
            ("a;q=0", 0),
            ("a;q=0.", 0),
            ("a;q=0.000", 0),
            ("a;q=0.5;later=1", 500),
        ];
        for (field, quality) in weights {
            assert_eq!(parse(field), one("a", quality), "{field}");
        }
    }

    #[test]
    fn only_the_element_that_is_malformed_is_left_out() {
        for wrong in ["a;q=", "a;q=.", "a;q=2", "a;q=1.001", "a;q=-1", "a;q=x", "a;q=0.x", ";"] {
            let found = parse(&format!("{wrong}, b;q=0.1"));
            assert_eq!(found, one("b", 100), "{wrong}");
        }
        assert_eq!(parse(", ,,b ,"), one("b", 1000));
        assert!(parse("").is_empty());
    }

    #[test]
    fn a_separator_within_quotes_does_not_count() {
        assert_eq!(parse(r#"a;b="c,d;q=0";q=0.5"#), one(r#"a;b="c,d;q=0""#, 500));
        assert_eq!(parse(r#"a;b="\",;q=0";q=0.5"#), one(r#"a;b="\",;q=0""#, 500));
        assert_eq!(parse(r#"a;b="c, d;q=0.5"#), one(r#"a;b="c, d;q=0.5"#, 1000));
    }

    #[test]
    fn the_first_elements_count() {
        let field = (0..1000).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(parse(&field).len(), ELEMENTS_MAX);
    }
}
