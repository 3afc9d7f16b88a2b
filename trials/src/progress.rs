//! One line on a terminal shows the progress of the run. Without a terminal nothing is printed.

use std::cell::{Cell, RefCell};
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use straightline::sched;

/// The line, redrawn a few times a second while a scenario runs.
pub(crate) struct Progress {
    /// Whether stderr is a terminal.
    shown: bool,
    total: usize,
    done: Cell<usize>,
    begun: Cell<Instant>,
    text: RefCell<String>,
}

impl Progress {
    pub(crate) fn new(total: usize) -> Self {
        Self {
            shown: io::stderr().is_terminal(),
            total,
            done: Cell::new(0),
            begun: Cell::new(Instant::now()),
            text: RefCell::default(),
        }
    }

    /// Notes that a scenario begins, after `done` others.
    pub(crate) fn begin(&self, done: usize) {
        self.done.set(done);
        self.begun.set(Instant::now());
    }

    /// Shows what the scenario is doing now.
    pub(crate) fn say(&self, text: String) {
        self.text.replace(text);
        self.draw();
    }

    /// Keeps the line up to date, and never returns. It runs on a fiber, which ends with its shard.
    pub(crate) fn tick(&self) {
        if !self.shown {
            return;
        }
        loop {
            self.draw();
            sched::sleep(TICK);
        }
    }

    /// Removes the line, before something else is printed.
    pub(crate) fn clear(&self) {
        if self.shown {
            eprint!("\r{ERASE}");
        }
    }

    fn draw(&self) {
        if !self.shown {
            return;
        }
        let filled = BAR_COLUMNS * self.done.get() / self.total.max(1);
        let (full, empty) = ("#".repeat(filled), "-".repeat(BAR_COLUMNS - filled));
        let seconds = self.begun.get().elapsed().as_secs_f64();
        let text = self.text.borrow();
        let (done, total) = (self.done.get(), self.total);
        // A line that wraps could not be rewritten.
        let line = format!("[{full}{empty}] {done}/{total} {seconds:.1} s {text}");
        let line: String = line.chars().take(LINE_COLUMNS).collect();
        // A terminal that has been closed must not end the run.
        let _ = write!(io::stderr(), "\r{line}{ERASE}");
    }
}

const TICK: Duration = Duration::from_millis(200);
const BAR_COLUMNS: usize = 12;

/// The width of common terminals.
const LINE_COLUMNS: usize = 78;

/// Erases to the end of the line (ECMA-48, EL).
const ERASE: &str = "\x1b[K";
