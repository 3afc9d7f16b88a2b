//! The crates of a tree, each read once: its modules, its methods, and which file uses which.

use std::sync::OnceLock;

use super::arrows::Arrows;
use super::methods::Methods;
use super::modules::{Crate, crates};
use super::tree::Tree;

/// One crate, as the rules need it.
pub(crate) struct Layout {
    /// The path of the root file: `http/src/lib.rs`.
    pub(crate) root: String,
    pub(crate) methods: Methods,
    /// Which file uses which, by imports and paths.
    pub(crate) by_paths: Arrows,
    /// The same, with the calls of methods that are defined in another file than their type.
    pub(crate) with_calls: Arrows,
}

impl Layout {
    /// The repository's crates.
    pub(crate) fn of_repository() -> &'static [Self] {
        static LAYOUTS: OnceLock<Vec<Layout>> = OnceLock::new();
        LAYOUTS.get_or_init(|| Self::of(Tree::of_repository()))
    }

    pub(crate) fn of(tree: &Tree) -> Vec<Self> {
        crates(tree).into_iter().map(Self::of_crate).collect()
    }

    fn of_crate(read: Crate) -> Self {
        let methods = Methods::of(&read);
        let by_paths = Arrows::of_paths(&read);
        let mut with_calls = by_paths.clone();
        methods.add_calls(&read, &mut with_calls);
        Self { root: read.root, methods, by_paths, with_calls }
    }
}
