//! The house rules that a machine can check: layers, sizes, and where unsafe code may live.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer and what its sources may name, itself included, from the bottom up.
const LAYERS: [(&str, &[&str]); 3] = [
    ("sched", &["straightline_sched"]),
    ("net", &["straightline_sched", "straightline_net"]),
    ("http", &["straightline_sched", "straightline_net"]),
];

/// The only files that may contain unsafe code.
const UNSAFE: &[&str] = &[
    "http/tests/alone_restarts.rs",
    "net/src/inherit.rs",
    "net/src/raw_fd.rs",
    "net/src/sys.rs",
    "net/tests/streams/a_dead_peer_is_an_error.rs",
    "sched/src/core/local.rs",
    "sched/src/core/park.rs",
    "sched/src/core/remains.rs",
    "sched/src/core/spawn.rs",
    "sched/src/driver/clock.rs",
    "sched/src/driver/portable.rs",
    "sched/src/fiber/memory.rs",
    "sched/src/fiber/overflow.rs",
    "sched/src/fiber/running.rs",
    "sched/src/fiber/slab.rs",
    "sched/src/fiber/stack.rs",
    "sched/src/fiber/switch.rs",
    "sched/src/fiber/wait.rs",
    "sched/src/signal_mask.rs",
    "sched/src/sync/waiter.rs",
    "sched/src/watch/linux.rs",
    "sched/tests/other_threads/a_forked_process_begins_afresh.rs",
    "sched/tests/other_threads/a_shard_asks_for_no_endless_wait.rs",
    "sched/tests/other_threads/a_shard_that_breaks_takes_nothing_more.rs",
    "sched/tests/stacks/a_stack_overflow_is_reported.rs",
    "sched/tests/torture/left_behind.rs",
    "stress/src/micro/may.rs",
];

const LINE_COLUMNS_MAX: usize = 100;
const FILE_LINES_MAX: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn files_under(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files_under(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

/// Every file with that ending: its path from the root, and its text.
fn files(ending: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    files_under(&root(), ending, &mut found);
    assert!(!found.is_empty());
    let relative = |path: &PathBuf| {
        path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned()
    };
    found
        .iter()
        .map(|path| (relative(path), fs::read_to_string(path).expect("UTF-8 text")))
        .collect()
}

#[test]
fn arrows_point_down() {
    let crates = ["straightline_sched", "straightline_net", "straightline_tls"];
    for (layer, below) in LAYERS {
        let sources = format!("{layer}/src/");
        for (path, text) in files(".rs").iter().filter(|(path, _)| path.starts_with(&sources)) {
            for name in crates.iter().filter(|name| !below.contains(name)) {
                let named = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with("//"))
                    .any(|line| line.contains(name));
                assert!(!named, "{path} names {name}");
            }
        }
    }
}

#[test]
fn the_protocol_core_knows_no_scheduler_no_socket_and_no_clock() {
    let core: Vec<_> =
        files(".rs").into_iter().filter(|(path, _)| path.starts_with("http/src/proto/")).collect();
    assert!(!core.is_empty());
    for (path, text) in core {
        for name in ["straightline_", "std::net", "std::time", "std::thread", "crate::conn"] {
            assert!(!text.contains(name), "{path} names {name}");
        }
    }
}

#[test]
fn unsafe_code_stays_where_it_is() {
    for (path, text) in files(".rs") {
        let has = text
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.starts_with("//") && !line.contains("unsafe_code"))
            .any(|line| line.contains("unsafe ") && !line.contains('"'));
        assert_eq!(has, UNSAFE.contains(&path.as_str()), "{path}");
    }
}

#[test]
fn files_and_lines_are_short() {
    for (path, text) in files(".rs") {
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{path} has {lines} lines");
        for (number, line) in text.lines().enumerate() {
            let columns = line.chars().count();
            assert!(columns <= LINE_COLUMNS_MAX, "{path}:{} has {columns} columns", number + 1);
        }
    }
}

#[test]
fn every_source_tells_its_story_and_every_page_its_title() {
    for (path, text) in files(".rs") {
        assert!(text.starts_with("//!"), "{path} has no story");
    }
    for (path, text) in files(".md") {
        assert!(text.starts_with("# "), "{path} has no title");
    }
}
