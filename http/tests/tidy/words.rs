//! Words that comments and pages do without, because they hide who does something.
//!
//! The list has only words that are wrong wherever they stand. Code and quoted code are not looked
//! at: a test may be named by such a word.

use super::tokens::lex;
use super::tree::{File, Tree};

/// What is not written, and what to write.
const WORDS: &[(&str, &str)] = &[
    ("anybody", SUBJECT),
    ("everybody", SUBJECT),
    ("he", SUBJECT),
    ("him", SUBJECT),
    ("himself", SUBJECT),
    ("his", SUBJECT),
    ("nobody", SUBJECT),
    ("nobody's", SUBJECT),
    ("she", SUBJECT),
    ("somebody", SUBJECT),
    ("somebody's", SUBJECT),
    ("someone", SUBJECT),
    ("whatsoever", "leave it out"),
    ("whoever", SUBJECT),
    ("whomever", SUBJECT),
];

/// Words that hint, in a row.
const PHRASES: &[(&str, &str)] = &[
    ("for whom", SUBJECT),
    ("nobody else", SUBJECT),
    ("of whom", SUBJECT),
    ("those who", SUBJECT),
    ("to whom", SUBJECT),
    ("who asks", SUBJECT),
    ("who comes", SUBJECT),
    ("who waits", SUBJECT),
];

const SUBJECT: &str = "name the subject (the fiber, the peer, the caller)";

#[test]
#[ignore = "hundreds of comments are to be mended first"]
fn comments_and_pages_name_the_subject() {
    super::fail(&failures(Tree::of_repository()));
}

pub(crate) fn failures(tree: &Tree) -> Vec<String> {
    let sources = tree.with_ending(".rs").flat_map(|file| {
        let comments = lex(&file.text).comments;
        comments.into_iter().flat_map(|(line, text)| of_line(file, line, text)).collect::<Vec<_>>()
    });
    let pages = tree.with_ending(".md").flat_map(of_page);
    sources.chain(pages).collect()
}

/// What is wrong with a page, but for its blocks of code.
fn of_page(file: &File) -> Vec<String> {
    let mut is_code = false;
    let mut failures = Vec::new();
    for (number, line) in file.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            failures.extend(of_line(file, number + 1, line));
        }
    }
    failures
}

fn of_line(file: &File, line: usize, text: &str) -> Vec<String> {
    let plain = without_code(text).to_lowercase();
    let words: Vec<_> =
        plain.split(|c: char| !is_word_part(c)).filter(|word| !word.is_empty()).collect();
    let in_a_row = format!(" {} ", words.join(" "));
    WORDS
        .iter()
        .chain(PHRASES)
        .filter(|(phrase, _)| in_a_row.contains(&format!(" {phrase} ")))
        .map(|(phrase, instead)| format!("`{}:{line}` says \"{phrase}\": {instead}", file.path))
        .collect()
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '\'')
}

/// The text without what stands between backquotes.
fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hidden_subject_is_found_in_comments_and_pages() {
        let tree = Tree::of(&[
            ("a.rs", "/// Whoever waits.\nfn a() {} // and He is told"),
            ("b.md", "# B\n\nThose who read, and nobody's."),
        ]);
        let failures = failures(&tree);
        let found: Vec<_> =
            failures.iter().map(|told| &told[..told.find(':').unwrap_or(0)]).collect();
        assert_eq!(found, ["`a.rs", "`a.rs", "`b.md", "`b.md"]);
        assert!(failures[0].starts_with("`a.rs:1` says \"whoever\": name the subject"));
    }

    #[test]
    fn code_and_longer_words_are_not_looked_at() {
        let tree = Tree::of(&[
            ("a.rs", "/// The `whoever` of a_test_of_nobody: the head.\nfn he() { \"whoever\"; }"),
            ("b.md", "# B\n\n```text\nwhoever\n```\n"),
        ]);
        assert_eq!(failures(&tree), [""; 0]);
    }
}
