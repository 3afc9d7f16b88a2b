//! The table in the README counts the lines of the programs.

use std::fs;
use std::path::Path;

#[test]
fn the_table_has_the_lines_of_the_programs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("README.md")).expect("the page");
    let mut names: Vec<_> = fs::read_dir(root.join("src/bin"))
        .expect("the programs")
        .map(|file| file.expect("a program").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    for name in names {
        let ours = lines(&root.join("src/bin").join(&name));
        let axum = root.join("axum/bin").join(&name);
        let axum = if axum.exists() { lines(&axum).to_string() } else { "-".to_owned() };
        let name = name.trim_end_matches(".rs");
        let row = page.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("README.md has no row for `{name}`"));
        let end = format!("| {ours} | {axum} |");
        assert!(row.ends_with(&end), "in README.md the row of `{name}` has to end with {end}");
    }
}

/// The lines of code: neither empty nor a comment.
fn lines(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}
