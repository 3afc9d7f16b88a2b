//! The path of a request, in the form in which it is compared with patterns.
//!
//! RFC 3986 section 6.2.2: `%74` is the same as `t`, because `t` is an unreserved character, and
//! `%2f` is the same as `%2F`, but not the same as a slash. So a path is compared after its escapes
//! of unreserved characters are decoded and the others have capital letters.
//!
//! Dot segments (`/./`, `/../`) and empty segments (`//`) stay as they are: clients resolve dot
//! segments before they send a path (section 5.2.4), so the server has no reason to guess. No
//! parameter's value is a dot segment, see `params`.

use std::borrow::Cow;

/// The path in its normal form; borrowed if it has no escapes, as almost all paths.
#[inline]
pub(super) fn normal_form(path: &str) -> Cow<'_, str> {
    match memchr::memchr(b'%', path.as_bytes()) {
        None => Cow::Borrowed(path),
        Some(_) => Cow::Owned(normalized(path)),
    }
}

#[cold]
fn normalized(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        normal.push_str(&rest[..at]);
        rest = &rest[at..];
        let escape = rest.get(1..3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escape {
            // `from_str_radix` takes a sign, which is no digit.
            Some(byte) if rest.as_bytes()[1] != b'+' => {
                push_byte(&mut normal, byte);
                rest = &rest[3..];
            }
            // Not an escape: it stays as it is, and the value of a parameter with it is refused.
            _ => {
                normal.push('%');
                rest = &rest[1..];
            }
        }
    }
    normal.push_str(rest);
    normal
}

/// Adds a byte of a path: an unreserved character as itself, any other escaped.
fn push_byte(text: &mut String, byte: u8) {
    if is_unreserved(byte) {
        text.push(char::from(byte));
    } else {
        push_escaped(text, byte);
    }
}

/// Adds a byte as an escape with capital letters.
fn push_escaped(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

/// The fixed part of a pattern in the same form: what cannot stand in a path is escaped, so that
/// `/café` is the pattern of the path `/caf%C3%A9`.
pub(super) fn normal_literal(literal: &str) -> String {
    let mut normal = String::with_capacity(literal.len());
    for byte in normal_form(literal).bytes() {
        // An escape in a pattern is an escape; a `%` that is none cannot match anything else.
        if is_unreserved(byte) || b"!$&'()*+,;=:@/%{}".contains(&byte) {
            normal.push(char::from(byte));
        } else {
            push_escaped(&mut normal, byte);
        }
    }
    normal
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    #[test]
    fn escapes_of_unreserved_characters_are_decoded_and_no_others() {
        for (path, normal) in [
            ("/todos", "/todos"),
            ("/%74odos", "/todos"),
            ("/a%2fb%2F", "/a%2Fb%2F"),
            ("/%2e%2E/%7e", "/../~"),
            ("/%00%c3%a9", "/%00%C3%A9"),
            ("/%2574", "/%2574"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%+4%-1%zz%%41", "/%+4%-1%zz%A"),
        ] {
            assert_eq!(normal_form(path), normal, "{path}");
        }
    }

    #[test]
    fn a_pattern_may_contain_any_character() {
        assert_eq!(normal_literal("/café au lait"), "/caf%C3%A9%20au%20lait");
        assert_eq!(normal_literal("/caf%c3%a9@x"), "/caf%C3%A9@x");
    }

    quickcheck! {
        fn the_normal_form_is_its_own_normal_form(path: String) -> bool {
            // "%%41" becomes "%A", which a client could not have sent as one escape.
            let once = normal_form(&path).into_owned();
            path.contains("%%") || once.contains("%%") || is_settled(&once)
        }
    }

    fn is_settled(path: &str) -> bool {
        path.split('%').skip(1).any(|rest| rest.len() < 2) || normal_form(path) == path
    }
}
