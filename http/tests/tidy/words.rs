//! Words that comments and pages avoid, because they hide which part of the program is meant.
//!
//! The list has only words that are wrong everywhere. Code is not checked, neither between
//! backquotes nor in a block: the name of a test may contain such a word.

use super::tokens::lex;
use super::tree::{File, Tree};

/// The words to avoid, or several words in a row, in small letters.
const WORDS: &[&str] = &[
    "anybody",
    "anybody's",
    "everybody",
    "everybody's",
    "he",
    "he's",
    "him",
    "himself",
    "his",
    "nobody",
    "nobody's",
    "she",
    "somebody",
    "somebody's",
    "someone",
    "someone's",
    "those who",
    "whatsoever",
    "who comes",
    "whoever",
    "whomever",
    "whosever",
];

/// Pages that may contain the words, and why.
const EXCEPT: &[(&str, &str)] = &[("CONTRIBUTING.md", "it says which words these are")];

#[test]
fn comments_and_pages_name_their_subject() {
    super::fail(&failures(Tree::of_repository()));
}

fn failures(tree: &Tree) -> Vec<String> {
    let mut failures = Vec::new();
    for file in &tree.files {
        if EXCEPT.iter().any(|(path, _)| *path == file.path) {
            continue;
        }
        let lines = if file.is_source() {
            lex(&file.text).comments
        } else {
            file.text.lines().enumerate().map(|(number, line)| (number + 1, line)).collect()
        };
        for (line, text) in without_blocks(&lines) {
            failures.extend(of_line(file, line, text));
        }
    }
    failures
}

/// The lines outside of blocks of code. A block in a comment ends with the comment at the latest.
fn without_blocks<'a>(lines: &[(usize, &'a str)]) -> Vec<(usize, &'a str)> {
    let mut is_code = false;
    let mut last = 0;
    let mut prose = Vec::new();
    for &(line, text) in lines {
        is_code &= line == last + 1;
        last = line;
        if text.trim_start_matches(['/', '!', ' ']).starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            prose.push((line, text));
        }
    }
    prose
}

fn of_line(file: &File, line: usize, text: &str) -> Vec<String> {
    let plain = without_code(text).to_lowercase();
    let words: Vec<_> =
        plain.split(|c: char| !is_word_part(c)).filter(|word| !word.is_empty()).collect();
    let in_a_row = format!(" {} ", words.join(" "));
    WORDS
        .iter()
        .filter(|phrase| in_a_row.contains(&format!(" {phrase} ")))
        .map(|phrase| {
            format!(
                "`{}:{line}` says \"{phrase}\": name what is meant, such as the fiber, the peer or \
                 the caller",
                file.path
            )
        })
        .collect()
}

fn is_word_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '\'')
}

/// The text without the parts between backquotes.
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
            failures.iter().map(|failure| &failure[..failure.find(':').unwrap_or(0)]).collect();
        assert_eq!(found, ["`a.rs", "`a.rs", "`b.md", "`b.md"]);
        assert!(failures[0].starts_with("`a.rs:1` says \"whoever\": name what is meant"));
    }

    #[test]
    fn code_and_longer_words_are_not_looked_at() {
        let tree = Tree::of(&[
            ("a.rs", "/// The `whoever` of a_test_of_nobody: the head.\nfn he() { \"whoever\"; }"),
            ("b.rs", "/// ```\n/// // nobody\n/// ```\n/// Rest."),
            ("b.md", "# B\n\n```text\nwhoever\n```\n"),
            ("CONTRIBUTING.md", "# C\n\nNot whoever.\n"),
        ]);
        assert_eq!(failures(&tree), [""; 0]);
    }
}
