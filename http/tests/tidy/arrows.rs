//! Which file of a crate uses which other file, and in which line.

use std::collections::BTreeMap;

use super::modules::{Crate, Target};

/// The arrows of a crate: from a file, to a file, with the first line that draws it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arrows {
    pub(crate) by_file: BTreeMap<String, BTreeMap<String, Reason>>,
}

/// Where an arrow begins, and what draws it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) file: String,
    pub(crate) line: usize,
    /// `a::b`, or `.method()`.
    pub(crate) what: String,
}

impl Reason {
    /// The reason as text, for a reader who knows that the arrow begins in `node`.
    pub(crate) fn text(&self, node: &str) -> String {
        let Self { file, line, what } = self;
        if file == node { format!("line {line}: {what}") } else { format!("{file}:{line}: {what}") }
    }
}

impl Arrows {
    /// The arrows of imports and of paths in the code.
    pub(crate) fn of_paths(read: &Crate) -> Self {
        let mut arrows = Self::default();
        for module in 0..read.modules.len() {
            arrows.add_imports(read, module);
            arrows.add_paths(read, module);
        }
        arrows
    }

    pub(crate) fn add(&mut self, from: &str, to: &str, line: usize, what: &str) {
        let reason = Reason { file: from.to_owned(), line, what: what.to_owned() };
        self.insert(from, to, reason);
    }

    fn insert(&mut self, from: &str, to: &str, reason: Reason) {
        if from != to {
            let to = self.by_file.entry(from.to_owned()).or_default().entry(to.to_owned());
            to.or_insert(reason);
        }
    }

    pub(crate) fn reason(&self, from: &str, to: &str) -> Option<&Reason> {
        self.by_file.get(from)?.get(to)
    }

    pub(crate) fn from<'a>(&'a self, from: &str) -> impl Iterator<Item = &'a String> + use<'a> {
        self.by_file.get(from).into_iter().flat_map(BTreeMap::keys)
    }

    pub(crate) fn remove(&mut self, from: &str, to: &str) {
        if let Some(arrows) = self.by_file.get_mut(from) {
            arrows.remove(to);
        }
    }

    /// The same arrows between groups of files; a file without a group is left out.
    pub(crate) fn grouped(&self, group: impl Fn(&str) -> Option<String>) -> Self {
        let mut grouped = Self::default();
        for (from, to, reason) in self.all() {
            if let (Some(from), Some(to)) = (group(from), group(to)) {
                grouped.insert(&from, &to, reason.clone());
            }
        }
        grouped
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&String, &String, &Reason)> {
        self.by_file
            .iter()
            .flat_map(|(from, arrows)| arrows.iter().map(move |(to, reason)| (from, to, reason)))
    }

    fn add_imports(&mut self, read: &Crate, module: usize) {
        let own = &read.modules[module];
        for import in &own.scope.uses {
            let targets = read.resolve(module, &import.path);
            if import.alias == "*" {
                let modules = targets.iter().filter_map(|target| match target {
                    Target::Module(id) => Some(*id),
                    _ => None,
                });
                for id in modules {
                    self.add_glob(read, module, id);
                }
                continue;
            }
            // A re-export does not use the name itself.
            if import.is_public && !own.scope.words.contains_key(&import.alias) {
                continue;
            }
            for target in &targets {
                self.add_target(read, module, target, import.line, &import.path.join("::"));
            }
        }
    }

    /// A glob import is an arrow to each file whose names are used.
    fn add_glob(&mut self, read: &Crate, module: usize, from: usize) {
        for (word, line) in &read.modules[module].scope.words {
            let targets = read.lookup(from, word, &mut std::collections::BTreeSet::new());
            for target in &targets {
                self.add_target(read, module, target, *line, word);
            }
        }
    }

    fn add_paths(&mut self, read: &Crate, module: usize) {
        for path in &read.modules[module].scope.paths {
            for target in &read.resolve(module, &path.path) {
                self.add_target(read, module, target, path.line, &path.path.join("::"));
            }
        }
    }

    fn add_target(
        &mut self,
        read: &Crate,
        module: usize,
        target: &Target,
        line: usize,
        what: &str,
    ) {
        let from = &read.modules[module].file;
        match target {
            Target::Item(id, _) => self.add(from, &read.modules[*id].file, line, what),
            // If a path names a folder, the next name of the path leads to the file. The folder
            // alone is only a prefix.
            Target::Module(id) if !is_folder(&read.modules[*id].file) => {
                self.add(from, &read.modules[*id].file, line, what);
            }
            Target::Module(_) | Target::Outside => {}
        }
    }
}

fn is_folder(file: &str) -> bool {
    ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| file.ends_with(name))
}

#[cfg(test)]
mod tests {
    use crate::layout::Layout;
    use crate::tree::Tree;

