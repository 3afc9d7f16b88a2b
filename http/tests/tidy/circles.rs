//! There is no circle of files in a crate: if a file uses another one, that one does not use the
//! first file, neither directly nor through further files.
//!
//! This is checked twice: with imports and paths alone, and with calls of methods that are defined
//! in another file than their type.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

use super::arrows::Arrows;
use super::layout::Layout;

/// The exceptions, each with its reason: the files of a folder, or of a crate (named by its root),
/// may be circles.
const ALLOWED: &[(&str, &str)] = &[
    ("net/src/sim/", "a simulated kernel is one table, and all of it is test code"),
    ("sched/tests/loom_mailbox.rs", "the test stands in for the crate whose files it includes"),
];

#[test]
fn no_imports_go_in_a_circle() {
    super::fail(&failures(Layout::of_repository(), |layout| &layout.by_paths));
}

#[test]
fn no_calls_go_in_a_circle() {
    super::fail(&failures(Layout::of_repository(), |layout| &layout.with_calls));
}

/// A sentence for each knot of files.
fn failures(layouts: &[Layout], arrows: impl Fn(&Layout) -> &Arrows) -> Vec<String> {
    let folder =
        |file: &str| ALLOWED.iter().map(|(folder, _)| *folder).find(|f| file.starts_with(f));
    let mut failures = Vec::new();
    for layout in layouts.iter().filter(|layout| folder(&layout.root) != Some(&layout.root)) {
        let arrows = arrows(layout).grouped(|file| Some(folder(file).unwrap_or(file).to_owned()));
        failures.extend(knots(&arrows).iter().map(|knot| sentence(&arrows, knot)));
    }
    failures
}

/// What is wrong with a knot, and what to do.
fn sentence(arrows: &Arrows, knot: &BTreeSet<String>) -> String {
    let files: Vec<_> = knot.iter().map(String::as_str).collect();
    let circles = separate_circles(arrows, knot);
    let shown: Vec<_> = circles
        .iter()
        .take(CIRCLES_SHOWN_MAX)
        .map(|circle| describe_circle(arrows, circle))
        .collect();
    format!(
        "{} files use each other in a circle: {}\n    {}\n    {} such circles have no arrow in \
         common, so as many arrows have to go. Move what both ends of one need to a lower file, \
         or pass it as an argument; the floors are in http/tests/tidy/floors.rs.",
        files.len(),
        files.join(", "),
        shown.join("\n    "),
        circles.len(),
    )
}

/// A shortest circle of a knot, as a sentence.
pub(crate) fn describe(arrows: &Arrows, knot: &BTreeSet<String>) -> String {
    shortest_circle(arrows, knot).map_or(String::new(), |circle| describe_circle(arrows, &circle))
}

/// `a` uses `b` (line 1: x), which uses the first again (line 2: y).
fn describe_circle(arrows: &Arrows, circle: &[String]) -> String {
    let mut text = format!("`{}`", circle[0]);
    for (at, file) in circle.iter().enumerate() {
        let next = &circle[(at + 1) % circle.len()];
        let reason = arrows.reason(file, next).expect("an arrow of the circle").text(file);
        let word = if at == 0 { "" } else { ", which" };
        let name = if at + 1 == circle.len() { "the first again" } else { &format!("`{next}`") };
        write!(text, "{word} uses {name} ({reason})").expect("a String takes all");
    }
    text
}

/// Circles that share no arrow, the shortest first, until none is left.
fn separate_circles(arrows: &Arrows, knot: &BTreeSet<String>) -> Vec<Vec<String>> {
    let mut left = arrows.clone();
    let mut circles = Vec::new();
    while let Some(circle) = shortest_circle(&left, knot) {
        for (at, file) in circle.iter().enumerate() {
            left.remove(file, &circle[(at + 1) % circle.len()]);
        }
        circles.push(circle);
    }
    circles
}

/// The groups of files that reach each other.
pub(crate) fn knots(arrows: &Arrows) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<_, _> =
        arrows.by_file.keys().map(|file| (file, reachable(arrows, file))).collect();
    let mut knots: Vec<BTreeSet<String>> = Vec::new();
    for (file, reached) in &reach {
        if !reached.contains(*file) || knots.iter().any(|knot| knot.contains(*file)) {
            continue;
        }
        let comes_back = |other: &&String| reach.get(other).is_some_and(|r| r.contains(*file));
        knots.push(reached.iter().filter(comes_back).cloned().collect());
    }
    knots
}

fn reachable(arrows: &Arrows, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<_> = arrows.from(from).cloned().collect();
    while let Some(file) = open.pop() {
        if reached.insert(file.clone()) {
            open.extend(arrows.from(&file).cloned());
        }
    }
    reached
}

