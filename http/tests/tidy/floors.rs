//! The floors of each crate, from the top down: a file uses only files of its own floor and of the
//! floors below.
//!
//! This is the picture of the layout. Each line is a floor, and each name on it a folder or a file.
//! The folders and files of one floor may use each other, but not in a circle. Calls of methods
//! count, as in `circles`. A folder may have floors of its own.

use std::collections::BTreeSet;

use super::arrows::Arrows;
use super::circles::{describe, knots};
use super::layout::Layout;
use super::tree::Tree;

/// A folder with sources of a crate, and its floors.
pub(crate) type Building<'a> = (&'a str, &'a [&'a str]);

pub(crate) const BUILDINGS: &[Building<'_>] = &[
    (
        "http/src/",
        &[
            "lib.rs  guide.rs  internals/",
            "testing/",
            "admin/  client/  proxy/  sse/  web/  websocket/",
            "server/  signal.rs  https.rs",
            "conn/",
            "message/",
            "wire/",
            "control/",
            "telemetry/  body_error.rs",
            "config/",
            "proto/  systemd/",
            "text.rs  with_fields.rs",
        ],
    ),
    ("db/src/", &["lib.rs", "postgres/  redis/", "pool/", "error.rs"]),
    (
        "db/src/postgres/",
        &[
            "mod.rs",
            "manager.rs",
            "client.rs",
            "copy.rs  notifications.rs  rows.rs",
            "endpoint.rs  flight.rs  statements.rs",
            "wire.rs",
        ],
    ),
    (
        "db/src/pool/",
        &[
            "mod.rs",
            "handle.rs",
            "shared.rs",
            "apart.rs  config.rs  manager.rs  places/  places.rs",
            "stats.rs",
        ],
    ),
    (
        "tls/src/",
        &[
            "lib.rs",
            "connector.rs  read_write.rs",
            "stream.rs",
            "handshake.rs",
            "config/",
            "pump.rs",
            "handshakes.rs  session.rs  tickets.rs  provider/",
            "handshake_error.rs  handshake_limits.rs  info.rs  buffer.rs  memory_budget.rs  \
             asked_name.rs  clock.rs  version.rs",
        ],
    ),
    (
        "tls/src/config/",
        &[
            "mod.rs  builder.rs",
            "reloadable.rs",
            "listing.rs",
            "settings.rs",
            "names.rs",
            "identity.rs  trust.rs  checks.rs",
            "pem.rs  dates.rs  warning.rs",
            "source.rs",
            "error.rs",
        ],
    ),
    (
        "net/src/",
        &[
            "lib.rs  compat.rs  inherit.rs",
            "transport.rs",
            "tcp.rs  udp.rs  unix.rs  memory.rs",
            "connect.rs  listen.rs  accept_queue.rs  io.rs  nonblocking.rs",
            "bound.rs  lookup.rs  stream_set.rs  split.rs  bind_error.rs",
            "socket.rs  timeouts.rs",
            "sim/",
            "raw_fd.rs  sys.rs  ascii.rs",
        ],
    ),
    (
        "sched/src/",
        &[
            "lib.rs  guide.rs",
            "process/",
            "fs/",
            "shard_thread.rs  shard_local.rs  shard_bound.rs  block_on.rs  offload/  hub/",
            "sim/  sync/  log.rs  tracing.rs",
            "core/",
            "queued_writer.rs",
            "watchdog/",
            "fiber/",
            "driver/  signal_mask.rs  primitives.rs",
            "with_fields.rs",
        ],
    ),
    (
        "sched/src/core/",
        &[
            // A shard's life.
            "mod.rs  run.rs  end.rs  turn.rs  messages.rs",
            // A fiber's life.
            "scope.rs  spawn.rs  join.rs  abandon.rs  children.rs  fiber_local.rs",
            // A fiber's bounds, and the view from outside.
            "deadline.rs  lease.rs  handle.rs  inspect.rs  deadlock.rs  check_wait.rs  monitor.rs",
            // Giving the thread back.
            "checkpoint.rs  sleep.rs  source.rs  wait_for_armed.rs  park.rs  before_park.rs \
             on_switch.rs  yield_point.rs",
            // Reaching a fiber.
            "wake.rs  elsewhere.rs  home.rs  timer.rs  sources.rs  time.rs",
            // The waist: the record of a shard.
            "local.rs",
            "shard.rs",
            // What it is made of, each the owner of its part.
            "circles.rs  clock.rs  fairness.rs  fibers.rs  abandoned_fibers.rs  inbox.rs \
             mailbox.rs  mailboxes.rs  message_queue.rs  run_queue.rs  shard_values.rs \
             source_state.rs  stacks.rs  timers.rs",
            // Words.
            "config.rs  contain.rs  counters.rs  fiber_info.rs  report.rs  tripwire.rs  remains.rs",
        ],
    ),
];

#[test]
fn every_source_is_on_a_floor() {
    let tree = Tree::of_repository();
    let failures = BUILDINGS.iter().flat_map(|building| without_a_place(tree, *building));
    super::fail(&failures.collect::<Vec<_>>());
}

