//! The tripwire: it finds fibers that wait where a closure ties state to the thread.
//!
//! Some code ties state to its thread while a closure runs: the initialiser of a thread-local or of
//! a `LazyLock`, `LocalKey::with`, `scoped_tls`, `std::thread::scope`. It assumes that no other
//! code of the thread runs meanwhile. A fiber that waits inside of the closure lets other fibers of
//! the thread run, and no library can prevent that. But the closure's frame is on the fiber's
//! stack, and the stack can be read.
//!
//! It is read from outside, when the fiber has given the thread back, so that a wait takes no
//! instruction for it. A look takes some 15 µs. So each *place* of waiting (where the fiber was
//! spawned, how deep its stack is, what kind of thing it waits for) is checked the first time, the
//! second, the fourth, and so on: two calls may look like one place, because a compiler may put
//! them into one frame.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::{self, Write};
use std::mem::{self, Discriminant};
use std::panic::Location;

use parking_lot::Mutex;

use super::fiber_info::FiberInfo;
use crate::fiber::Wait;
use crate::fiber::backtrace::{Backtrace, Call, resolve};

/// A fiber waits inside of a closure that ties state to its thread. Other fibers of the thread run
/// meanwhile, and find that state half-made, or end their part of it too early.
///
/// [`crate::guide::hazards`] says what can happen then, and what to use instead.
#[derive(Debug)]
#[non_exhaustive]
pub struct ThreadBoundWait {
    /// The fiber, with its backtrace.
    pub fiber: FiberInfo,
    /// The closure's owner: "the initialiser of a `LazyLock`".
    pub inside: &'static str,
}

/// The places that a shard has checked.
#[derive(Default)]
pub(crate) struct Tripwire {
    /// How often a fiber was found waiting there.
    places: RefCell<HashMap<Place, u64>>,
    /// The calls, from the wait out to the closure's, of each reported wait: in words, because a
    /// compiler may copy code.
    reported: RefCell<HashSet<String>>,
}

#[derive(PartialEq, Eq, Hash)]
pub(super) struct Place {
    spawned_at: *const Location<'static>,
    /// Bytes of the stack in use.
    depth: usize,
    wait: Discriminant<Wait>,
}

impl Place {
    pub(super) fn new(spawned_at: &'static Location<'static>, depth: usize, wait: Wait) -> Self {
        Self { spawned_at, depth, wait: mem::discriminant(&wait) }
    }
}

impl Tripwire {
    pub(super) fn is_worth_a_look(&self, place: Place) -> bool {
        let mut places = self.places.borrow_mut();
        if places.len() >= PLACES_MAX && !places.contains_key(&place) {
            return false;
        }
        let count = places.entry(place).or_default();
        *count += 1;
        count.is_power_of_two()
    }

    /// Whether a wait with those calls was not reported yet; from now on it is.
    pub(super) fn is_news(&self, calls: String) -> bool {
        self.reported.borrow_mut().insert(calls)
    }
}

/// The innermost closure of that kind, and in words the calls from the wait out to the function
/// that called the closure, and its caller.
pub(super) fn find(backtrace: &Backtrace) -> Option<(&'static str, String)> {
    let addresses = backtrace.addresses();
    let mut is_guarded = false;
    let marks = addresses.iter().flat_map(|address| marks(*address));
    let kind =
        marks.take_while(|mark| !matches!(mark, Mark::Root)).find_map(|mark| match mark {
            Mark::Bound(kind) if !(is_guarded && kind.may_be_guarded) => Some(kind),
            Mark::Guard => {
                is_guarded = true;
                None
            }
            _ => None,
        })?;
    let (mut calls, mut is_found) = (String::new(), false);
    for call in addresses.iter().flat_map(|address| resolve(*address)) {
        // Writing to a string cannot fail.
        let _ = write!(calls, "{call}");
        if is_found {
            break;
        }
        is_found = kind.is_of(&call);
    }
    Some((kind.name, calls))
}

