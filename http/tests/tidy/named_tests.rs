//! Tests, trials and fuzz targets that pages name exist.
//!
//! A page proves what it says by the name of a test. A renamed or removed test would make the proof
//! an empty word, so each name leads to its test:
//!
//! - `path/file::function`, where the path begins at the root or in `http/tests/`, is a `#[test]`;
//! - `path/tests/folder/` is a folder with sources;
//! - `--test program` is a program of some crate;
//! - "test `function` in `path`" is a `#[test]` of that file or folder;
//! - "trial `name`" is a row of the table in the README of the trials, "fuzz target `name`" a file;
//! - "`section`: case, case" at the end of a row is cases of the corpus.

use super::tokens::lex;
use super::tree::{File, Tree};

#[test]
fn tests_that_pages_name_exist() {
    super::fail(&failures(Tree::of_repository()));
}

fn failures(tree: &Tree) -> Vec<String> {
    let mut failures = Vec::new();
    for page in tree.with_ending(".md") {
        for (at, line) in page.text.lines().enumerate() {
            let missing = functions(tree, line)
                .chain(folders(tree, line))
                .chain(programs(tree, line))
                .chain(trials_and_targets(tree, line))
                .chain(cases(tree, page, line));
            failures.extend(missing.map(|(name, what)| {
                format!(
                    "`{}:{}` names `{name}`, and there is no such {what}: correct the name, or \
                     say that no test shows it",
                    page.path,
                    at + 1
                )
            }));
        }
    }
    failures
}

/// A name that leads nowhere, and what it should be.
type Missing<'a> = (&'a str, &'static str);

