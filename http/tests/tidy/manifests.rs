//! What the manifests of the crates have in common.
//!
//! Each member of the workspace has the lints of the root. They deny what no crate may have. Among
//! that are public items without documentation: an allowance or a warning would let one through,
//! because a build of the crate alone would still succeed.

use std::path::Path;
use std::{fs, iter};

use super::tree::{Tree, root};

/// The lints of the root that have to end a build, and no warning.
const DENIED: &[&str] = &["missing_docs", "unsafe_op_in_unsafe_fn", "unused_must_use"];

#[test]
fn every_crate_has_the_lints_of_the_workspace_which_deny_missing_documentation() {
    let read = |path: &Path| fs::read_to_string(path).expect("a manifest");
    let manifest = read(&root().join("Cargo.toml"));
    let members = members(&manifest);
    assert!(members.len() >= 5, "{members:?}");
    let mut failures = of_root(&manifest);
    for member in members {
        let path = format!("{member}/Cargo.toml");
        failures.extend(of_member(&path, &read(&root().join(&path))));
    }
    for file in Tree::of_repository().with_ending("src/lib.rs") {
        failures.extend(of_crate_root(&file.path, &file.text));
    }
    super::fail(&failures);
}

fn of_root(manifest: &str) -> Vec<String> {
    let lints: Vec<_> = section(manifest, "[workspace.lints.rust]").collect();
    let is_denied = |lint: &str| lints.contains(&format!("{lint} = \"deny\"").as_str());
    let missing = DENIED.iter().filter(|lint| !is_denied(lint));
    missing.map(|lint| format!("`Cargo.toml` does not deny `{lint}`: write it there")).collect()
}

fn of_member(path: &str, manifest: &str) -> Option<String> {
    let has_lints = section(manifest, "[lints]").any(|line| line == "workspace = true");
    (!has_lints).then(|| {
        format!("`{path}` does not have the lints of the root: add `[lints]`, `workspace = true`")
    })
}

fn of_crate_root(path: &str, text: &str) -> Option<String> {
    let allowed = text.lines().find(|line| {
        line.starts_with("#![") && !line.contains("deny") && line.contains("missing_docs")
    });
    allowed.map(|line| format!("`{path}` weakens a lint of the root: `{line}`"))
}

/// The folders of the members, from the line `members = ["a", "b"]`.
fn members(manifest: &str) -> Vec<&str> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("members = ["));
    line.map_or(Vec::new(), |line| line.split('"').skip(1).step_by(2).collect())
}

/// The lines of a section of a manifest.
fn section<'m>(manifest: &'m str, heading: &str) -> impl Iterator<Item = &'m str> {
    let mut lines = manifest.lines();
    let is_there = lines.by_ref().any(|line| line == heading);
    iter::from_fn(move || lines.next().filter(|line| is_there && !line.starts_with('[')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lint_that_only_warns_is_told() {
        let lints = "[workspace.lints.rust]\nmissing_docs = \"warn\"\n\
                     unsafe_op_in_unsafe_fn = \"deny\"\nunused_must_use = \"deny\"\n[x]\n";
        assert_eq!(of_root(lints), ["`Cargo.toml` does not deny `missing_docs`: write it there"]);
        assert_eq!(of_root(&lints.replace("warn", "deny")), [""; 0]);
        assert_eq!(of_root("[package]\nmissing_docs = \"deny\"\n").len(), DENIED.len());
    }

    #[test]
    fn a_crate_without_the_lints_is_told() {
        assert_eq!(of_member("a", "[lints]\nworkspace = true\n"), None);
        assert!(of_member("a", "[lints]\n[lib]\nworkspace = true\n").is_some());
        assert!(of_crate_root("a", "//! A.\n#![allow(missing_docs)]\n").is_some());
        assert_eq!(of_crate_root("a", "//! A.\n#![forbid(unsafe_code)]\n"), None);
    }

    #[test]
    fn members_are_read() {
        assert_eq!(members("[workspace]\nmembers = [\"a\", \"b\"]\n"), ["a", "b"]);
    }
}
