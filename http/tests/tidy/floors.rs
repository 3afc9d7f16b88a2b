//! The floors of each crate, from the top down. A file uses what is below it, or beside it.
//!
//! This is the picture of the layout: each line is a floor, and each name on it a folder or a file
//! of the crate. The floor of a file is that of the longest name that it is under. What stands on
//! one floor may use each other, but not in a circle. Calls of methods count, as in `circles`.

use std::collections::{BTreeMap, BTreeSet};

use super::arrows::{Arrows, Reason};
use super::circles::{knots, told};
use super::methods::Methods;
use super::modules::{Crate, crates};
use super::tree::Tree;

/// A crate's folder of sources, and its floors.
pub(crate) type Building<'a> = (&'a str, &'a [&'a str]);

pub(crate) const BUILDINGS: &[Building<'_>] = &[
    (
        "http/src/",
        &[
            "lib.rs  internals.rs",
            "server/  signal.rs",
            "conn/  body.rs",
            "response.rs  payload.rs  request.rs",
            "wire/",
            "control/",
            "telemetry/  body_error.rs",
            "config/  proto/",
        ],
    ),
    (
        "net/src/",
        &[
            "lib.rs",
            "compat.rs  inherit.rs  stream_set.rs",
            "tcp.rs  udp.rs  unix.rs",
            "connect.rs  bound.rs  lookup.rs",
            "io.rs  listen.rs  tries.rs  socket.rs",
            "sim/",
            "raw_fd.rs  sys.rs",
        ],
    ),
    (
        "sched/src/",
        &[
            "lib.rs",
            "sim/  shard_thread.rs",
            "block_on.rs  offload/  log.rs",
            "sync/",
            "core/",
            "watch/",
            "driver/",
            "fiber/  queued_writer.rs  signal_mask.rs  primitives.rs",
        ],
    ),
];

#[test]
fn arrows_between_floors_point_down() {
    let tree = Tree::of_repository();
    let failures = BUILDINGS.iter().flat_map(|building| failures(tree, *building));
    super::fail(&failures.collect::<Vec<_>>());
}

/// A sentence for each file on no floor, each name without a file, and each arrow that points up.
pub(crate) fn failures(tree: &Tree, building: Building<'_>) -> Vec<String> {
    let (folder, _) = building;
    let mut failures = without_a_place(tree, building);
    for read in crates(tree).iter().filter(|read| read.root == format!("{folder}lib.rs")) {
        let mut arrows = Arrows::of_paths(read);
        Methods::of(read).add_calls(read, &mut arrows);
        failures.extend(pointing_up(&arrows, building));
        failures.extend(circles_of_a_floor(read, &arrows, building));
    }
    failures
}

/// The names on a floor.
pub(crate) fn units<'a>(floor: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
    floor.split_whitespace()
}

/// The number of the floor that a file is on, counted from the top, and its name there.
pub(crate) fn place<'a>(building: Building<'a>, path: &str) -> Option<(usize, &'a str)> {
    let (folder, floors) = building;
    let inside = path.strip_prefix(folder)?;
    let is_of = |unit: &str| inside == unit || (unit.ends_with('/') && inside.starts_with(unit));
    floors
        .iter()
        .enumerate()
        .flat_map(|(number, floor)| units(floor).map(move |unit| (number, unit)))
        .filter(|(_, unit)| is_of(unit))
        .max_by_key(|(_, unit)| unit.len())
}

fn without_a_place(tree: &Tree, building: Building<'_>) -> Vec<String> {
    let (folder, floors) = building;
    let sources: Vec<_> = tree
        .with_ending(".rs")
        .map(|file| file.path.as_str())
        .filter(|path| path.starts_with(folder))
        .collect();
    let mut failures = Vec::new();
    let mut used = BTreeSet::new();
    for path in sources {
        match place(building, path) {
            Some((_, unit)) => {
                used.insert(unit);
            }
            None => failures.push(format!(
                "`{path}` is on no floor: add it, or its folder, to the lowest floor of \
                 `{folder}` in {HERE} that is not below anything that it uses"
            )),
        }
    }
    for unit in floors.iter().flat_map(|floor| units(floor)).filter(|unit| !used.contains(unit)) {
        failures.push(format!(
            "`{folder}{unit}` is on a floor in {HERE}, and there is no such file: take it away there"
        ));
    }
    failures
}

fn pointing_up(arrows: &Arrows, building: Building<'_>) -> Vec<String> {
    let mut failures = Vec::new();
    let all = arrows.by_file.iter();
    for (from, to, reason) in all.flat_map(|(f, to)| to.iter().map(move |(t, r)| (f, t, r))) {
        let (Some(low), Some(high)) = (place(building, from), place(building, to)) else {
            continue;
        };
        if high.0 < low.0 {
            let Reason { line, what } = reason;
            failures.push(format!(
                "`{from}` uses `{to}` (line {line}: {what}), which is on a higher floor (`{}` is \
                 below `{}`): move what it uses to its own floor or below, or pass it as an \
                 argument; if a floor is wrong, it is in {HERE}",
                low.1, high.1
            ));
        }
    }
    failures
}

/// What stands on one floor is used in one direction only.
fn circles_of_a_floor(read: &Crate, arrows: &Arrows, building: Building<'_>) -> Vec<String> {
    let mut of_floors: BTreeMap<usize, Arrows> = BTreeMap::new();
    for (from, to) in &arrows.by_file {
        for (to, reason) in to {
            let (Some(a), Some(b)) = (place(building, from), place(building, to)) else {
                continue;
            };
            if a.0 == b.0 {
                let what = format!("{from} uses {}", reason.what);
                of_floors.entry(a.0).or_default().add(a.1, b.1, reason.line, what);
            }
        }
    }
    let mut failures = Vec::new();
    for arrows in of_floors.values() {
        for knot in knots(arrows) {
            failures.push(format!(
                "On one floor of `{}`, {}. Let them use each other in one direction, or give each \
                 a floor of its own in {HERE}",
                read.root,
                told(arrows, &knot)
            ));
        }
    }
    failures
}

const HERE: &str = "http/tests/tidy/floors.rs";
