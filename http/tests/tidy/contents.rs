//! A table of contents: each source in the order of the floors, with its story's first sentence.
//!
//! `cargo test -p straightline --test tidy contents -- --nocapture --ignored`

use std::fmt::Write;

use super::floors::{BUILDINGS, Building, place, units};
use super::tree::{File, Tree};

#[test]
#[ignore = "prints a table, and checks nothing"]
fn contents() {
    for building in BUILDINGS {
        println!("{}", table(Tree::of_repository(), *building));
    }
}

/// The table of one crate or folder. The files of a unit stand together.
fn table(tree: &Tree, building: Building<'_>) -> String {
    let (folder, floors) = building;
    let mut table = format!("\n{folder}\n");
    for (number, floor) in floors.iter().enumerate() {
        table += "\n";
        for unit in units(floor) {
            let has_floors = |of: &str| BUILDINGS.iter().any(|(folder, _)| *folder == of);
            if has_floors(&format!("{folder}{unit}")) {
                line(&mut table, unit, "has floors of its own: see below");
                continue;
            }
            let files = tree.with_ending(".rs");
            for file in files.filter(|file| place(building, &file.path) == Some((number, unit))) {
                let name = file.path.strip_prefix(folder).unwrap_or(&file.path);
                line(&mut table, name, &first_sentence(file));
            }
        }
    }
    table
}

fn line(table: &mut String, name: &str, text: &str) {
    writeln!(table, "  {name:<NAME_COLUMNS$}  {text}").expect("a String takes all");
}

/// The first sentence of a source's story.
fn first_sentence(file: &File) -> String {
    let lines = file.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let story = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    story.split_inclusive(". ").next().unwrap_or_default().trim_end().to_owned()
}

const NAME_COLUMNS: usize = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_in_the_table_once_and_in_the_order_of_the_floors() {
        let tree = Tree::of(&[
            ("x/src/a/mod.rs", "//! Low. More.\n"),
            ("x/src/b.rs", "//! High\n//! up.\n//!\n//! More.\n"),
        ]);
        let table = table(&tree, ("x/src/", &["b.rs", "a/"]));
        let lines: Vec<_> =
            table.split('\n').map(|line| line.split_whitespace().collect()).collect();
        let words: Vec<Vec<&str>> = lines;
        assert_eq!(words[3], ["b.rs", "High", "up."]);
        assert_eq!(words[5], ["a/mod.rs", "Low."]);
    }
}