/// What a call means here.
#[derive(Clone, Copy)]
enum Mark {
    /// The fiber's own calls end here.
    Root,
    /// This crate's own cell, whose initialiser may wait.
    Guard,
    Bound(&'static Kind),
}

/// The meaning of the call that returns to that address, and of the calls that were inlined into
/// it. Looked up once for each address of the program, because that is slow.
fn marks(address: usize) -> Vec<Mark> {
    static KNOWN: Mutex<BTreeMap<usize, Vec<Mark>>> = Mutex::new(BTreeMap::new());
    let known = KNOWN.lock().get(&address).cloned();
    known.unwrap_or_else(|| {
        let marks: Vec<_> = resolve(address).iter().filter_map(mark).collect();
        KNOWN.lock().insert(address, marks.clone());
        marks
    })
}

fn mark(call: &Call) -> Option<Mark> {
    if call.is_root() {
        return Some(Mark::Root);
    }
    if call.is_in("sync/once_cell.rs") {
        return Some(Mark::Guard);
    }
    KINDS.iter().find(|kind| kind.is_of(call)).map(Mark::Bound)
}

/// A closure that ties state to the thread, and how its frame is known.
struct Kind {
    name: &'static str,
    /// The beginning of the function's path.
    path: &'static str,
    /// A part of the path of its source: for an inlined call the debug information may have only
    /// the last part of its name.
    source: &'static str,
    /// It does no harm around this crate's own cell, because the code that waits there is no part
    /// of the state.
    may_be_guarded: bool,
}

impl Kind {
    const fn new(name: &'static str, path: &'static str, source: &'static str) -> Self {
        Self { name, path, source, may_be_guarded: false }
    }

    fn is_of(&self, call: &Call) -> bool {
        // An `impl` for a type, in either scheme of names, begins with a bracket.
        let path = call.name.trim_start_matches('<');
        path.starts_with(self.path)
            || call.file.as_ref().is_some_and(|file| file.contains(self.source))
    }
}

static KINDS: [Kind; 11] = [
    Kind::new(
        "the initialiser of a `thread_local!`",
        "std::sys::thread_local::",
        "library/std/src/sys/thread_local/",
    ),
    Kind {
        may_be_guarded: true,
        ..Kind::new(
            "`LocalKey::with`",
            "std::thread::local::LocalKey<",
            "library/std/src/thread/local.rs",
        )
    },
    Kind::new(
        "the initialiser of a `LazyLock`",
        "std::sync::lazy_lock::",
        "library/std/src/sync/lazy_lock.rs",
    ),
    Kind::new(
        "the initialiser of a `OnceLock`",
        "std::sync::once_lock::",
        "library/std/src/sync/once_lock.rs",
    ),
    Kind::new("`Once::call_once`", "std::sync::once::", "library/std/src/sync/once.rs"),
    Kind::new(
        "`Once::call_once`",
        "std::sync::poison::once::",
        "library/std/src/sync/poison/once.rs",
    ),
    Kind::new("`Once::call_once`", "std::sys::sync::once::", "library/std/src/sys/sync/once/"),
    Kind::new("`std::thread::scope`", "std::thread::scoped::", "library/std/src/thread/scoped.rs"),
    Kind::new("an initialiser of the crate `once_cell`", "once_cell::imp::", "/src/imp_std.rs"),
    Kind::new("`ScopedKey` of the crate `scoped-tls`", "scoped_tls::", "/scoped-tls-1"),
    Kind::new("the crate `slog-scope`", "slog_scope::", "/slog-scope-4"),
];

impl fmt::Display for ThreadBoundWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a wait inside of {}: other fibers of the thread run meanwhile, and meet its state \
             half-made or out of order; wait outside of it, or use `shard_local!`, `sync::Lazy`, \
             `sync::OnceCell` or `fiber_local!`. It is {}",
            self.inside, self.fiber
        )
    }
}

/// The number of places that are checked at most: more than any program has that waits at a bounded
/// depth. Arbitrary: some megabytes.
const PLACES_MAX: usize = 65_536;
