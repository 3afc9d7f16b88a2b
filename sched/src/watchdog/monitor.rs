//! The monitor: one thread for each process, while there are shards to watch.

use std::mem;
use std::process;
use std::sync::Weak;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::busy::Turns;
use super::found::{Describe, Found, Limits};
use super::os;
use super::pulse::Pulse;
use super::stall::{Stall, StallCause};
use crate::fiber::backtrace::Backtrace;

/// What the monitor knows of a shard.
struct Watched {
    pulse: Weak<Pulse>,
    /// The system's number of the shard's thread.
    thread: i32,
    limits: Limits,
    /// Asks the shard for its maintenance.
    maintain: Box<dyn Fn() + Send>,
    report: Box<dyn Fn(Found) + Send>,
}

/// Watches the calling thread's shard until its pulse is dropped. The monitor's thread calls
/// `report` when a limit is passed. It calls `maintain` when the shard falls quiet, and now and
/// then while it works.
pub(crate) fn watch(
    pulse: Weak<Pulse>,
    limits: Limits,
    describe: Describe,
    maintain: impl Fn() + Send + 'static,
    report: impl Fn(Found) + Send + 'static,
) {
    os::set_describe(describe);
    hand_over(Watched {
        pulse,
        thread: os::this_thread(),
        limits,
        maintain: Box::new(maintain),
        report: Box::new(report),
    });
}

/// Hands a shard to the monitor's thread, which is started if there is none.
fn hand_over(watched: Watched) {
    let mut monitor = MONITOR.lock();
    let process = process::id();
    if monitor.runs_in != Some(process) {
        if monitor.runs_in.is_some() {
            // After a fork, a child has none of its parent's shards.
            mem::forget(mem::take(&mut monitor.arrived));
            monitor.thread = None;
        }
        // Without the monitor nothing is watched, and everything else goes on.
        let spawned = thread::Builder::new().name("straightline-watch".into()).spawn(run);
        monitor.runs_in = spawned.is_ok().then_some(process);
    }
    monitor.arrived.push(watched);
}

/// The monitor's thread, if there is one.
pub(super) fn monitor_thread() -> Option<i32> {
    loop {
        let monitor = MONITOR.lock();
        if monitor.runs_in != Some(process::id()) {
            return None;
        }
        if monitor.thread.is_some() {
            return monitor.thread;
        }
        drop(monitor);
        thread::yield_now(); // it was started a moment ago
    }
}

#[derive(Default)]
struct Monitor {
    /// The process that has the thread.
    runs_in: Option<u32>,
    /// The system's number of that thread, while it runs.
    thread: Option<i32>,
    /// Shards that the thread has not taken over yet.
    arrived: Vec<Watched>,
}

static MONITOR: Mutex<Monitor> =
    Mutex::new(Monitor { runs_in: None, thread: None, arrived: Vec::new() });

/// A shard as the monitor saw it last.
struct Seen {
    watched: Watched,
    beats: u64,
    since: Instant,
    reported: Reported,
    /// The value of `Activity::user_ticks` when the fiber was seen for the second time.
    user_ticks: Option<u64>,
    turns: Turns,
    /// When it was last asked for maintenance.
    maintained_at: Instant,
    /// How often it was asked since its pulse moved last.
    maintained: u32,
}

/// The limit that was reported last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reported {
    None,
    Stall,
    Stuck,
}

fn run() {
    let mut shards: Vec<Seen> = Vec::new();
    let mut empty_rounds = 0;
    loop {
        {
            let mut monitor = MONITOR.lock();
            monitor.thread = Some(os::this_thread());
            let now = Instant::now();
            // Taken as a whole, so that memory for many shards is given back.
            let arrived = mem::take(&mut monitor.arrived);
            shards.extend(arrived.into_iter().map(|watched| Seen {
                watched,
                beats: 0,
                since: now,
                reported: Reported::None,
                user_ticks: None,
                turns: Turns::new(now),
                maintained_at: now,
                maintained: 0,
            }));
            empty_rounds = if shards.is_empty() { empty_rounds + 1 } else { 0 };
            if empty_rounds > EMPTY_ROUNDS_MAX {
                monitor.runs_in = None;
                monitor.thread = None;
                return;
            }
        }
        let limits = shards.iter().map(|seen| seen.watched.limits);
        let shortest = limits.flat_map(|of| [of.stall, of.busy, of.stuck]).flatten().min();
        let shortest = shortest.unwrap_or(ROUND_MAX);
        let (pause, begin) = ((shortest / 4).clamp(ROUND_MIN, ROUND_MAX), Instant::now());
        thread::sleep(pause);
        if begin.elapsed() > pause + OVERSLEPT {
            // The whole process was stopped (by a debugger, or the machine slept): not its fibers.
            let now = Instant::now();
            for seen in &mut shards {
                seen.since = now;
                seen.turns.begin_anew(now);
            }
        }
        shards.iter_mut().for_each(look_at_turns);
        shards.retain_mut(look);
    }
}

