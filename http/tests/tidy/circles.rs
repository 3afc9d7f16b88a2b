//! No circle of files: in a crate, what a file uses does not use that file, not even in a long way
//! round.
//!
//! Counted twice: by imports and paths alone, and with the calls of methods that stand apart from
//! their type.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::arrows::Arrows;
use super::methods::Methods;
use super::modules::{Crate, crates};
use super::tree::Tree;

/// What may be a circle: all below a folder, or a crate by its root. And why.
const ALLOWED: &[(&str, &str)] = &[
    ("net/src/sim/", "a simulated kernel is one table, and all of it is test code"),
    ("sched/tests/loom_mailbox.rs", "the test stands in for the crate whose files it includes"),
];

#[test]
fn no_imports_go_in_a_circle() {
    super::fail(&failures(Tree::of_repository(), Counted::Paths));
}

#[test]
fn no_calls_go_in_a_circle() {
    super::fail(&failures(Tree::of_repository(), Counted::PathsAndCalls));
}

/// What makes an arrow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    Paths,
    PathsAndCalls,
}

/// A sentence for each knot of files.
pub(crate) fn failures(tree: &Tree, counted: Counted) -> Vec<String> {
    let crates = crates(tree);
    let looked_at = crates.iter().filter(|read| ALLOWED.iter().all(|(root, _)| *root != read.root));
    looked_at.flat_map(|read| of_crate(read, counted)).collect()
}

fn of_crate(read: &Crate, counted: Counted) -> Vec<String> {
    let mut arrows = Arrows::of_paths(read);
    if counted == Counted::PathsAndCalls {
        Methods::of(read).add_calls(read, &mut arrows);
    }
    let arrows = arrows.with_one_node_for(ALLOWED.iter().map(|(folder, _)| *folder));
    knots(&arrows).iter().map(|knot| sentence(&arrows, knot)).collect()
}

/// What is wrong with a knot, and what to do.
fn sentence(arrows: &Arrows, knot: &BTreeSet<String>) -> String {
    let files: Vec<_> = knot.iter().map(String::as_str).collect();
    let circles = separate_circles(arrows, knot);
    let shown: Vec<_> =
        circles.iter().take(CIRCLES_SHOWN_MAX).map(|circle| told_circle(arrows, circle)).collect();
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

/// A shortest circle of a knot, in words.
pub(crate) fn told(arrows: &Arrows, knot: &BTreeSet<String>) -> String {
    shortest_circle(arrows, knot).map_or(String::new(), |circle| told_circle(arrows, &circle))
}

/// `a` uses `b` (line 1: x), which uses the first again (line 2: y).
fn told_circle(arrows: &Arrows, circle: &[String]) -> String {
    let mut told = format!("`{}`", circle[0]);
    for (at, file) in circle.iter().enumerate() {
        let next = &circle[(at + 1) % circle.len()];
        let reason = arrows.reason(file, next).expect("an arrow of the circle");
        let word = if at == 0 { " uses" } else { ", which uses" };
        let name = if at + 1 == circle.len() { "the first again" } else { &format!("`{next}`") };
        told += &format!("{word} {name} (line {}: {})", reason.line, reason.what);
    }
    told
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
