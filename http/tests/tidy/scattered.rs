//! The methods of a type stand in the file that defines the type.
//!
//! If the methods are spread over a folder, each of the files may change each field of the type,
//! and a call does not show which file defines the method.

use super::layout::Layout;
use super::methods::Type;

/// Types that may be spread: the place, the name of the type (`*` for every type there), and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "http/src/message/request.rs",
        "Request",
        "`body` and `builder` have types that stand above the request, and changes are apart",
    ),
    (
        "http/src/message/response.rs",
        "Response",
        "`upgrade` and `tunnel` are about what follows on HTTP, and make a response by its methods",
    ),
    (
        "http/src/server/running.rs",
        "Server",
        "`builder` gives a `ServerBuilder`, which makes servers",
    ),
    ("net/src/sim/", "*", "a simulated kernel is one table, with a file for each protocol's calls"),
    (
        "sched/src/core/spawn.rs",
        "FiberBuilder",
        "`spawn_scoped` takes a `Scope`, which spawns by it",
    ),
    ("sched/src/fs/file.rs", "File", "`options` gives an `OpenOptions`, which opens files"),
    (
        "tls/src/config/reloadable.rs",
        "TlsConfig",
        "`builder` gives a `TlsConfigBuilder`, which makes configurations",
    ),
    ("sched/src/sim/settings.rs", "Sim", "`run` has the runner, which reads the settings"),
];

#[test]
fn the_methods_of_a_type_are_where_it_is() {
    let layouts = Layout::of_repository();
    let mut failures = failures(layouts);
    failures.extend(needless(layouts));
    super::fail(&failures);
}

fn failures(layouts: &[Layout]) -> Vec<String> {
    let mut failures = Vec::new();
    for layout in layouts {
        for (of, files) in layout.methods.scattered() {
            if ALLOWED.iter().any(|allowed| is_for(allowed, of)) {
                continue;
            }
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

/// A sentence for each exception that nothing needs.
fn needless(layouts: &[Layout]) -> Vec<String> {
    let scattered: Vec<_> = layouts.iter().flat_map(|layout| layout.methods.scattered()).collect();
    let is_needless =
        |allowed: &&(&str, &str, &str)| !scattered.iter().any(|(of, _)| is_for(allowed, of));
    ALLOWED
        .iter()
        .filter(is_needless)
        .map(|(place, name, _)| {
            format!(
                "`{name}` in `{place}` may be spread over several files and is not: take it from \
                 the list in http/tests/tidy/scattered.rs"
            )
        })
        .collect()
}

fn is_for((place, name, _): &(&str, &str, &str), of: &Type) -> bool {
    of.0.starts_with(place) && (*name == "*" || *name == of.1)
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
        let begin = "`A` is defined in `x/src/a.rs`, and has methods in `x/src/b.rs:3`: ";
        assert!(failures[0].starts_with(begin), "{}", failures[0]);
    }
}
