//! Waiting for several things, until the first of them is ready.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::waiter::{checkpoint, may_wait, wait_in};
use super::watch::{Watch, Watcher};
use super::{Flag, FlagReader, broadcast, mpsc, oneshot};
use crate::core::{self, JoinHandle, Unwinding, has_hook};
use crate::driver::World;
use crate::fiber::Standing;

/// Something that [`select`] can wait for.
///
/// | thing | is ready when |
/// |---|---|
/// | a channel's `Receiver` | a message is there, or all senders are gone |
/// | [`Flag`], [`FlagReader`] | the flag is set |
/// | [`JoinHandle`] | the fiber is over |
/// | [`ShardJoinHandle`](crate::ShardJoinHandle) | the shard has ended |
/// | [`Polled`](super::Polled) | the future is ready |
/// | [`Timer`] | its time has passed |
/// | [`Ready`](super::Ready), of a socket | a read, or a write, would not wait |
///
/// The trait is sealed: nothing else implements it. A stream of your own returns a
/// [`Ready`](super::Ready).
#[diagnostic::on_unimplemented(
    message = "`select` cannot wait for `{Self}`",
    note = "for a socket, pass `&stream.readable()` or `&stream.writable()`",
    note = "for a time, pass `&after(duration)` or `&at(instant)`"
)]
pub trait Selectable: Watch {}

impl<T> Selectable for mpsc::Receiver<T> {}
impl<T> Selectable for oneshot::Receiver<T> {}
impl<T> Selectable for broadcast::Receiver<T> {}
impl Selectable for Flag {}
impl Selectable for FlagReader {}
impl<T> Selectable for JoinHandle<T> {}
impl Selectable for Timer {}
impl<S: Selectable + ?Sized> Selectable for &S {}

/// Waits until one of the things is ready, and returns its index.
///
/// It takes nothing: the caller does that with its next call (`try_recv`, `join`, a read). Another
/// fiber may be quicker, so the caller must be prepared to find nothing, and to call `select`
/// again. If several things are ready, each call begins its search at another one, so none is
/// forgotten.
///
/// # Blocking
///
/// A yield point: it waits if none is ready, and lets other fibers run now and then even if one is.
///
/// # Cancellation
///
/// A fiber that is cancelled or passes its deadline in here leaves all things as they are.
///
/// # Errors
///
/// [`Unwinding`] if none is ready and the caller unwinds, and so may not wait.
///
/// # Panics
///
/// When there are no things to wait for.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, sync::{after, mpsc, select}};
///
/// sched::run(|| {
///     let (sender, requests) = mpsc::channel(8);
///     sched::spawn(move || (0..3).try_for_each(|number| sender.send(number)));
///     let (mut sum, enough) = (0, after(Duration::from_secs(60)));
///     loop {
///         match select(&[&requests, &enough]).unwrap() {
///             0 => match requests.try_recv() {
///                 Ok(number) => sum += number,
///                 Err(mpsc::TryRecvError::Empty) => {}
///                 Err(mpsc::TryRecvError::Disconnected) => break,
///             },
///             _ => break,
///         }
///     }
///     assert_eq!(sum, 3);
/// });
/// ```
#[track_caller]
pub fn select(things: &[&dyn Selectable]) -> Result<usize, Unwinding> {
    assert!(!things.is_empty(), "straightline: a select of nothing would never end");
    let passed = checkpoint();
    let watcher = Watcher::new();
    let (first, registered) = (first_of(things.len()), Cell::new(0));
    let watching = Watching { things, first, registered, watcher };
    let standing = Standing { call: &"select", holder: None, leave: &|| watching.end() };
    loop {
        if let Some(index) = watching.begin() {
            return Ok(index);
        }
        passed?;
        if has_hook() {
            watching.end();
            may_wait()?;
            continue;
        }
        wait_in(&standing, things.iter().filter_map(Watch::due).min())?;
        watching.end();
    }
}

/// A point in time as a thing to [`select`] on: ready from then on.
///
/// ```
/// use std::time::{Duration, Instant};
/// use straightline_sched::{self as sched, sync::{after, select}};
///
/// sched::run(|| {
///     let start = Instant::now();
///     select(&[&after(Duration::from_millis(2))]).unwrap();
///     assert!(start.elapsed() >= Duration::from_millis(2));
/// });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    at: Instant,
}

/// A [`Timer`] that is ready when `duration` has passed from now. Not a yield point.
pub fn after(duration: Duration) -> Timer {
    let now = core::now();
    at(now.checked_add(duration).unwrap_or(now + FAR_FUTURE))
}

/// A [`Timer`] that is ready at `instant`.
///
/// Not a yield point.
///
/// ```
/// use std::time::Instant;
/// use straightline_sched::sync::{Flag, at, select};
///
/// let (stop, due) = (Flag::new(), at(Instant::now()));
/// assert_eq!(select(&[&stop, &due]), Ok(1)); // on a thread, which waits as a fiber does
/// ```
pub fn at(instant: Instant) -> Timer {
    Timer { at: instant }
}

/// A watcher, registered with the first `registered` of the things, counted from `first`.
struct Watching<'t> {
    things: &'t [&'t dyn Selectable],
    first: usize,
    registered: Cell<usize>,
    watcher: Watcher,
}

impl Watching<'_> {
    fn index(&self, nth: usize) -> usize {
        (self.first + nth) % self.things.len()
    }

    /// Registers with one after the other; returns the first that is ready instead.
    fn begin(&self) -> Option<usize> {
        for nth in 0..self.things.len() {
            let index = self.index(nth);
            if self.things[index].watch(&self.watcher) {
                return Some(index);
            }
            self.registered.set(nth + 1);
        }
        None
    }

    /// Takes all registrations back.
    fn end(&self) {
        while let Some(last) = self.registered.get().checked_sub(1) {
            self.registered.set(last);
            self.things[self.index(last)].unwatch(&self.watcher);
        }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<T> Watch for JoinHandle<T> {
    fn watch(&self, _: &Watcher) -> bool {
        !self.watch_end()
    }

    fn unwatch(&self, _: &Watcher) {
        self.unwatch_end();
    }
}

impl<S: Watch + ?Sized> Watch for &S {
    fn watch(&self, watcher: &Watcher) -> bool {
        (**self).watch(watcher)
    }

    fn unwatch(&self, watcher: &Watcher) {
        (**self).unwatch(watcher);
    }

    fn due(&self) -> Option<Instant> {
        (**self).due()
    }
}

impl Watch for Timer {
    fn watch(&self, _: &Watcher) -> bool {
        self.at <= core::now()
    }

    fn unwatch(&self, _: &Watcher) {}

    fn due(&self) -> Option<Instant> {
        Some(self.at)
    }
}

/// The index at which a search through `count` things begins. The indices are spread evenly over
/// the calls of a thread, and also over every second or third call, which may be those of one
/// fiber.
fn first_of(count: usize) -> usize {
    thread_local! {
        static SPREAD: Cell<u64> = const { Cell::new(0) };
    }
    if let Some(world) = World::current() {
        return world.order.borrow_mut().index(count);
    }
    let spread = SPREAD.get().wrapping_add(GOLDEN);
    SPREAD.set(spread);
    let scaled = (u128::from(spread) * count as u128) >> 64;
    usize::try_from(scaled).unwrap_or(0)
}

/// 2^64 divided by the golden ratio: its multiples, modulo 2^64, lie evenly.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a duration beyond the clock's range means. Arbitrary: no program runs so long.
const FAR_FUTURE: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 100);
