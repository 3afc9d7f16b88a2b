//! The house rules that a machine can check, each failure a sentence that says what to do.
//!
//! The rules are data at the top of their files: `floors` is the picture of the layout, `circles`
//! and `scattered` keep files apart, `places` says what may be named and written where, `sizes` how
//! long things are, `words` how comments speak. `contents` prints a table of all sources. Under the
//! rules is a small reader of Rust: `tokens`, `cfg`, `uses`, `syntax`, then `modules` which follows
//! paths to files, `arrows` and `methods`, which say what uses what, and `layout`, which has all that
//! of each crate once.
//!
//! `STRAIGHTLINE_TIDY_ROOT` names another worktree to be checked instead of this one.

mod arrows;
mod cfg;
mod circles;
mod contents;
mod floors;
mod layout;
mod methods;
mod modules;
mod places;
mod scattered;
mod sizes;
mod syntax;
mod tokens;
mod tree;
mod uses;
mod words;

/// Fails with all the sentences, if there is any.
fn fail(failures: &[String]) {
    let told = failures.join("\n\n");
    assert!(failures.is_empty(), "{} failures:\n\n{told}\n", failures.len());
}
