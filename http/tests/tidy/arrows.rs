//! Which file of a crate uses which other one, and in which line.

use std::collections::BTreeMap;

use super::modules::{Crate, Target};

/// The arrows of a crate: from a file, to a file, with the first line that draws it.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arrows {
    pub(crate) by_file: BTreeMap<String, BTreeMap<String, Reason>>,
}

/// Where an arrow begins, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) line: usize,
    /// `a::b`, or `.method()`.
    pub(crate) what: String,
}

impl Arrows {
    /// Those of imports and of paths in the code.
    pub(crate) fn of_paths(read: &Crate) -> Self {
        let mut arrows = Self::default();
        for module in 0..read.modules.len() {
            arrows.add_imports(read, module);
            arrows.add_paths(read, module);
        }
        arrows
    }

    pub(crate) fn add(&mut self, from: &str, to: &str, line: usize, what: String) {
        if from != to {
            let to = self.by_file.entry(from.to_owned()).or_default().entry(to.to_owned());
            to.or_insert(Reason { line, what });
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

    /// The same arrows, where all files below one of the folders are as one.
    pub(crate) fn with_one_node_for<'a>(
        &self,
        folders: impl Iterator<Item = &'a str> + Clone,
    ) -> Self {
        let node = |file: &String| {
            let folder = folders.clone().find(|folder| file.starts_with(folder));
            folder.map_or(file.clone(), str::to_owned)
        };
        let mut merged = Self::default();
        for (from, arrows) in &self.by_file {
            for (to, reason) in arrows {
                merged.add(&node(from), &node(to), reason.line, reason.what.clone());
            }
        }
        merged
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
            // What is only passed on is no use of it.
            if import.is_public && !own.scope.words.contains_key(&import.alias) {
                continue;
            }
            for target in &targets {
                self.add_target(read, module, target, import.line, import.path.join("::"));
            }
        }
    }

    /// A glob is an arrow to what is used of it.
    fn add_glob(&mut self, read: &Crate, module: usize, from: usize) {
        for (word, line) in &read.modules[module].scope.words {
            let targets = read.lookup(from, word, &mut std::collections::BTreeSet::new());
            for target in &targets {
                self.add_target(read, module, target, *line, word.clone());
            }
        }
    }

    fn add_paths(&mut self, read: &Crate, module: usize) {
        for path in &read.modules[module].scope.paths {
            for target in &read.resolve(module, &path.path) {
                self.add_target(read, module, target, path.line, path.path.join("::"));
            }
        }
    }

    fn add_target(
        &mut self,
        read: &Crate,
        module: usize,
        target: &Target,
        line: usize,
        what: String,
    ) {
        let from = &read.modules[module].file;
        match target {
            Target::Item(id, _) => self.add(from, &read.modules[*id].file, line, what),
            // Of a folder, what is meant follows; the module alone is only its name.
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
