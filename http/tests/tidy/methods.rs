//! Types whose methods stand in more than one file, and the arrows that calls of them draw.
//!
//! A call names no file. So a type whose methods are spread over a folder ties the files together,
//! and no import shows it. Only a compiler knows the type of a receiver for certain. Here it is the
//! only type with a method of that name, or it follows from the receiver's name and declaration.

use std::collections::{BTreeMap, BTreeSet};

use super::arrows::Arrows;
use super::modules::{Crate, Target};
use super::syntax::{Call, Receiver, Typed};

/// A type: the file that defines it, and its name.
pub(crate) type Type = (String, String);

/// The inherent methods of a crate's types.
#[derive(Debug, Default)]
pub(crate) struct Methods {
    /// The files with impls of each type, and the first line of each.
    pub(crate) impls: BTreeMap<Type, BTreeMap<String, usize>>,
    /// For each name of a method: the types that have it, and the files that define it.
    by_name: BTreeMap<String, BTreeMap<Type, BTreeSet<String>>>,
    of_traits: BTreeSet<String>,
    /// For each name of a field: all types with which such fields are declared.
    fields: Typed,
}

impl Methods {
    pub(crate) fn of(read: &Crate) -> Self {
        let mut methods = Self::default();
        for (id, module) in read.modules.iter().enumerate() {
            methods.of_traits.extend(module.scope.trait_methods.iter().cloned());
            for (name, types) in &module.scope.fields {
                methods.fields.entry(name.clone()).or_default().extend(types.iter().cloned());
            }
            for block in module.scope.impls.iter().filter(|block| !block.is_of_trait) {
                for of in types(read, id, &block.of) {
                    let files = methods.impls.entry(of.clone()).or_default();
                    files.entry(module.file.clone()).or_insert(block.line);
                    for (name, _) in &block.methods {
                        let types = methods.by_name.entry(name.clone()).or_default();
                        types.entry(of.clone()).or_default().insert(module.file.clone());
                    }
                }
            }
        }
        methods
    }

    /// The types whose impls are not all in the file that defines them.
    pub(crate) fn scattered(&self) -> impl Iterator<Item = (&Type, &BTreeMap<String, usize>)> {
        self.impls.iter().filter(|(of, files)| files.keys().any(|file| *file != of.0))
    }

    /// Adds the arrows of all calls of scattered types' methods.
    pub(crate) fn add_calls(&self, read: &Crate, arrows: &mut Arrows) {
        let scattered: BTreeSet<_> = self.scattered().map(|(of, _)| of.clone()).collect();
        for (id, module) in read.modules.iter().enumerate() {
            for call in &module.scope.calls {
                for of in self.of_call(read, id, call).filter(|of| scattered.contains(*of)) {
                    for file in &self.by_name[&call.name][of] {
                        arrows.add(&module.file, file, call.line, &format!(".{}()", call.name));
                    }
                }
            }
            for path in &module.scope.paths {
                let Some((name, before)) = path.path.split_last() else { continue };
                let Some(candidates) = self.by_name.get(name) else { continue };
                for of in types(read, id, before).filter(|of| scattered.contains(of)) {
                    for file in candidates.get(&of).into_iter().flatten() {
                        arrows.add(&module.file, file, path.line, &path.path.join("::"));
                    }
                }
            }
        }
    }

    /// The types that a call may belong to: the evident ones, else the only one with such a method.
    fn of_call<'a>(
        &'a self,
        read: &'a Crate,
        module: usize,
        call: &'a Call,
    ) -> impl Iterator<Item = &'a Type> {
        let candidates = self.by_name.get(&call.name);
        let is_only = candidates.is_some_and(|types| types.len() == 1)
            && !self.of_traits.contains(&call.name)
            && !OF_OTHERS.contains(&call.name.as_str());
        candidates.into_iter().flat_map(BTreeMap::keys).filter(move |of| {
            match self.receives(read, module, call, of) {
                Some(is_evident) => is_evident,
                None => is_only,
            }
        })
    }

    /// Whether the receiver of a call has this type; `None` if the source does not show it.
    fn receives(&self, read: &Crate, module: usize, call: &Call, of: &Type) -> Option<bool> {
        let scope = &read.modules[module].scope;
        let (name, typed) = match &call.receiver {
            Receiver::Own(path) => return Some(types(read, module, path).any(|own| own == *of)),
            Receiver::Unknown => return None,
            Receiver::Variable(name) => {
                (name, call.function.and_then(|at| scope.functions[at].get(name)))
            }
            Receiver::Field(name) => {
                (name, scope.fields.get(name).or_else(|| self.fields.get(name)))
            }
        };
        match typed.filter(|types| !types.is_empty()) {
            Some(names) => Some(names.contains(&of.1)),
            None if *name == snake_case(&of.1) && !names_another(read, module, of) => Some(true),
            None => None,
        }
    }
}

