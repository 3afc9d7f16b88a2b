//! A type's methods stand in the file that defines it.
//!
//! A type whose methods are spread over a folder has no inside: each of the files may change each
//! of its fields, and a call does not say where it leads.

use super::methods::{Methods, Type};
use super::modules::crates;
use super::tree::Tree;

/// What may be spread: a file or all below a folder, with the name of a type. And why.
const ALLOWED: &[(&str, &str, &str)] = &[];

#[test]
fn the_methods_of_a_type_are_where_it_is() {
    super::fail(&failures(Tree::of_repository()));
}

pub(crate) fn failures(tree: &Tree) -> Vec<String> {
    let mut failures = Vec::new();
    for read in crates(tree) {
        let methods = Methods::of(&read);
        for (of, files) in methods.scattered().filter(|(of, _)| !is_allowed(of)) {
            let (place, name) = of;
            let elsewhere = files.iter().filter(|(file, _)| *file != place);
            let places: Vec<_> = elsewhere.map(|(file, line)| format!("`{file}:{line}`")).collect();
            failures.push(format!(
                "`{name}` is defined in `{place}`, and has methods in {}: make them functions of \
                 those files, or methods of a type that those files define, or move them to \
                 `{place}`",
                places.join(", ")
            ));
        }
    }
    failures
}

fn is_allowed((file, name): &Type) -> bool {
    ALLOWED.iter().any(|(place, allowed, _)| file.starts_with(place) && name == allowed)
}
