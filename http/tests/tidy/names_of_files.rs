//! Comments and pages name only files that exist. After a move, the old name leads nowhere.

use super::tokens::lex;
use super::tree::Tree;

#[test]
fn files_that_are_named_exist() {
    super::fail(&failures(Tree::of_repository()));
}

fn failures(tree: &Tree) -> Vec<String> {
    let mut failures = Vec::new();
    for file in &tree.files {
        let lines = if file.is_source() {
            lex(&file.text).comments
        } else {
            file.text.lines().enumerate().map(|(number, line)| (number + 1, line)).collect()
        };
        for (line, text) in lines {
            // Only text between backquotes is looked at.
            for name in text.split('`').skip(1).step_by(2).filter(|code| is_name(code)) {
                let is_it = |path: &str| path == name || path.ends_with(&format!("/{name}"));
                if !tree.files.iter().any(|other| is_it(&other.path)) {
                    failures.push(format!(
                        "`{}:{line}` names `{name}`, and there is no such file: write the end of \
                         its path, such as `core/turn.rs`",
                        file.path
                    ));
                }
            }
        }
    }
    failures
}

/// Whether the text has the form of the path of a source or a page.
fn is_name(code: &str) -> bool {
    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
    let stem = [".rs", ".md"].iter().find_map(|ending| code.strip_suffix(ending));
    stem.is_some_and(|stem| !stem.is_empty() && stem.chars().all(is_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_gone_is_found() {
        let tree = Tree::of(&[
            ("a/src/b.rs", "//! See `a/src/b.rs`, `b.rs`, `src/c.rs` and `*.rs`.\n"),
            ("page.md", "`page.md`, `b.rs` and `xb.rs`"),
        ]);
        let failures = failures(&tree);
        assert_eq!(failures.len(), 2, "{failures:?}");
        assert!(failures[0].starts_with("`a/src/b.rs:1` names `src/c.rs`"));
        assert!(failures[1].starts_with("`page.md:1` names `xb.rs`"));
    }
}