#[test]
fn arrows_between_floors_point_down() {
    let failures =
        BUILDINGS.iter().flat_map(|building| failures(Layout::of_repository(), *building));
    super::fail(&failures.collect::<Vec<_>>());
}

/// A sentence for each arrow that points up, and for each floor that has a circle.
fn failures(layouts: &[Layout], building: Building<'_>) -> Vec<String> {
    let is_of = |layout: &&Layout| {
        layout.root.strip_suffix("lib.rs").is_some_and(|folder| building.0.starts_with(folder))
    };
    let mut failures = Vec::new();
    for layout in layouts.iter().filter(is_of) {
        failures.extend(pointing_up(&layout.with_calls, building));
        failures.extend(circles_of_floors(&layout.with_calls, building));
    }
    failures
}

/// The names on a floor.
pub(crate) fn units(floor: &str) -> impl Iterator<Item = &str> {
    floor.split_whitespace()
}

/// The floor of a file, counted from the top, and the folder or file on it that contains the file.
/// If several contain it, the longest name counts.
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
            "`{folder}{unit}` is on a floor in {HERE}, and there is no such file: take it away"
        ));
    }
    failures
}

fn pointing_up(arrows: &Arrows, building: Building<'_>) -> Vec<String> {
    let mut failures = Vec::new();
    for (from, to, reason) in arrows.all() {
        let (Some(low), Some(high)) = (place(building, from), place(building, to)) else {
            continue;
        };
        if high.0 < low.0 {
            failures.push(format!(
                "`{from}` uses `{to}` ({}), which is on a higher floor (`{}` is below `{}`): move \
                 what it uses to its own floor or below, or pass it as an argument; if a floor is \
                 wrong, it is in {HERE}",
                reason.text(from),
                low.1,
                high.1
            ));
        }
    }
    failures
}

/// A sentence for each circle between the folders and files of one floor.
fn circles_of_floors(arrows: &Arrows, building: Building<'_>) -> Vec<String> {
    let mut failures = Vec::new();
    for floor in 0..building.1.len() {
        let arrows = arrows.grouped(|file| {
            let (number, unit) = place(building, file)?;
            (number == floor).then(|| unit.to_owned())
        });
        failures.extend(knots(&arrows).iter().map(|knot| {
            format!(
                "On one floor of `{}`, {}: let them use each other in one direction only, or give \
                 each a floor of its own in {HERE}",
                building.0,
                describe(&arrows, knot)
            )
        }));
    }
    failures
}

const HERE: &str = "http/tests/tidy/floors.rs";

#[cfg(test)]
mod tests {
    use super::*;

    const BUILDING: Building<'_> = ("x/src/", &["lib.rs", "a/  c.rs", "a/low.rs  b/"]);

    fn failures_of(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::of(files);
        let mut failures = without_a_place(&tree, BUILDING);
        failures.extend(super::failures(&Layout::of(&tree), BUILDING));
        failures
    }

    const GOOD: [(&str, &str); 6] = [
        ("x/src/lib.rs", "mod a; mod b; mod c;"),
        ("x/src/a/mod.rs", "mod high; mod low;\npub use high::High; pub use low::Low;"),
        ("x/src/a/high.rs", "pub struct High(super::low::Low, crate::b::B, crate::c::C);"),
        ("x/src/a/low.rs", "pub struct Low;"),
        ("x/src/b/mod.rs", "pub struct B(crate::a::Low);"),
        ("x/src/c.rs", "pub struct C;"),
    ];

    fn good_but(path: &str, text: &'static str) -> Vec<String> {
        failures_of(&GOOD.map(|file| if file.0 == path { (file.0, text) } else { file }))
    }

    #[test]
    fn arrows_down_and_beside_are_good() {
        assert_eq!(failures_of(&GOOD), [""; 0]);
    }

    #[test]
    fn an_arrow_up_is_told_with_both_floors() {
        let failures = good_but("x/src/b/mod.rs", "\npub struct B(crate::a::High);");
        let begin = "`x/src/b/mod.rs` uses `x/src/a/high.rs` (line 2: crate::a::High), which is on \
                    a higher floor (`b/` is below `a/`)";
        assert_eq!(failures.len(), 1);
        assert!(failures[0].starts_with(begin), "{}", failures[0]);
    }

    #[test]
    fn neighbours_do_not_use_each_other_both_ways() {
        let failures = good_but("x/src/c.rs", "pub struct C;\nfn f(_: crate::a::High) {}");
        let begin = "On one floor of `x/src/`, `a/` uses `c.rs` (x/src/a/high.rs:1: crate::c::C), \
                    which uses the first again (x/src/c.rs:2: crate::a::High): ";
        assert_eq!(failures.len(), 1);
        assert!(failures[0].starts_with(begin), "{}", failures[0]);
    }

    #[test]
    fn a_file_on_no_floor_and_a_floor_without_its_file_are_told() {
        let mut files = GOOD.to_vec();
        files[5].0 = "x/src/d.rs";
        let failures = failures_of(&files);
        assert_eq!(failures.len(), 2);
        assert!(failures[0].starts_with("`x/src/d.rs` is on no floor: add it"), "{}", failures[0]);
        assert!(failures[1].starts_with("`x/src/c.rs` is on a floor"), "{}", failures[1]);
    }
}
