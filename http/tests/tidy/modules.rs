//! The modules of a crate, and the targets of the paths in them.
//!
//! A path is followed through modules, renames, globs and re-exports to the file that defines the
//! name.

use std::collections::{BTreeMap, BTreeSet};

use super::syntax::{self, Child, Scope};
use super::tree::Tree;
use super::uses::Use;

/// All modules that are reached from a root file.
pub(crate) struct Crate {
    /// The path of the root file: `http/src/lib.rs`.
    pub(crate) root: String,
    pub(crate) modules: Vec<Module>,
}

/// One module.
pub(crate) struct Module {
    /// The file that is the module, or that contains it.
    pub(crate) file: String,
    pub(crate) scope: Scope,
    parent: Option<usize>,
    children: BTreeMap<String, Vec<usize>>,
}

/// The target of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Module(usize),
    /// A name that this module defines.
    Item(usize, String),
    /// An item of another crate.
    Outside,
}

/// Every crate of the tree. The roots are known by their paths.
pub(crate) fn crates(tree: &Tree) -> Vec<Crate> {
    let sources = tree.with_ending(".rs");
    sources.filter(|file| is_root(&file.path)).map(|file| Crate::read(tree, &file.path)).collect()
}

pub(crate) fn is_root(path: &str) -> bool {
    let from_the_end: Vec<_> = path.rsplit('/').collect();
    match from_the_end.as_slice() {
        ["lib.rs" | "main.rs", "src", ..] => true,
        ["main.rs", _, folder, ..] | [_, folder, ..] => TARGET_FOLDERS.contains(folder),
        _ => false,
    }
}

impl Crate {
    fn read(tree: &Tree, root: &str) -> Self {
        let mut read = Self { root: root.to_owned(), modules: Vec::new() };
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        read.add_file(tree, root, folder, None);
        read.put_exported_macros_into_the_root();
        read
    }

    fn put_exported_macros_into_the_root(&mut self) {
        let mut imports = Vec::new();
        for (id, module) in self.modules.iter().enumerate() {
            for name in &module.scope.exported_macros {
                let (path, alias) = (self.path_of(id, name), name.clone());
                imports.push(Use { path, alias, is_public: true, line: 1 });
            }
        }
        self.modules[0].scope.uses.extend(imports);
    }

    /// The path from the root.
    fn path_of(&self, module: usize, name: &str) -> Vec<String> {
        let mut path = vec![name.to_owned()];
        let mut at = module;
        while let Some(parent) = self.modules[at].parent {
            let own = self.modules[parent].children.iter().find(|(_, ids)| ids.contains(&at));
            path.extend(own.map(|(name, _)| name.clone()));
            at = parent;
        }
        path.push("crate".to_owned());
        path.reverse();
        path
    }

    /// Adds a file whose modules are in `folder`.
    fn add_file(&mut self, tree: &Tree, path: &str, folder: &str, parent: Option<usize>) -> usize {
        let text = tree.file(path).map_or("", |file| file.text.as_str());
        self.add(tree, path, folder, syntax::read(text), parent)
    }

    fn add(
        &mut self,
        tree: &Tree,
        file: &str,
        folder: &str,
        mut scope: Scope,
        parent: Option<usize>,
    ) -> usize {
        let id = self.modules.len();
        let children = std::mem::take(&mut scope.children);
        let module = Module { file: file.to_owned(), scope, parent, children: BTreeMap::new() };
        self.modules.push(module);
        for Child { name, path, inline } in children {
            let below = format!("{folder}/{name}");
            let child = if let Some(inline) = inline {
                self.add(tree, file, &below, inline, Some(id))
            } else if let Some(path) = path {
                let beside = file.rsplit_once('/').map_or("", |(folder, _)| folder);
                let found = normal(&format!("{beside}/{path}"));
                let folder = found.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
                self.add_file(tree, &found, &folder, Some(id))
            } else {
                let own = format!("{below}/mod.rs");
                let leaf = format!("{folder}/{name}.rs");
                let found = if tree.file(&own).is_some() { own } else { leaf };
                self.add_file(tree, &found, &below, Some(id))
            };
            self.modules[id].children.entry(name).or_default().push(child);
        }
        id
    }