/// The pieces of a line between backquotes.
fn codes(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn functions<'a>(tree: &'a Tree, line: &'a str) -> impl Iterator<Item = Missing<'a>> {
    let by_path = codes(line).filter(|code| {
        let Some((path, function)) = code.split_once("::") else { return false };
        let files = [format!("{path}.rs"), format!("http/tests/{path}.rs")];
        let is_there = || {
            let mut files = files.iter().filter_map(|path| tree.file(path));
            files.any(|file| has_test(file, function))
        };
        path.contains('/') && is_path(path) && is_function(function) && !is_there()
    });
    let in_a_place = line.split("test `").skip(1).filter_map(move |rest| {
        let (function, rest) = rest.split_once('`')?;
        let path = rest.strip_prefix(" in `")?.split('`').next()?;
        let mut files = tree.files.iter().filter(|file| file.path.starts_with(path));
        let is_there = files.any(|file| has_test(file, function));
        (is_function(function) && !is_there).then_some(function)
    });
    by_path.chain(in_a_place).map(|name| (name, "test"))
}

fn folders<'a>(tree: &'a Tree, line: &'a str) -> impl Iterator<Item = Missing<'a>> {
    let names = codes(line).filter(|code| {
        code.ends_with('/') && code.contains("/tests/") && is_path(code) && !code.starts_with('/')
    });
    let is_there = |name: &&str| tree.with_ending(".rs").any(|file| file.path.starts_with(*name));
    names.filter(move |name| !is_there(name)).map(|name| (name, "folder of tests"))
}

fn programs<'a>(tree: &'a Tree, line: &'a str) -> impl Iterator<Item = Missing<'a>> {
    let names = line.split("--test ").skip(1).map(|rest| {
        let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        rest.split(is_end).next().unwrap_or_default()
    });
    let is_there = |name: &&str| {
        let [file, folder] = [format!("/tests/{name}.rs"), format!("/tests/{name}/main.rs")];
        tree.with_ending(&file).next().is_some() || tree.with_ending(&folder).next().is_some()
    };
    let names = names.filter(|name| !name.is_empty() && *name != "NAME");
    names.filter(move |name| !is_there(name)).map(|name| (name, "program of tests"))
}

/// Also several: "trials `a` and `b`".
fn trials_and_targets<'a>(tree: &'a Tree, line: &'a str) -> impl Iterator<Item = Missing<'a>> {
    let is_trial = |name: &str| {
        let row = format!("| `{name}` |");
        tree.file(TRIALS).is_some_and(|page| page.text.lines().any(|line| line.starts_with(&row)))
    };
    let is_target = |name: &str| tree.file(&format!("{TARGETS}{name}.rs")).is_some();
    let trials = named_after(line, "trial").filter(move |name| !is_trial(name));
    let targets = named_after(line, "fuzz target").filter(move |name| !is_target(name));
    trials.map(|name| (name, "trial")).chain(targets.map(|name| (name, "fuzz target")))
}

/// The names behind a word: "word `a`", "words `a`, `b` and `c`".
fn named_after<'a>(line: &'a str, word: &'static str) -> impl Iterator<Item = &'a str> {
    line.split(word).skip(1).flat_map(|rest| {
        let rest = rest.strip_prefix('s').unwrap_or(rest);
        let mut pieces = rest.split('`');
        let is_first = pieces.next() == Some(" ");
        let mut goes_on = is_first;
        std::iter::from_fn(move || {
            let name = goes_on.then(|| pieces.next())??;
            goes_on = matches!(pieces.next(), Some(", " | " and "));
            Some(name)
        })
    })
}

/// Cases of the corpus: the last column of a row is "`section`: case, case", perhaps several times.
fn cases<'a>(tree: &'a Tree, page: &File, line: &'a str) -> impl Iterator<Item = Missing<'a>> {
    let column = line.rsplit(" | ").next().unwrap_or_default();
    let column = column.strip_prefix('`').filter(|_| page.path.ends_with(THREATS));
    let names = column.and_then(|column| column.strip_suffix(" |")?.split_once("`: "));
    let is_there = |name: &&str| {
        let row = format!("| {name} |");
        tree.file(CORPUS).is_some_and(|page| page.text.lines().any(|line| line.starts_with(&row)))
    };
    let names = names.map_or("", |(_, names)| names).split(", ").filter(|name| !name.is_empty());
    names.filter(move |name| !is_there(name)).map(|name| (name, "case"))
}

/// Whether the file has a function of that name with the attribute `#[test]`.
fn has_test(file: &File, function: &str) -> bool {
    let tokens = lex(&file.text).tokens;
    let is_name = |at: usize| tokens[at - 1].is("fn") && tokens[at].is(function);
    (1..tokens.len()).filter(|at| is_name(*at)).any(|at| {
        // Back over the attributes, to the end of the item before.
        let before = &tokens[..at - 1];
        let end = before.iter().rposition(|t| t.is("}") || t.is(";") || t.is("{"));
        let attributes = &before[end.map_or(0, |end| end + 1)..];
        attributes.windows(3).any(|t| t[0].is("[") && t[1].is("test") && t[2].is("]"))
    })
}

fn is_path(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.'))
}

/// A page may also show the form of a name, as `limits/timeouts::NAME`.
fn is_function(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

const CORPUS: &str = "docs/conformance.md";
const TARGETS: &str = "fuzz/fuzz_targets/";
const THREATS: &str = "docs/threats.md";
const TRIALS: &str = "trials/README.md";

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str) -> Vec<String> {
        let failures = failures(&Tree::of(&[
            ("http/tests/limits/a.rs", "#[test]\n#[ignore = \"x\"]\nfn t() {}\nfn helper() {}\n"),
            ("sched/tests/life/main.rs", "mod a;\n"),
            ("sched/src/b.rs", "mod tests {\n    #[test]\n    fn u() {}\n}\n"),
            (TRIALS, "| `slow` | heads |\n| `fast` | heads |\n"),
            ("fuzz/fuzz_targets/head.rs", "fn main() {}\n"),
            (CORPUS, "| two-lengths | 400 |\n"),
            (THREATS, page),
        ]));
        let name = |failure: &String| failure.split('`').nth(3).unwrap_or_default().to_owned();
        failures.iter().map(name).collect()
    }

    #[test]
    fn what_exists_is_good() {
        let page = "`limits/a::t`, `http/tests/limits/a::t`, `sched/src/b::u`, `limits/a::NAME`,\n\
                    `http/tests/limits/`, `std::fs::read`, test `t` in `http/tests/limits/`\n\
                    cargo test --test life x; trials `slow` and `fast`; fuzz target `head`\n\
                    | lengths | 400 | `section`: two-lengths |\n";
        assert_eq!(found(page), [""; 0]);
    }

    #[test]
    fn a_test_that_is_gone_is_told() {
        let page = "`limits/a::gone`, `limits/gone::t`, `limits/a::helper`, `sched/src/b::gone`\n\
                    the test `gone` in `http/tests/limits/a.rs`\n";
        let expected =
            ["limits/a::gone", "limits/gone::t", "limits/a::helper", "sched/src/b::gone", "gone"];
        assert_eq!(found(page), expected);
    }

    #[test]
    fn a_folder_a_program_a_trial_a_target_and_a_case_that_are_gone_are_told() {
        let page = "`http/tests/gone/`\n--test gone\ntrials `slow` and `gone`; fuzz target `gone`\n\
                    | lengths | 400 | `section`: two-lengths, gone |\n";
        let expected = ["http/tests/gone/", "gone", "gone", "gone", "gone"];
        assert_eq!(found(page), expected);
    }
}