    /// The arrows of the crate `x`, each as `from -> to (reason)`.
    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = files.iter().map(|(f, text)| (format!("x/src/{f}"), *text)).collect();
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let layouts = Layout::of(&Tree::of(&files));
        let short = |path: &str| path.strip_prefix("x/src/").unwrap_or(path).to_owned();
        layouts[0]
            .by_paths
            .all()
            .map(|(from, to, reason)| {
                format!("{} -> {} ({})", short(from), short(to), reason.text(from))
            })
            .collect()
    }

    #[test]
    fn a_reexport_leads_to_the_file_that_defines_the_name() {
        let found = arrows(&[
            ("lib.rs", "mod core; mod a; pub use core::Shard;"),
            ("core/mod.rs", "mod shard; pub(crate) use shard::{Shard, run as go};"),
            ("core/shard.rs", "pub struct Shard;\npub fn run() {}"),
            ("a.rs", "use crate::{\n    core::{Shard, go},\n};"),
        ]);
        assert_eq!(found, ["a.rs -> core/shard.rs (line 2: crate::core::Shard)"]);
    }

    #[test]
    fn paths_in_the_code_are_arrows() {
        let found = arrows(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "mod c; use super::b;\nfn f() { b::g(); }\nfn h() { self::c::i(); }"),
            ("a/c.rs", "fn i() { super::super::b::g::<u8>(); }"),
            ("b.rs", "pub fn g<T>() {}"),
        ]);
        assert_eq!(
            found,
            [
                "a.rs -> a/c.rs (line 3: self::c::i)",
                "a.rs -> b.rs (line 1: super::b)",
                "a/c.rs -> b.rs (line 1: super::super::b::g)"
            ]
        );
    }

    #[test]
    fn comments_strings_and_tests_are_no_arrows() {
        let found = arrows(&[
            ("lib.rs", "mod a; mod b;"),
            (
                "a.rs",
                "//! crate::b::B\n/// use crate::b::B;\nfn f() { \"crate::b::B\"; }\n\
                 #[cfg(test)] mod tests { use crate::b::B; }\n\
                 #[cfg(test)] use crate::b::B;",
            ),
            ("b.rs", "pub struct B;"),
        ]);
        assert_eq!(found, [""; 0]);
    }

    #[test]
    fn a_glob_is_an_arrow_to_what_is_used_of_it() {
        let found = arrows(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::*;\nfn f(_: C) {}"),
            ("b/mod.rs", "mod c; mod d; pub use c::C; pub use d::D;"),
            ("b/c.rs", "pub struct C;"),
            ("b/d.rs", "pub struct D;"),
        ]);
        assert_eq!(found, ["a.rs -> b/c.rs (line 2: C)"]);
    }

    #[test]
    fn a_folder_that_defines_things_is_a_file_as_others() {
        let found = arrows(&[
            ("lib.rs", "mod a;"),
            ("a/mod.rs", "mod b; mod c; pub use b::B; use c::C;\npub struct A(C);"),
            ("a/b.rs", "pub struct B(super::A);"),
            ("a/c.rs", "pub struct C;"),
        ]);
        assert_eq!(
            found,
            ["a/b.rs -> a/mod.rs (line 1: super::A)", "a/mod.rs -> a/c.rs (line 1: c::C)"]
        );
    }

    #[test]
    fn what_macros_define_and_what_other_crates_do() {
        let found = arrows(&[
            ("lib.rs", "mod a; mod b; pub use slotmap as tables; pub use http::header;"),
            ("a.rs", "use crate::{header, tables::Key}; use crate::b::{FiberKey, Stats, twice};"),
            (
                "b.rs",
                "new_key_type! { pub struct FiberKey; }\n\
                 macro_rules! counters { () => { pub struct Stats; } }\ncounters!();\n\
                 macro_rules! twice { () => {} }\npub(crate) use twice;",
            ),
        ]);
        assert_eq!(found, ["a.rs -> b.rs (line 1: crate::b::FiberKey)"]);
    }

    #[test]
    fn a_module_may_have_a_file_for_each_system() {
        let found = arrows(&[
            (
                "lib.rs",
                "mod w;\n#[cfg(unix)] mod a { pub(crate) fn inline() { crate::w::os::f(); } }",
            ),
            (
                "w/mod.rs",
                "#[cfg(linux)] #[path = \"linux.rs\"] mod os;\n\
                 #[cfg(not(linux))] #[path = \"elsewhere.rs\"] mod os;\nfn g() { os::f(); }",
            ),
            ("w/linux.rs", "pub fn f() {}"),
            ("w/elsewhere.rs", "pub fn f() {}"),
        ]);
        assert_eq!(
            found,
            [
                "lib.rs -> w/elsewhere.rs (line 2: crate::w::os::f)",
                "lib.rs -> w/linux.rs (line 2: crate::w::os::f)",
                "w/mod.rs -> w/elsewhere.rs (line 3: os::f)",
                "w/mod.rs -> w/linux.rs (line 3: os::f)"
            ]
        );
    }
}
