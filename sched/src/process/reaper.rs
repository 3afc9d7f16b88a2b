//! Reaps children that no fiber waits for.
//!
//! A child that has ended stays as a zombie until its parent asks for its status. Here one thread
//! asks, for all children that were dropped before their end. It is started with the first of them,
//! and ends with the last one.
//!
//! It asks again and again: 1 ms after a child came, and then after twice the time, up to a second.
//! A child that was killed ends within the first steps. One that goes on is noticed later, and a
//! second as a zombie costs nothing.

use std::process::{self, Child};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Takes a child that has not been waited for. Not a yield point.
pub(super) fn reap_later(child: Child) {
    let reaper = Reaper::of_process();
    let mut state = reaper.state.lock();
    state.orphans.push(child);
    if state.has_thread {
        reaper.came.notify_one();
        return;
    }
    // If the system refuses a thread, the next child that comes tries again.
    let thread = thread::Builder::new().name("reap-children".to_owned());
    state.has_thread = thread.spawn(|| reaper.reap_all()).is_ok();
}

struct Reaper {
    process: u32,
    state: Mutex<State>,
    /// Notified when a child has come.
    came: Condvar,
    /// The reaper in a process that was forked from this one: that has neither the children nor the
    /// thread, and perhaps a lock that the thread held.
    forked: OnceLock<Box<Reaper>>,
}

#[derive(Default)]
struct State {
    orphans: Vec<Child>,
    has_thread: bool,
}

impl Reaper {
    fn new() -> Self {
        let state = Mutex::new(State::default());
        let process = process::id();
        Self { process, state, came: Condvar::new(), forked: OnceLock::new() }
    }

    fn of_process() -> &'static Self {
        static FIRST: OnceLock<Reaper> = OnceLock::new();
        let (mut own, process) = (FIRST.get_or_init(Self::new), process::id());
        while own.process != process {
            own = own.forked.get_or_init(|| Box::new(Self::new()));
        }
        own
    }

    fn reap_all(&self) {
        let mut state = self.state.lock();
        let mut pause = PAUSE_MIN;
        loop {
            // An error means that another part of the program has reaped the child.
            state.orphans.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
            if state.orphans.is_empty() {
                *state = State::default();
                return;
            }
            let has_come = !self.came.wait_for(&mut state, pause).timed_out();
            pause = if has_come { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
        }
    }
}

/// Arbitrary: a killed process mostly ends in less.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// Arbitrary: how long a zombie may stay.
const PAUSE_MAX: Duration = Duration::from_secs(1);