/// A shortest circle in a knot, as its files in their order.
fn shortest_circle(arrows: &Arrows, knot: &BTreeSet<String>) -> Option<Vec<String>> {
    knot.iter().filter_map(|file| circle_from(arrows, knot, file)).min_by_key(Vec::len)
}

fn circle_from(arrows: &Arrows, knot: &BTreeSet<String>, begin: &str) -> Option<Vec<String>> {
    let mut came_from: BTreeMap<String, String> = BTreeMap::new();
    let mut open = VecDeque::from([begin.to_owned()]);
    while let Some(file) = open.pop_front() {
        for next in arrows.from(&file).filter(|next| knot.contains(*next)) {
            if next == begin {
                return Some(way_back(&came_from, file));
            }
            if !came_from.contains_key(next) {
                came_from.insert(next.clone(), file.clone());
                open.push_back(next.clone());
            }
        }
    }
    None
}

fn way_back(came_from: &BTreeMap<String, String>, last: String) -> Vec<String> {
    let mut way = vec![last];
    while let Some(before) = way.last().and_then(|file| came_from.get(file)) {
        way.push(before.clone());
    }
    way.reverse();
    way
}

const CIRCLES_SHOWN_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Tree;

    fn failures_of(files: &[(&str, &str)]) -> Vec<String> {
        failures(&Layout::of(&Tree::of(files)), |layout| &layout.with_calls)
    }

    #[test]
    fn a_new_arrow_back_is_told_with_its_lines() {
        let low = ("x/src/b.rs", "pub struct B;");
        let high = ("x/src/a.rs", "use crate::b::B;\npub struct A(B);");
        let root = ("x/src/lib.rs", "mod a; mod b;");
        assert_eq!(failures_of(&[root, high, low]), [""; 0]);
        let back = ("x/src/b.rs", "pub struct B;\n\nfn f(a: super::a::A) {}");
        let failures = failures_of(&[root, high, back]);
        assert_eq!(failures.len(), 1);
        let begin = "2 files use each other in a circle: x/src/a.rs, x/src/b.rs\n    `x/src/a.rs` \
                    uses `x/src/b.rs` (line 1: crate::b::B), which uses the first again (line 3: \
                    super::a::A)";
        assert!(failures[0].starts_with(begin), "{}", failures[0]);
    }

    #[test]
    fn a_method_that_stands_above_its_type_closes_a_circle() {
        let failures = failures_of(&[
            ("x/src/lib.rs", "mod shard; mod turn;"),
            ("x/src/shard.rs", "pub struct Shard;\nfn f(shard: &Shard) { shard.turn(); }"),
            ("x/src/turn.rs", "use crate::shard::Shard;\nimpl Shard { fn turn(&self) {} }"),
        ]);
        assert_eq!(failures.len(), 1);
        assert!(failures[0].contains("line 2: .turn()"), "{}", failures[0]);
    }

    #[test]
    fn circles_without_a_common_arrow_are_counted() {
        let mut arrows = Arrows::default();
        for (from, to) in [("a", "b"), ("b", "a"), ("b", "c"), ("c", "d"), ("d", "b"), ("d", "e")] {
            arrows.add(from, to, 1, "x");
        }
        let knots = knots(&arrows);
        assert_eq!(knots, [["a", "b", "c", "d"].map(str::to_owned).into()]);
        assert_eq!(
            separate_circles(&arrows, &knots[0]),
            [vec!["a".to_owned(), "b".to_owned()], ["b", "c", "d"].map(str::to_owned).into()]
        );
    }

    #[test]
    fn a_folder_that_may_be_a_circle_is_one_file() {
        let inside = [
            ("net/src/lib.rs", "mod io; mod sim;"),
            ("net/src/sim/mod.rs", "mod tcp; mod udp;\npub use tcp::Tcp;"),
            ("net/src/sim/tcp.rs", "pub struct Tcp(super::udp::Udp);"),
            ("net/src/sim/udp.rs", "pub struct Udp(super::tcp::Tcp, crate::io::Io);"),
        ];
        let mut files = inside.to_vec();
        files.push(("net/src/io.rs", "pub struct Io;"));
        assert_eq!(failures_of(&files), [""; 0]);
        files[4].1 = "pub struct Io(crate::sim::Tcp);";
        let failures = failures_of(&files);
        assert!(failures[0].contains("2 files"), "{}", failures[0]);
        assert!(failures[0].contains("net/src/sim/udp.rs:1: crate::io::Io"), "{}", failures[0]);
    }
}
