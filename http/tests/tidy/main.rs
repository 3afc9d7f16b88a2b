//! The rules of the layout that a machine can check.
//!
//! Each failure is a sentence that says what to do. The rules are data at the top of their files.
//! `floors` is the picture of the layout. `circles` and `scattered` keep the files of a crate
//! apart. `places` says what may be named and written where, `sizes` how long things are, `words`
//! how comments speak, `names_of_files` that the files that they name exist. `contents` prints a
//! table of all sources.
//!
//! Below the rules is a small reader of Rust: `tokens`, `cfg`, `uses` and `syntax` read a file,
//! `modules` follows a path to the file that defines what it names, `arrows` and `methods` say
//! which file uses which, and `layout` has all that of each crate once. `tree` has the files.
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
mod names_of_files;
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
