//! Text from outside, made safe for a log.
//!
//! The text of a panic, an error or a request's target may come from a client. It must not end a
//! line, move a terminal's cursor, or change the direction of text.

use std::fmt::{self, Display, Formatter, Write};

/// Displays a value with backslashes and all characters that are not printable escaped. So the text
/// is one line, and no client's text looks like an escape.
#[derive(Debug)]
pub(crate) struct Escaped<T>(pub(crate) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'e, 'f>(&'e mut Formatter<'f>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|character| match character {
            '\\' => self.0.write_str("\\\\"),
            _ if is_printable(character) => self.0.write_char(character),
            _ => write!(self.0, "{}", character.escape_debug()),
        })
    }
}

/// Whether a character is only what it looks like: not a control character, not a line or paragraph
/// separator, no change of the direction of text, not unassigned.
pub(super) fn is_printable(character: char) -> bool {
    match character {
        '"' | '\'' | '\\' => true,
        _ => character.escape_debug().len() == 1,
    }
}

/// The end of the last whole character within the first `most` bytes.
pub(super) fn boundary_below(text: &str, most: usize) -> usize {
    let most = most.min(text.len());
    (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_printable_is_escaped_and_the_rest_is_not() {
        for (text, expected) in [
            (
                "it's \"plain\" text, \u{e9} and \u{4e2d}",
                "it's \"plain\" text, \u{e9} and \u{4e2d}",
            ),
            ("a\r\nb\tc\0", "a\\r\\nb\\tc\\0"),
            ("\u{1b}[2J\u{7f}\u{9b}", "\\u{1b}[2J\\u{7f}\\u{9b}"),
            ("\u{202e}\u{2028}\u{feff}", "\\u{202e}\\u{2028}\\u{feff}"),
            ("a\\nb", "a\\\\nb"),
        ] {
            assert_eq!(Escaped(text).to_string(), expected);
        }
    }
}
