//! Inspection: which fibers exist, what each waits for and where it stands, and the counters of the
//! shard.

use std::rc::Rc;
use std::time::Duration;

use super::counters::Stats;
use super::fiber_info::{FiberInfo, FiberState, Label, number};
use super::local;
use super::shard::Shard;
use crate::fiber::backtrace::Backtrace;
use crate::fiber::stack_usage::StackUsage;
use crate::fiber::{
    FiberCell, FiberKey, Label as Doing, Resume, Wait, peek, take_depth, take_dump, while_running,
    with_running,
};

/// Lists every fiber of the calling fiber's shard, in no particular order.
///
/// Not a yield point. Takes about 0.2 µs a fiber.
///
/// # Panics
///
/// Outside of [`run`](crate::run).
///
/// ```
/// use straightline_sched::{self as sched, FiberBuilder, FiberState};
///
/// sched::run(|| {
///     FiberBuilder::new().name("idler").spawn(sched::park)?;
///     sched::yield_now();
///     for fiber in sched::inspect() {
///         if fiber.name.as_deref() == Some("idler") {
///             assert_eq!(fiber.state, FiberState::Waiting("unpark".into()));
///             println!("{fiber}");
///         }
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn inspect() -> Vec<FiberInfo> {
    local::with(list_fibers)
}

/// As [`inspect`], with the backtraces of at most `backtraces_max` parked fibers.
///
/// Not a yield point. Each backtrace takes about 15 µs, during which no other fiber runs, and 8 KiB
/// of the parked fiber's stack; a fiber with less room left is listed without a backtrace.
///
/// # Panics
///
/// Outside of [`run`](crate::run).
///
/// ```
/// use straightline_sched as sched;
///
/// fn waits_here() {
///     sched::park();
/// }
///
/// sched::run(|| {
///     sched::spawn(waits_here);
///     sched::yield_now();
///     let fibers = sched::inspect_with_backtraces(100);
///     assert!(fibers.iter().any(|fiber| fiber.to_string().contains("waits_here")));
/// });
/// ```
#[track_caller]
pub fn inspect_with_backtraces(backtraces_max: usize) -> Vec<FiberInfo> {
    local::with(|shard| list_fibers_with_backtraces(shard, backtraces_max))
}

/// Labels the calling fiber until this is called again; `None` removes its label. Changes inside of
/// the label show from then on.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of a fiber.
#[inline]
#[track_caller]
pub fn set_label(label: Option<&Doing>) {
    if with_running(|fiber| drop(fiber.label.replace(label.cloned()))).is_none() {
        local::with(Shard::current); // panics, and says why
    }
}

/// The counters of the shard that the calling fiber runs on.
/// [`ShardHandle::stats`](crate::ShardHandle::stats) reads them from elsewhere.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of [`run`](crate::run).
///
/// ```
/// use straightline_sched as sched;
///
/// sched::run(|| {
///     sched::spawn(|| ()).join().unwrap();
///     let stats = sched::stats();
///     assert_eq!((stats.spawned, stats.ended), (2, 1)); // this fiber is one of them
/// });
/// ```
#[track_caller]
pub fn stats() -> Stats {
    local::with(|shard| {
        shard.counters.ready.set(shard.queue.len() as u64);
        shard.stacks.publish();
        shard.counters.stats(&shard.pulse)
    })
}

/// How much of their stacks the ended fibers of this shard used, by the place where they were
/// spawned: the greatest use first. Empty unless the shard was made with
/// [`Config::stack_usage`](crate::Config::stack_usage).
///
/// It measures whole pages, from the top of the stack to the lowest page that was touched. Choose a
/// larger size than that: the deepest call may not have happened yet, and a panic that prints a
/// backtrace takes 24 KiB on its own.
///
/// Not a yield point.
///
/// # Panics
///
/// Outside of [`run`](crate::run).
///
/// ```
/// use straightline_sched::{self as sched, Config};
///
/// let config = Config::default().with_stack_usage(true);
/// sched::run_with(config, || {
///     for number in 0..3 {
///         let fiber = sched::spawn(move || format!("number {number}"));
///         fiber.join().unwrap();
///     }
///     for site in sched::stack_usage() {
///         println!("{}: {} of {}", site.spawned_at, site.max_used_bytes, site.stack_bytes);
///         assert_eq!(site.fibers, 3);
///         assert!(site.max_used_bytes < 64 * 1024);
///     }
///     assert_eq!(sched::stack_usage().len(), 1);
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn stack_usage() -> Vec<StackUsage> {
    local::with(|shard| shard.stacks.uses())
}

