//! Files, functions and lines are short enough to be read.

use std::collections::BTreeSet;

use super::tokens::{Token, closing, lex};
use super::tree::{File, Tree};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 100;

#[test]
fn files_functions_and_lines_are_short() {
    let sources = Tree::of_repository().with_ending(".rs");
    super::fail(&sources.flat_map(failures).collect::<Vec<_>>());
}

pub(crate) fn failures(file: &File) -> Vec<String> {
    let File { path, text } = file;
    let mut failures = Vec::new();
    let lines = text.lines().count();
    if lines > FILE_LINES_MAX {
        failures.push(format!(
            "`{path}` has {lines} lines, and {FILE_LINES_MAX} are allowed: move one of its ideas \
             to a file of its own"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            failures.push(format!(
                "`{path}:{}` has {columns} columns, and {LINE_COLUMNS_MAX} are allowed: break it",
                number + 1
            ));
        }
    }
    for (name, line, lines) in functions(&lex(text).tokens) {
        if lines > FUNCTION_LINES_MAX {
            failures.push(format!(
                "`{path}:{line}`: `{name}` has {lines} lines of code, and {FUNCTION_LINES_MAX} are \
                 allowed: give one of its steps a name and a function, or make a table a constant"
            ));
        }
    }
    failures
}

/// Each function with a body: its name, its line, and how many lines of code it has. Comments and
/// empty lines do not count, so that the limit is no reason to remove them.
fn functions<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, usize, usize)> {
    let mut found = Vec::new();
    for at in (1..tokens.len()).filter(|at| tokens[at - 1].is("fn") && tokens[*at].is_word()) {
        let Some(open) = body(tokens, at) else { continue };
        let end = closing(tokens, open).min(tokens.len() - 1);
        let lines: BTreeSet<_> = tokens[at..=end].iter().map(|token| token.line).collect();
        found.push((tokens[at].text, tokens[at].line, lines.len()));
    }
    found
}

fn body(tokens: &[Token<'_>], mut at: usize) -> Option<usize> {
    loop {
        match tokens.get(at)?.text {
            "{" => return Some(at),
            ";" | "}" => return None,
            "(" | "[" => at = closing(tokens, at) + 1,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_measured_from_its_name_to_its_last_brace_without_comments() {
        let text = "fn a(b: [u8; 2])\nwhere\n    C: D,\n{\n    // f\n\n    fn e() {}\n}\n\
                    trait F { fn g(); }";
        assert_eq!(functions(&lex(text).tokens), [("a", 1, 6), ("e", 7, 1)]);
    }

    #[test]
    fn what_is_too_long_is_told_with_its_place() {
        let line = format!("//{}\n", "x".repeat(LINE_COLUMNS_MAX));
        let function = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(FUNCTION_LINES_MAX));
        let text = format!("{line}{function}{}", "\n".repeat(FILE_LINES_MAX));
        let failures = failures(&File { path: "a.rs".to_owned(), text });
        assert_eq!(failures.len(), 3);
        assert!(failures[0].starts_with("`a.rs` has 673 lines"));
        assert!(failures[1].starts_with("`a.rs:1` has 102 columns"));
        assert!(failures[2].starts_with("`a.rs:2`: `f` has 72 lines of code"));
    }
}
