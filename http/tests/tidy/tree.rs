//! The files that the rules check: those of this repository, or a few that a test makes up.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A text file. Its path is relative to the root, with `/`.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn is_source(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|ending| ending == "rs")
    }
}

/// Some files, in the order of their paths.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: Vec<File>,
}

impl Tree {
    /// The repository's sources and pages.
    pub(crate) fn of_repository() -> &'static Self {
        static TREE: OnceLock<Tree> = OnceLock::new();
        TREE.get_or_init(|| {
            let mut files = Vec::new();
            read_folder(&root(), &root(), &mut files);
            assert!(!files.is_empty(), "no source and no page below {}", root().display());
            files.sort_by(|a: &File, b| a.path.cmp(&b.path));
            Self { files }
        })
    }

    /// A tree that a test makes up.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        let mut files: Vec<_> = files.iter().map(file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    pub(crate) fn with_ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.path.ends_with(ending))
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

/// The repository that is checked: this worktree, or another one.
pub(crate) fn root() -> PathBuf {
    std::env::var_os(ROOT_VARIABLE).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned(),
        PathBuf::from,
    )
}

fn read_folder(root: &Path, folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_symlink() {
            // Another name for a file that is read under its own name.
            continue;
        }
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            read_folder(root, &path, files);
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let relative = path.strip_prefix(root).expect("below the root");
            let text = fs::read_to_string(&path).expect("UTF-8 text");
            files.push(File { path: relative.to_string_lossy().into_owned(), text });
        }
    }
}

/// The variable that names the root of another worktree, which is then checked instead of this one.
const ROOT_VARIABLE: &str = "STRAIGHTLINE_TIDY_ROOT";

const ENDINGS: &[&str] = &[".rs", ".md", ".go", ".svg", "figures.txt", "plots.txt"];
