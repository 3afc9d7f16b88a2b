//! Which code is for tests alone: `#[cfg(test)]` and conditions that imply it.
//!
//! Such code may use every file, so it is removed before a source is read.

use super::tokens::{Token, closing};

/// The tokens without the items, fields and statements that only a test or a doctest compiles.
pub(crate) fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let is_attribute = tokens[at].is("#") && tokens.get(at + 1).is_some_and(|t| t.is("["));
        if is_attribute && is_for_tests(tokens, at + 2) {
            at = end_of_item(tokens, closing(tokens, at + 1) + 1);
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

fn is_for_tests(tokens: &[Token<'_>], at: usize) -> bool {
    let is_cfg = tokens.get(at).is_some_and(|t| t.is("cfg"));
    is_cfg && tokens.get(at + 1).is_some_and(|t| t.is("(")) && holds(tokens, at + 2) == Some(false)
}

/// The value of a condition in a build without tests; `None` if it depends on something else.
fn holds(tokens: &[Token<'_>], at: usize) -> Option<bool> {
    let first = tokens.get(at)?;
    let is_call = tokens.get(at + 1).is_some_and(|t| t.is("("));
    if !is_call {
        return (first.is("test") || first.is("doctest")).then_some(false);
    }
    let parts: Vec<_> = parts(tokens, at + 1).map(|part| holds(tokens, part)).collect();
    match first.text {
        "not" => parts.first().copied().flatten().map(|holds| !holds),
        "all" if parts.contains(&Some(false)) => Some(false),
        "any" if parts.iter().all(|part| *part == Some(false)) => Some(false),
        _ => None,
    }
}

/// Where the parts of a list in parentheses begin.
fn parts(tokens: &[Token<'_>], open: usize) -> impl Iterator<Item = usize> {
    let end = closing(tokens, open);
    let mut begins = vec![open + 1];
    let mut at = open + 1;
    while at < end {
        if tokens[at].is("(") {
            at = closing(tokens, at);
        } else if tokens[at].is(",") && at + 1 < end {
            begins.push(at + 1);
        }
        at += 1;
    }
    begins.into_iter()
}

/// Where the item ends whose first token, or whose next attribute, is at `at`.
pub(crate) fn end_of_item(tokens: &[Token<'_>], mut at: usize) -> usize {
    while tokens.get(at).is_some_and(|t| t.is("#")) {
        at = closing(tokens, at + 1) + 1;
    }
    let first = tokens[at.min(tokens.len())..]
        .iter()
        .find(|t| t.is_word() && !matches!(t.text, "pub" | "crate" | "super" | "in"));
    let ends_with_semicolon = first.is_some_and(|t| SEMICOLON.contains(&t.text));
    let is_item = ends_with_semicolon || first.is_some_and(|t| BLOCK.contains(&t.text));
    while at < tokens.len() {
        match tokens[at].text {
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            ")" | "]" | "}" => return at,
            "{" if !ends_with_semicolon => return closing(tokens, at) + 1,
            "(" | "[" | "{" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
    at
}

/// Items that begin with such a word end with a semicolon, even if they contain blocks.
const SEMICOLON: &[&str] = &["use", "static", "type", "let"];

/// Items that begin with such a word end with their block, or with a semicolon before a block.
const BLOCK: &[&str] = &[
    "fn",
    "impl",
    "struct",
    "enum",
    "union",
    "trait",
    "mod",
    "unsafe",
    "async",
    "const",
    "extern",
    "macro_rules",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::lex;

    fn kept(text: &str) -> String {
        let texts: Vec<_> = without_tests(&lex(text).tokens).iter().map(|t| t.text).collect();
        texts.join(" ")
    }

    #[test]
    fn what_only_a_test_compiles_is_taken_away() {
        assert_eq!(kept("#[cfg(test)] mod tests { use a::b; } fn c() {}"), "fn c ( ) { }");
        assert_eq!(kept("#[cfg(all(test, unix))] #[path = \"x\"] mod tests; d"), "d");
        assert_eq!(kept("#[cfg(test)] use a::{b, c}; d"), "d");
        assert_eq!(kept("struct A { #[cfg(test)] b: u8, c: u8 }"), "struct A { c : u8 }");
    }

    #[test]
    fn what_others_compile_too_stays() {
        let texts =
            ["# [ cfg ( not ( test ) ) ] a", "# [ cfg ( any ( test , unix ) ) ] a", "# [ test ] a"];
        for text in texts {
            assert_eq!(kept(text), text);
        }
    }
}