/// The types of this crate that a path names.
fn types(read: &Crate, module: usize, path: &[String]) -> impl Iterator<Item = Type> {
    read.resolve(module, path).into_iter().filter_map(|target| match target {
        Target::Item(id, name) => Some((read.modules[id].file.clone(), name)),
        Target::Module(_) | Target::Outside => None,
    })
}

/// Whether a module calls another type by the same name.
fn names_another(read: &Crate, module: usize, of: &Type) -> bool {
    read.modules[module].scope.paths.iter().any(|path| {
        path.path.iter().position(|name| *name == of.1).is_some_and(|at| {
            let before = &path.path[..=at];
            at > 0 && types(read, module, before).all(|found| found != *of)
        })
    })
}

/// `RunQueue` as `run_queue`.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// Names of methods of the standard library. A call of such a name counts as a call of ours only if
/// the type of its receiver is evident.
const OF_OTHERS: &[&str] = &[
    "abort",
    "add",
    "all",
    "and",
    "any",
    "append",
    "as_mut",
    "as_ref",
    "as_str",
    "borrow",
    "bytes",
    "capacity",
    "chain",
    "chars",
    "clear",
    "clone",
    "close",
    "connect",
    "contains",
    "count",
    "drain",
    "elapsed",
    "end",
    "entry",
    "extend",
    "fill",
    "filter",
    "find",
    "finish",
    "first",
    "flush",
    "get",
    "get_mut",
    "id",
    "increment",
    "insert",
    "into_inner",
    "is_empty",
    "iter",
    "join",
    "keys",
    "kind",
    "last",
    "len",
    "load",
    "lock",
    "map",
    "max",
    "min",
    "name",
    "new",
    "next",
    "notify",
    "now",
    "park",
    "peek",
    "poll",
    "pop",
    "position",
    "push",
    "read",
    "recv",
    "remove",
    "replace",
    "reset",
    "rest",
    "resume",
    "rev",
    "send",
    "set",
    "shutdown",
    "skip",
    "sleep",
    "spawn",
    "split",
    "start",
    "step",
    "store",
    "swap",
    "take",
    "then",
    "unpark",
    "update",
    "values",
    "wait",
    "wake",
    "with",
    "write",
];

#[cfg(test)]
mod tests {
    use crate::layout::Layout;
    use crate::tree::Tree;

    /// The arrows that calls alone draw, in a crate whose `Shard` is spread over two files.
    fn calls(caller: &str) -> Vec<String> {
        let layouts = Layout::of(&Tree::of(&[
            ("x/src/lib.rs", "mod caller; mod other; mod shard; mod wake;"),
            ("x/src/shard.rs", "pub struct Shard;"),
            (
                "x/src/wake.rs",
                "use crate::shard::Shard;\n\
                 impl Shard { fn unpark_key(&self) {} fn note(&self) {} fn wake(&self) {} }",
            ),
            ("x/src/other.rs", "pub struct Other; impl Other { fn note(&self) {} }"),
            ("x/src/caller.rs", caller),
        ]));
        let paths = &layouts[0].by_paths;
        let drawn = layouts[0].with_calls.all();
        drawn
            .filter(|(from, to, _)| paths.reason(from, to).is_none())
            .map(|(from, to, reason)| format!("{from} -> {to} ({})", reason.text(from)))
            .collect()
    }

    #[test]
    fn a_call_of_a_method_that_stands_apart_is_an_arrow() {
        let found = calls("fn f(s: &X) {\n    with(|s| s.inner().unpark_key());\n}");
        assert_eq!(found, ["x/src/caller.rs -> x/src/wake.rs (line 2: .unpark_key())"]);
    }

    #[test]
    fn a_call_by_the_name_of_the_type_is_an_arrow() {
        let found = calls("use crate::shard::Shard; fn f() { each(Shard::wake); }");
        assert_eq!(found, ["x/src/caller.rs -> x/src/wake.rs (line 1: Shard::wake)"]);
    }

    #[test]
    fn a_name_that_several_have_counts_if_the_receiver_is_evident() {
        let is_found = |caller: &str| !calls(caller).is_empty();
        assert!(is_found("fn f(s: &Rc<Shard>) { s.note(); }"));
        assert!(is_found("fn f() { with(|shard| shard.note()); }"));
        assert!(is_found("struct A { s: Shard } impl A { fn f(&self) { self.s.wake(); } }"));
        assert!(!is_found("fn f() { with(|s| s.note()); }"));
        assert!(!is_found("fn f(o: &Other) { o.note(); }"));
        assert!(!is_found("fn f(o: &Other) { o.unpark_key(); }"));
        assert!(!is_found("struct A; impl A { fn f(&self) { self.unpark_key(); } }"));
        assert!(!is_found("fn f() { waker().wake(); }"));
        assert!(!is_found("fn f() { let shard = tokio::Shard::new(); shard.note(); }"));
        assert!(!is_found("fn f(s: &Shard) {} fn g() { let s = x(); s.note(); }"));
    }
}