    /// The targets of a path in a module; none if its first name is unknown there.
    pub(crate) fn resolve(&self, module: usize, path: &[String]) -> Vec<Target> {
        self.follow(module, path, &mut BTreeSet::new())
    }

    fn follow(&self, module: usize, path: &[String], seen: &mut Seen) -> Vec<Target> {
        let mut at = 0;
        let mut base = module;
        let mut targets = Vec::new();
        while let Some(name) = path.get(at) {
            base = match name.as_str() {
                "crate" => 0,
                "self" => base,
                "super" => self.modules[base].parent.unwrap_or(0),
                _ => break,
            };
            at += 1;
            targets = vec![Target::Module(base)];
        }
        if at == 0 {
            let Some(first) = path.first() else { return targets };
            targets = self.lookup(module, first, seen);
            at = 1;
        }
        for name in &path[at..] {
            targets = self.step(&targets, name, seen);
        }
        targets.sort();
        targets.dedup();
        targets
    }

    /// The targets of `name` in each of the targets.
    fn step(&self, targets: &[Target], name: &str, seen: &mut Seen) -> Vec<Target> {
        let has_module = targets.iter().any(|target| matches!(target, Target::Module(_)));
        let mut found = Vec::new();
        for target in targets {
            match target {
                Target::Module(id) => {
                    let inner = self.lookup(*id, name, seen);
                    if inner.is_empty() {
                        // A macro of another crate may have made it.
                        found.push(Target::Item(*id, name.to_owned()));
                    }
                    found.extend(inner);
                }
                // A variant, or a function of a type. A module of the same name has precedence.
                Target::Item(..) if has_module => {}
                other => found.push(other.clone()),
            }
        }
        found
    }

    /// The targets of a single name in a module.
    pub(crate) fn lookup(&self, module: usize, name: &str, seen: &mut Seen) -> Vec<Target> {
        let own = &self.modules[module];
        let children = own.children.get(name).into_iter().flatten();
        let mut found: Vec<_> = children.map(|id| Target::Module(*id)).collect();
        if own.scope.items.contains(name) {
            found.push(Target::Item(module, name.to_owned()));
        }
        if !seen.insert((module, name.to_owned())) {
            return found;
        }
        for import in own.scope.uses.iter().filter(|import| import.alias == name) {
            let targets = self.follow(module, &import.path, seen);
            found.extend(if targets.is_empty() { vec![Target::Outside] } else { targets });
        }
        if found.is_empty() {
            for import in own.scope.uses.iter().filter(|import| import.alias == "*") {
                for target in self.follow(module, &import.path, seen) {
                    if let Target::Module(id) = target {
                        found.extend(self.lookup(id, name, seen));
                    }
                }
            }
        }
        seen.remove(&(module, name.to_owned()));
        found
    }
}

/// `a/b/../c` as `a/c`.
pub(crate) fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The names that are being looked for, each with its module: imports may go in circles.
type Seen = BTreeSet<(usize, String)>;

const TARGET_FOLDERS: &[&str] = &["tests", "benches", "fuzz_targets", "examples", "bin"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_known_by_its_place() {
        let roots = [
            "x/src/lib.rs",
            "x/src/main.rs",
            "x/src/bin/a.rs",
            "x/tests/a.rs",
            "x/tests/a/main.rs",
            "examples/a.rs",
            "fuzz/fuzz_targets/a.rs",
        ];
        assert!(roots.iter().all(|path| is_root(path)));
        let modules = ["x/src/a.rs", "x/src/a/mod.rs", "x/tests/a/b.rs", "x/src/a/tests.rs"];
        assert!(!modules.iter().any(|path| is_root(path)));
    }
}
