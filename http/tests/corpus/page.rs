//! The tables of `docs/conformance.md`, made from the corpus.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::format::{Case, Entry, List, cases, lists};

#[test]
fn the_page_says_what_the_corpus_does() {
    let (cases, lists) = (cases(), lists());
    let path = path();
    let page = fs::read_to_string(&path).expect("docs/conformance.md");
    let updated = with_table(&page, "cases", &case_tables(&cases));
    let updated = with_table(&updated, "lists", &list_tables(&lists, &cases));
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, updated).expect("a file to write");
    } else {
        assert!(page == updated, "docs/conformance.md is not what the corpus says: {COMMAND}");
    }
}

#[test]
fn each_id_of_a_public_list_has_a_case_or_a_reason() {
    let (cases, lists) = (cases(), lists());
    for list in &lists {
        assert!(!list.entries.is_empty(), "{} is empty", list.name);
        for (at, entry) in list.entries.iter().enumerate() {
            let id = &entry.id;
            let has_case = of_entry(list, entry, &cases).next().is_some();
            assert!(has_case || entry.reason.is_some(), "{} {id} has no case", list.name);
            assert!(!has_case || entry.reason.is_none(), "{} {id} has case and reason", list.name);
            let is_twice = list.entries[..at].iter().any(|earlier| earlier.id == *id);
            assert!(!is_twice, "{} has {id} twice", list.name);
        }
    }
    for case in &cases {
        for source in &case.from {
            let Some((name, id)) = source.split_once(' ') else { continue };
            let Some(list) = lists.iter().find(|list| list.name == name) else { continue };
            let is_known = list.entries.iter().any(|entry| entry.id == id);
            assert!(is_known, "{} comes from {source}, which is not in that list", case.place());
        }
    }
}

/// The page with the text between two marks replaced.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let start = page.find(&begin).unwrap_or_else(|| panic!("no mark {begin:?}")) + begin.len();
    let length = page[start..].find(&end).unwrap_or_else(|| panic!("no mark {end:?}"));
    format!("{}{table}{}", &page[..start], &page[start + length..])
}

fn case_tables(cases: &[Case]) -> String {
    let mut text = format!("\n{} cases.\n", cases.len());
    for of_theme in cases.chunk_by(|one, other| one.theme == other.theme) {
        let theme = &of_theme[0].theme;
        put(&mut text, &format!("\n### {theme}\n"));
        put(&mut text, "| case | outcome | clause | why | from |\n|---|---|---|---|---|");
        for case in of_theme {
            let limits = match &case.limits_text[..] {
                "" => String::new(),
                limits => format!("<br>`{limits}`"),
            };
            let from = case.from.join("<br>");
            let Case { name, expect, clause, why, .. } = case;
            put(&mut text, &row(&[name, &format!("{expect}{limits}"), clause, why, &from]));
        }
    }
    text + "\n"
}

fn list_tables(lists: &[List], cases: &[Case]) -> String {
    let mut text = String::new();
    for list in lists {
        let (name, count) = (&list.name, list.entries.len());
        let without = list.entries.iter().filter(|entry| entry.reason.is_some()).count();
        put(&mut text, &format!("\n### {name}\n"));
        put(&mut text, &format!("{count} ids, {without} of them without a case.\n"));
        put(&mut text, "| id | asks for | here | case, or why there is none |\n|---|---|---|---|");
        for entry in &list.entries {
            let found: Vec<_> = of_entry(list, entry, cases).collect();
            let outcomes: Vec<_> = found.iter().map(|case| &case.expect[..]).collect();
            let names: Vec<_> = found.iter().map(|case| &case.name[..]).collect();
            let last = entry.reason.clone().unwrap_or_else(|| names.join("<br>"));
            put(&mut text, &row(&[&entry.id, &entry.asks, &outcomes.join("<br>"), &last]));
        }
    }
    text + "\n"
}

/// The cases that come from an entry of a list.
fn of_entry<'c>(
    list: &'c List,
    entry: &'c Entry,
    cases: &'c [Case],
) -> impl Iterator<Item = &'c Case> {
    let is_from = |source: &String| {
        source.split_once(' ').is_some_and(|(name, id)| name == list.name && id == entry.id)
    };
    cases.iter().filter(move |case| case.from.iter().any(is_from))
}

fn row(cells: &[&str]) -> String {
    // A bar would end a cell, and text in angle brackets would be markup, except for our own line
    // breaks.
    let clean = |cell: &&str| {
        let cell = cell.replace('|', "\\|").replace('<', "&lt;").replace("&lt;br>", "<br>");
        cell.replace('*', "\\*")
    };
    format!("| {} |", cells.iter().map(clean).collect::<Vec<_>>().join(" | "))
}

fn put(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}

fn path() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    root.join("docs/conformance.md")
}

const COMMAND: &str =
    "run UPDATE=1 cargo test -p straightline --features straightline/internals --test corpus";
