//! The rules of the layout that a machine can check.
//!
//! Each failure is a sentence that says what to do. The rules are data at the top of their files.
//! `floors` is the picture of the layout. `circles` and `scattered` keep the files of a crate
//! apart. `places` says which code may stand where, `sizes` how long files and functions may be,
//! `words` which words comments avoid. `names_of_files` checks that the files exist that comments
//! name, and `named_tests` that the tests exist that pages name. `guides` checks that the pages are
//! in the documentation, and `excerpts` that the code in pages is that of the files they name.
//! `figures` checks that pages cite what was measured. `manifests` checks what the crates have in
//! common, such as the lints. `contents` prints a table of all sources.
//!
//! Below the rules is a small reader of Rust: `tokens`, `cfg`, `uses` and `syntax` read a file,
//! `modules` follows a path to the file that defines the name, `arrows` and `methods` say which
//! file uses which, and `layout` keeps the results for each crate. `tree` has the files.
//!
//! `STRAIGHTLINE_TIDY_ROOT` names another worktree to be checked instead of this one.

mod arrows;
mod cfg;
mod circles;
mod contents;
mod excerpts;
mod figures;
mod floors;
mod guides;
mod layout;
mod manifests;
mod methods;
mod modules;
mod named_tests;
mod names_of_files;
mod places;
mod scattered;
mod sizes;
mod syntax;
mod tokens;
mod tree;
mod uses;
mod words;

/// Fails with all the sentences, if there are any.
fn fail(failures: &[String]) {
    let text = failures.join("\n\n");
    assert!(failures.is_empty(), "{} failures:\n\n{text}\n", failures.len());
}
