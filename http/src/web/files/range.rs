//! The field `Range` (RFC 9110 section 14.2): which parts of a representation a client asks for.

use std::ops::Range;

/// What a `Range` field asks for, of a representation of known length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The whole: the field is malformed, of another unit, or lists too many parts.
    Whole,
    /// No part that exists.
    Unsatisfiable,
    /// Parts that exist, in the order of the field. None is empty, and no two have a common byte.
    Parts(Vec<Range<u64>>),
}

/// Reads a field. `length` is the length of the representation in bytes.
///
/// A part of which the representation has a beginning is cut to that, and a part of which it has
/// nothing is left out. Parts with common bytes become one, so no byte is sent twice (RFC 9110
/// section 14.2: overlapping ranges are an attack, or a mistake).
pub(crate) fn parse(field: &[u8], length: u64) -> Asked {
    let Some(equals) = field.iter().position(|&byte| byte == b'=') else { return Asked::Whole };
    let (unit, list) = (&field[..equals], &field[equals + 1..]);
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Asked::Whole;
    }
    let (mut parts, mut count) = (Vec::new(), 0);
    for spec in list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
        if spec.is_empty() {
            continue; // RFC 9110 section 5.6.1.2
        }
        count += 1;
        match part(spec, length) {
            Some(part) if count <= PARTS_MAX => parts.extend(part),
            _ => return Asked::Whole,
        }
    }
    match (count, parts.is_empty()) {
        (0, _) => Asked::Whole,
        // The last bytes of nothing are nothing, and no response has such a part.
        (_, true) if length == 0 && is_suffix(list) => Asked::Whole,
        (_, true) => Asked::Unsatisfiable,
        (_, false) => Asked::Parts(merged(parts)),
    }
}

/// The part that a `range-spec` names, if it exists; the outer `None` if it is malformed.
#[allow(clippy::option_option)]
fn part(spec: &[u8], length: u64) -> Option<Option<Range<u64>>> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    let (start, end) = match (first.is_empty(), last.is_empty()) {
        (true, true) => return None,
        (true, false) => (length.saturating_sub(number(last)?), length),
        (false, true) => (number(first)?, length),
        (false, false) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            (first, last.saturating_add(1).min(length))
        }
    };
    Some((start < end).then_some(start..end))
}

fn is_suffix(list: &[u8]) -> bool {
    list.split(|&byte| byte == b',').any(|spec| {
        let spec = spec.trim_ascii();
        spec.starts_with(b"-") && number(&spec[1..]).is_some_and(|number| number > 0)
    })
}

/// Digits, and only digits. A number that is too large is larger than every length.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add =
        |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

/// The parts without common bytes, each at the place of the first that it is made of.
fn merged(parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    if parts.len() == 1 {
        return parts;
    }
    let mut by_start: Vec<_> = parts.into_iter().enumerate().collect();
    by_start.sort_by_key(|(_, part)| part.start);
    let mut merged: Vec<(usize, Range<u64>)> = Vec::with_capacity(by_start.len());
    for (place, part) in by_start {
        match merged.last_mut() {
            Some((first, last)) if part.start < last.end => {
                *first = place.min(*first);
                last.end = part.end.max(last.end);
            }
            _ => merged.push((place, part)),
        }
    }
    merged.sort_by_key(|(place, _)| *place);
    merged.into_iter().map(|(_, part)| part).collect()
}

/// A field with more parts is ignored. Arbitrary: readers of documents ask for some dozens.
pub(crate) const PARTS_MAX: usize = 100;

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // lists of parts, some with one
mod tests {
    use super::*;

    fn parts(list: &[Range<u64>]) -> Asked {
        Asked::Parts(list.to_vec())
    }

