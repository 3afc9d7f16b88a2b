//! Which code may stand where: the names that each layer may use, the names that the protocol core
//! avoids, the files with unsafe code. Also: each source begins with its story and is compiled.

use std::collections::BTreeSet;

use super::modules::{is_root, normal};
use super::tokens::lex;
use super::tree::{File, Tree};

/// Each layer with the crates that its sources may name, from the bottom up.
const LAYERS: [(&str, &[&str]); 5] = [
    ("sched", &["straightline_sched"]),
    ("net", &["straightline_sched", "straightline_net"]),
    ("tls", &["straightline_sched", "straightline_net", "straightline_tls"]),
    ("db", &["straightline_sched", "straightline_net", "straightline_tls", "straightline_db"]),
    ("http", &["straightline_sched", "straightline_net", "straightline_tls"]),
];

/// All crates that a layer could name.
const CRATES: &[&str] =
    &["straightline_sched", "straightline_net", "straightline_tls", "straightline_db"];

/// Names that the protocol core does not contain, not even in a comment.
const UNKNOWN_TO_PROTOCOL: &[&str] =
    &["straightline_", "std::net", "std::time", "std::thread", "crate::conn"];

/// The only files that may contain unsafe code.
const UNSAFE: &[&str] = &[
    "bench/src/micro/may.rs",
    "http/tests/alone_restarts.rs",
    "net/src/ascii.rs",
    "net/src/inherit.rs",
    "net/src/raw_fd.rs",
    "net/src/sys.rs",
    "net/tests/streams/a_dead_peer_is_an_error.rs",
    "net/tests/waiting/a_select_does_not_spin.rs",
    "sched/src/core/local.rs",
    "sched/src/core/park.rs",
    "sched/src/core/remains.rs",
    "sched/src/core/spawn.rs",
    "sched/src/driver/clock.rs",
    "sched/src/driver/poller.rs",
    "sched/src/fiber/memory.rs",
    "sched/src/fiber/overflow.rs",
    "sched/src/fiber/running.rs",
    "sched/src/fiber/slab.rs",
    "sched/src/fiber/stack.rs",
    "sched/src/fiber/switch.rs",
    "sched/src/fiber/wait.rs",
    "sched/src/shard_bound.rs",
    "sched/src/signal_mask.rs",
    "sched/src/sync/waiter.rs",
    "sched/src/watchdog/linux.rs",
    "sched/tests/other_threads/a_forked_process_begins_afresh.rs",
    "sched/tests/other_threads/a_shard_asks_for_no_endless_wait.rs",
    "sched/tests/other_threads/a_shard_that_breaks_takes_nothing_more.rs",
    "sched/tests/stacks/a_stack_overflow_is_reported.rs",
    "sched/tests/torture/left_behind.rs",
    "tls/tests/alone_memory.rs",
];

#[test]
fn a_layer_names_only_those_below() {
    let mut failures = Vec::new();
    for (layer, below) in LAYERS {
        let sources = format!("{layer}/src/");
        for file in sources_below(&sources) {
            let above = |word: &str| CRATES.contains(&word) && !below.contains(&word);
            for token in lex(&file.text).tokens.iter().filter(|token| above(token.text)) {
                failures.push(format!(
                    "`{}:{}` names {}, and `{layer}` stands below it: move the code up, or pass \
                     what it needs as an argument",
                    file.path, token.line, token.text
                ));
            }
        }
    }
    super::fail(&failures);
}

#[test]
fn the_protocol_core_knows_no_scheduler_no_socket_and_no_clock() {
    let core: Vec<_> = sources_below("http/src/proto/").collect();
    assert!(!core.is_empty());
    let mut failures = Vec::new();
    for file in core {
        for (line, text) in file.text.lines().enumerate() {
            for name in UNKNOWN_TO_PROTOCOL.iter().filter(|name| text.contains(**name)) {
                failures.push(format!(
                    "`{}:{}` names {name}, and the protocol core is bytes in and meaning out: let \
                     the caller do that part",
                    file.path,
                    line + 1
                ));
            }
        }
    }
    super::fail(&failures);
}

