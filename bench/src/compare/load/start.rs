//! The start of a run: the clients connect first, and the clocks start when all are ready. So the
//! figures contain neither connects nor handshakes.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::{Duration, Instant};

use straightline::sched::{self, Fiber};

use super::Load;
use super::outcome::Outcome;
use crate::cpu;

/// What all clients of a run share.
pub(super) struct Run {
    pub(super) load: Load,
    pub(super) outcome: RefCell<Outcome>,
    /// When the run began and when it ends; `None` before the start.
    span: Cell<Option<(Instant, Instant)>>,
    /// The clients that wait for the start.
    ready: RefCell<Vec<Fiber>>,
    /// How many clients have not finished. The last one wakes `root`.
    active: Cell<u16>,
    root: Fiber,
}

impl Run {
    /// To be called on the root fiber.
    pub(super) fn new(load: Load) -> Self {
        Self {
            active: Cell::new(load.clients),
            load,
            outcome: RefCell::default(),
            span: Cell::new(None),
            ready: RefCell::default(),
            root: sched::current(),
        }
    }

    /// A client is ready, and waits for the start. Returns the beginning and the end of the run.
    pub(super) fn wait_for_start(&self) -> (Instant, Instant) {
        self.ready.borrow_mut().push(sched::current());
        if self.ready.borrow().len() == usize::from(self.load.clients) {
            self.root.unpark();
        }
        loop {
            if let Some(span) = self.span.get() {
                return span;
            }
            sched::park();
        }
    }

    /// A client has finished.
    pub(super) fn finish(&self) {
        self.active.set(self.active.get() - 1);
        if self.active.get() == 0 {
            self.root.unpark();
        }
    }

    /// Starts the clients when all are ready, and waits until the last one has finished. A client
    /// that hangs counts as an error; the scheduler cancels it when the root fiber returns.
    pub(super) fn drive(&self) -> io::Result<Outcome> {
        let clients = usize::from(self.load.clients);
        wait_until(Instant::now() + CONNECT_TIME_MAX, || self.ready.borrow().len() == clients);
        let (begun, cpu_before) = (Instant::now(), cpu::time_used(self.load.process)?);
        let end = begun + self.load.time;
        self.span.set(Some((begun, end)));
        self.ready.borrow().iter().for_each(Fiber::unpark);
        wait_until(end + self.load.time + GRACE, || self.active.get() == 0);
        let mut outcome = self.outcome.take();
        outcome.elapsed = begun.elapsed();
        outcome.cpu = cpu::time_used(self.load.process)?.saturating_sub(cpu_before);
        let hanging = self.active.get();
        if hanging > 0 {
            outcome.errors += u64::from(hanging);
            outcome.first_error.get_or_insert_with(|| format!("{hanging} clients hang"));
        }
        Ok(outcome)
    }
}

fn wait_until(give_up: Instant, is_so: impl Fn() -> bool) {
    while !is_so() {
        let left = give_up.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        sched::park_timeout(left);
    }
}

/// Arbitrary: on loopback it takes milliseconds.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// How much later than its end a run may be over. Arbitrary, as above.
const GRACE: Duration = Duration::from_secs(2);