    #[test]
    fn the_parts_of_ten_bytes() {
        let cases = [
            ("bytes=0-0", parts(&[0..1])),
            ("bytes=2-5", parts(&[2..6])),
            ("bytes=2-", parts(&[2..10])),
            ("bytes=-3", parts(&[7..10])),
            ("bytes=-30", parts(&[0..10])),
            ("bytes=9-", parts(&[9..10])),
            ("bytes=5-99", parts(&[5..10])),
            ("BYTES=0-0", parts(&[0..1])),
            ("bytes=0-0,-1", parts(&[0..1, 9..10])),
            ("bytes= 0-0 ,\t2-2 , ", parts(&[0..1, 2..3])),
            ("bytes=,,0-0", parts(&[0..1])),
            ("bytes=8-9,0-1", parts(&[8..10, 0..2])),
            ("bytes=0-1,2-3", parts(&[0..2, 2..4])),
            ("bytes=0-5,3-7", parts(&[0..8])),
            ("bytes=8-9,0-3,2-4,1-1", parts(&[8..10, 0..5])),
            ("bytes=4-,0-5", parts(&[0..10])),
            ("bytes=20-30,0-0", parts(&[0..1])),
            ("bytes=00000000000000000000000001-1", parts(&[1..2])),
            ("bytes=0-18446744073709551615", parts(&[0..10])),
            ("bytes=0-99999999999999999999999", parts(&[0..10])),
            ("bytes=-99999999999999999999999", parts(&[0..10])),
            ("bytes=10-", Asked::Unsatisfiable),
            ("bytes=10-12,11-", Asked::Unsatisfiable),
            ("bytes=-0", Asked::Unsatisfiable),
            ("bytes=99999999999999999999999-", Asked::Unsatisfiable),
            ("bytes=18446744073709551615-18446744073709551615", Asked::Unsatisfiable),
            ("", Asked::Whole),
            ("bytes", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=,", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=5-2", Asked::Whole),
            ("bytes=0-0,5-2", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=0", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=0x1-2", Asked::Whole),
            ("bytes=--1", Asked::Whole),
            ("bytes=1--1", Asked::Whole),
            ("bytes=1 -2", Asked::Whole),
            ("bytes=0-0;1-1", Asked::Whole),
            ("bytes=0-0, bytes=1-1", Asked::Whole),
            ("items=0-0", Asked::Whole),
            ("bytes =0-0", Asked::Whole),
            (" bytes=0-0", Asked::Whole),
            ("=0-0", Asked::Whole),
            ("bytes 0-0", Asked::Whole),
        ];
        for (field, expected) in cases {
            assert_eq!(parse(field.as_bytes(), 10), expected, "{field}");
        }
    }

    #[test]
    fn nothing_has_no_parts() {
        assert_eq!(parse(b"bytes=0-", 0), Asked::Unsatisfiable);
        assert_eq!(parse(b"bytes=0-0", 0), Asked::Unsatisfiable);
        assert_eq!(parse(b"bytes=-0", 0), Asked::Unsatisfiable);
        assert_eq!(parse(b"bytes=-5", 0), Asked::Whole);
    }

    #[test]
    fn thousands_of_parts_are_ignored() {
        let field = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        assert_eq!(parse(field(PARTS_MAX).as_bytes(), 10), parts(&[0..1]));
        for count in [PARTS_MAX + 1, 100_000] {
            assert_eq!(parse(field(count).as_bytes(), 10), Asked::Whole);
        }
    }

    quickcheck::quickcheck! {
        /// The set of bytes is the one that is found byte by byte.
        fn the_parts_have_the_bytes_that_were_asked_for(
            length: u8, specs: Vec<(Option<u8>, Option<u8>)>
        ) -> bool {
            let length = u64::from(length);
            let text = |number: Option<u8>| number.map_or(String::new(), |n| n.to_string());
            let list: Vec<String> = specs
                .iter()
                .map(|(first, last)| format!("{}-{}", text(*first), text(*last)))
                .collect();
            let asked = parse(format!("bytes={}", list.join(", ")).as_bytes(), length);
            let is_malformed = specs.iter().any(|spec| match *spec {
                (None, None) => true,
                (Some(first), Some(last)) => first > last,
                _ => false,
            });
            let holds = |at: u64| specs.iter().any(|spec| match *spec {
                (Some(first), Some(last)) => (u64::from(first)..=u64::from(last)).contains(&at),
                (Some(first), None) => at >= u64::from(first),
                (None, Some(last)) => at + u64::from(last) >= length,
                (None, None) => false,
            });
            match asked {
                Asked::Whole => is_malformed || specs.is_empty() || specs.len() > PARTS_MAX
                    || length == 0,
                Asked::Unsatisfiable => !is_malformed && !(0..length).any(holds),
                Asked::Parts(parts) => {
                    let count = |at: u64| parts.iter().filter(|part| part.contains(&at)).count();
                    !is_malformed
                        && parts.iter().all(|part| !part.is_empty() && part.end <= length)
                        && (0..length).all(|at| count(at) == usize::from(holds(at)))
                }
            }
        }
    }
}