pub(super) fn info_of(shard: &Shard, fiber: &FiberCell) -> FiberInfo {
    let (now, wait) = (shard.clock(), fiber.waiting.wait());
    let is_resting = fiber.body.try_borrow().is_ok_and(|body| body.is_resting());
    let state = if shard.try_current().is_some_and(|it| it.key == fiber.key) {
        FiberState::Running
    } else if fiber.queued.get() || wait == Wait::Nothing && !is_resting {
        FiberState::Ready
    } else if is_resting {
        FiberState::Resting
    } else {
        FiberState::Waiting(describe(shard, wait))
    };
    let since = match state {
        FiberState::Waiting(_) => now.saturating_since(fiber.waiting.since()),
        _ => Duration::ZERO,
    };
    let deadline = fiber.bounds.renew_end().ever();
    FiberInfo {
        id: number(fiber.key),
        name: fiber.name().map(Into::into),
        spawned_at: fiber.spawn_info.spawned_at,
        age: now.saturating_since(fiber.spawn_info.spawned_in),
        label: peek(&fiber.label, |label| label.and_then(Doing::text)),
        state,
        since,
        deadline_in: deadline.map(|at| at.saturating_since(now)).filter(|&left| left < NEVER),
        is_cancelled: fiber.bounds.is_cancelled(),
        backtrace: None,
    }
}

pub(crate) fn list_fibers(shard: &Shard) -> Vec<FiberInfo> {
    shard.fibers.list().iter().map(|fiber| info_of(shard, fiber)).collect()
}

pub(super) fn list_fibers_with_backtraces(shard: &Shard, backtraces_max: usize) -> Vec<FiberInfo> {
    let fibers = shard.fibers.list();
    let mut left = backtraces_max;
    let list = fibers.iter().map(|fiber| {
        let mut info = info_of(shard, fiber);
        if left > 0 {
            info.backtrace = backtrace(fiber);
            left -= usize::from(info.backtrace.is_some());
        }
        info
    });
    list.collect()
}

/// Where a suspended fiber stands; `None` for a fiber that runs, rests or has not begun.
pub(super) fn backtrace(fiber: &Rc<FiberCell>) -> Option<Backtrace> {
    ask(fiber, Resume::Dump)?;
    take_dump()
}

/// How many bytes of its stack a suspended fiber has in use; `None` as for a backtrace.
pub(super) fn depth(fiber: &Rc<FiberCell>) -> Option<usize> {
    ask(fiber, Resume::Measure)?;
    take_depth()
}

pub(crate) fn describe(shard: &Shard, wait: Wait) -> String {
    match wait {
        Wait::Nothing => "nothing".into(),
        Wait::Turn => "its turn".into(),
        Wait::Unpark => "unpark".into(),
        Wait::Time => "sleep".into(),
        Wait::Readable(number) => format!("to read from {}", describe_watched(shard, number)),
        Wait::Writable(number) => format!("to write to {}", describe_watched(shard, number)),
        Wait::End(key) => match shard.fibers.get(key) {
            Some(fiber) => format!("the end of {}", Label(&fiber)),
            None => "the end of a fiber that has ended".into(),
        },
        Wait::Children => "the fibers of its scope".into(),
        Wait::Call(call) => (*call).into(),
        Wait::Queue(queue_wait) => match queue_wait.holder() {
            Some(holder) => format!("{}, {}", queue_wait.call(), describe_holder(shard, holder)),
            None => (*queue_wait.call()).into(),
        },
    }
}

fn ask(fiber: &Rc<FiberCell>, question: Resume) -> Option<()> {
    if fiber.waiting.wait() == Wait::Nothing {
        return None;
    }
    let mut body = fiber.body.try_borrow_mut().ok()?;
    let coroutine = body.coroutine()?;
    while_running(fiber, || coroutine.resume(question));
    Some(())
}

fn describe_watched(shard: &Shard, number: i32) -> String {
    match shard.driver.simulation().map(|simulation| simulation.label(number)) {
        Some(label) => label.as_deref().unwrap_or("a device that is gone").to_owned(),
        None => format!("descriptor {number}"),
    }
}

/// The fiber that took a lock. If its guard has moved to another fiber since, that does not show.
fn describe_holder(shard: &Shard, (shard_id, key): (u64, FiberKey)) -> String {
    if shard_id != shard.id {
        return "taken by a fiber of another shard".into();
    }
    if let Some(holder) = shard.fibers.get(key) {
        return format!("taken by {}", Label(&holder));
    }
    match shard.abandoned.name(key) {
        Some(holder) => format!("taken by {holder}, which was abandoned"),
        None => "taken by a fiber that has ended".into(),
    }
}

/// A deadline further away than a century counts as none, such as that of a lease without an end.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
