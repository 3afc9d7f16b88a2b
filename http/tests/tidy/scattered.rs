//! A type's methods stand in the file that defines it.
//!
//! A type whose methods are spread over a folder has no inside: each of the files may change each
//! of its fields, and a call does not say where it leads.

use super::layout::Layout;
use super::methods::Type;

/// What may be spread: the types of a file, or of all files below a folder. And why.
const ALLOWED: &[(&str, &str)] = &[(
    "net/src/sim/",
    "a simulated kernel is one table, and each protocol has its calls in a file",
)];

#[test]
fn the_methods_of_a_type_are_where_it_is() {
    super::fail(&failures(Layout::of_repository()));
}

pub(crate) fn failures(layouts: &[Layout]) -> Vec<String> {
    let mut failures = Vec::new();
    for layout in layouts {
        for (of, files) in layout.methods.scattered().filter(|(of, _)| !is_allowed(of)) {
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

fn is_allowed((file, _): &Type) -> bool {
    ALLOWED.iter().any(|(place, _)| file.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    #[test]
    fn methods_apart_from_their_type_are_found_and_traits_are_not() {
        let layouts = Layout::of(&Tree::of(&[
            ("x/src/lib.rs", "mod a; mod b;"),
            ("x/src/a.rs", "pub struct A<T>(T);\nimpl<T> A<T> {\n    fn f(&self) {}\n}"),
            (
                "x/src/b.rs",
                "use crate::a::A;\nimpl Drop for A<u8> { fn drop(&mut self) {} }\n\
                 impl<T: Fn(u8) -> u8> A<T> { fn g(&self) {} }\n\
                 #[cfg(test)] impl A<u16> { fn h(&self) {} }",
            ),
        ]));
        let failures = failures(&layouts);
        assert_eq!(failures.len(), 1);
        let told = "`A` is defined in `x/src/a.rs`, and has methods in `x/src/b.rs:3`: ";
        assert!(failures[0].starts_with(told), "{}", failures[0]);
    }
}