#[test]
fn unsafe_code_stays_where_it_is() {
    let mut failures = Vec::new();
    for file in Tree::of_repository().with_ending(".rs") {
        let lexed = lex(&file.text);
        let first = lexed.tokens.iter().find(|token| token.is("unsafe"));
        let is_listed = UNSAFE.contains(&file.path.as_str());
        let path = &file.path;
        match first {
            Some(token) if !is_listed => failures.push(format!(
                "`{path}:{}` has unsafe code: write it without, or in a file that {HERE} lists; a \
                 new file on that list is a decision for a review",
                token.line
            )),
            None if is_listed => {
                failures
                    .push(format!("`{path}` has no unsafe code: take it from the list in {HERE}"));
            }
            _ => {}
        }
    }
    let is_missing = |path: &&&str| Tree::of_repository().file(path).is_none();
    failures.extend(UNSAFE.iter().filter(is_missing).map(|path| {
        format!("`{path}` is listed in {HERE}, and there is no such file: correct the list")
    }));
    super::fail(&failures);
}

#[test]
fn every_source_tells_its_story_and_every_page_its_title() {
    let tree = Tree::of_repository();
    let sources = tree.with_ending(".rs").filter(|file| !file.text.starts_with("//!"));
    let mut failures: Vec<_> = sources
        .map(|file| {
            format!(
                "`{}` does not begin with `//!`: write what it is, why it is here, and what must \
                 stay true",
                file.path
            )
        })
        .collect();
    let pages = tree.with_ending(".md").filter(|file| !file.text.starts_with("# "));
    failures.extend(pages.map(|file| {
        format!("`{}` does not begin with a title: write `# ` and what it is about", file.path)
    }));
    super::fail(&failures);
}

#[test]
fn every_source_is_compiled() {
    super::fail(&not_compiled(Tree::of_repository()));
}

/// A sentence for each file that is neither a root nor declared by another file.
fn not_compiled(tree: &Tree) -> Vec<String> {
    let declared: BTreeSet<_> = tree.with_ending(".rs").flat_map(declared).collect();
    let is_lost = |file: &&File| !is_root(&file.path) && !declared.contains(&file.path);
    tree.with_ending(".rs")
        .filter(is_lost)
        .map(|file| {
            format!(
                "`{}` is declared by no module, so nothing compiles it: write `mod`, or remove it",
                file.path
            )
        })
        .collect()
}

/// The paths of the modules that a file may declare: by `mod name;`, or by `path = "..."`.
fn declared(file: &File) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or_default();
    let own_folder = format!("{folder}/{}", name.trim_end_matches(".rs"));
    let mut found = Vec::new();
    for three in lex(&file.text).tokens.windows(3) {
        if three[0].is("mod") && three[1].is_word() && three[2].is(";") {
            for folder in [folder, &own_folder] {
                found.push(format!("{folder}/{}.rs", three[1].text));
                found.push(format!("{folder}/{}/mod.rs", three[1].text));
            }
        } else if three[0].is("path") && three[1].is("=") {
            found.push(normal(&format!("{folder}/{}", three[2].text.trim_matches('"'))));
        }
    }
    found
}

fn sources_below(folder: &str) -> impl Iterator<Item = &'static File> + use<'_> {
    Tree::of_repository().with_ending(".rs").filter(move |file| file.path.starts_with(folder))
}

const HERE: &str = "http/tests/tidy/places.rs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_no_module_declares_is_found() {
        let tree = Tree::of(&[
            ("x/src/lib.rs", "mod a; mod b; #[path = \"other.rs\"] mod e;"),
            ("x/src/a.rs", "#[cfg(test)] mod tests;"),
            ("x/src/a/tests.rs", ""),
            ("x/src/b/mod.rs", "mod c; mod other { }"),
            ("x/src/b/c.rs", "// mod d;"),
            ("x/src/b/d.rs", ""),
            ("x/src/other.rs", ""),
            ("x/tests/f.rs", "mod common;"),
            ("x/tests/common/mod.rs", ""),
        ]);
        let lost = not_compiled(&tree);
        assert_eq!(lost.len(), 1);
        assert!(lost[0].starts_with("`x/src/b/d.rs` is declared by no module"), "{}", lost[0]);
    }
}