/// Checks whether a shard polls its driver in time, if there is a limit on that.
fn look_at_turns(seen: &mut Seen) {
    let (Some(limit), Some(pulse)) = (seen.watched.limits.busy, seen.watched.pulse.upgrade())
    else {
        return;
    };
    let (turns, beats) = (pulse.turns(), pulse.beats());
    drop(pulse);
    let is_at_rest = beats == seen.beats && beats % 2 == 0;
    if let Some(found) = seen.turns.look(turns, is_at_rest, limit, Instant::now()) {
        (seen.watched.report)(found);
    }
}

/// Checks one shard; false if it is gone.
fn look(seen: &mut Seen) -> bool {
    let Some(pulse) = seen.watched.pulse.upgrade() else { return false };
    let (beats, now) = (pulse.beats(), Instant::now());
    let moved = beats != seen.beats;
    if moved || beats % 2 == 0 {
        (seen.beats, seen.since, seen.reported) = (beats, now, Reported::None);
        seen.user_ticks = None;
        seen.maintained = if moved { 0 } else { seen.maintained };
        // When the shard falls quiet after some work, once more after that (stacks that were in use
        // the first time may be free by then), and now and then while it works.
        let quiet = !moved && seen.maintained < 2;
        if quiet || moved && now - seen.maintained_at >= MAINTENANCE_INTERVAL {
            seen.maintained += 1;
            seen.maintained_at = now;
            (seen.watched.maintain)();
        }
        return true;
    }
    let held_for = now - seen.since;
    let (level, limit) = passed(seen.watched.limits, held_for);
    let is_due = level > seen.reported;
    if !is_due && (seen.user_ticks.is_some() || seen.reported != Reported::None) {
        return true;
    }
    let activity = os::activity(seen.watched.thread);
    let computes = activity.has_computed_since(seen.user_ticks);
    seen.user_ticks = seen.user_ticks.or(activity.user_ticks);
    // On a busy machine it takes a while until that shows.
    let may_show = held_for < limit * 2 + UNCLEAR_MAX;
    let is_unclear = activity.cause == StallCause::Computes && !computes && may_show;
    if !is_due || is_unclear {
        return true;
    }
    // A signal would end a system call early, which the fiber's code may not expect. So the monitor
    // sends it only to a thread that is known to compute, or whose call the kernel restarts.
    let sample = if computes || activity.is_restarted {
        os::sample(seen.watched.thread, SAMPLE_TIMEOUT).ok().flatten()
    } else {
        None
    };
    if pulse.beats() != beats {
        return true; // the pulse moved meanwhile: the sample shows something else
    }
    if seen.reported == Reported::None {
        pulse.count_stall();
    }
    seen.reported = level;
    // The code that the report runs must not keep the shard's pulse alive.
    drop(pulse);
    let sample = sample.unwrap_or_default();
    let stall = Stall {
        name: sample.name,
        label: sample.label,
        spawned_at: sample.spawned_at,
        held_for,
        cause: activity.cause,
        backtrace: Backtrace::new(sample.frames),
    };
    let is_stuck = level == Reported::Stuck;
    (seen.watched.report)(if is_stuck { Found::Stuck(stall) } else { Found::Stalled(stall) });
    true
}

/// The last limit that was passed.
fn passed(limits: Limits, held_for: Duration) -> (Reported, Duration) {
    let is_passed = |limit: Option<Duration>| limit.filter(|limit| held_for >= *limit);
    match (is_passed(limits.stuck), is_passed(limits.stall)) {
        (Some(limit), _) => (Reported::Stuck, limit),
        (None, Some(limit)) => (Reported::Stall, limit),
        (None, None) => (Reported::None, Duration::ZERO),
    }
}

/// How often a shard that never falls quiet is asked for maintenance.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(1);

/// A look takes some 100 ns a shard, and more looks than this have no use.
const ROUND_MIN: Duration = Duration::from_millis(5);
const ROUND_MAX: Duration = Duration::from_millis(250);

/// How late the monitor may wake up on a busy machine; more means that the machine was stopped.
const OVERSLEPT: Duration = Duration::from_secs(1);

/// How long the monitor stays without a shard: tests and programs that run one shard after the
/// other.
const EMPTY_ROUNDS_MAX: u32 = 8;

/// How much longer than twice the limit the monitor waits until a thread that runs has used one
/// tick of processor time, 10 ms; then it reports the stall without a backtrace. Arbitrary.
const UNCLEAR_MAX: Duration = Duration::from_secs(1);

/// A thread in an uninterruptible wait does not run its handler.
const SAMPLE_TIMEOUT: Duration = Duration::from_millis(100);
