//! Clients that send the next request when they have the response.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline::sched;

use super::connection::{self, Connection, bytes_to_send};
use super::outcome::Outcome;
use super::start::Run;
use super::{Load, slow};
use crate::compare::mode::Mode;

/// Runs the clients on the calling thread.
pub(in crate::compare) fn run(load: Load) -> io::Result<Outcome> {
    sched::run(move || {
        if load.mode == Mode::Slow {
            slow::spawn(load.server)?;
        }
        let run = Rc::new(Run::new(load));
        for _ in 0..run.load.clients {
            let run = Rc::clone(&run);
            sched::FiberBuilder::new().spawn(move || {
                client(&run);
                run.finish();
            })?;
        }
        run.drive()
    })
}

fn client(run: &Run) {
    let mut first = match run.load.mode {
        Mode::Short => None,
        _ => Some(open(&run.load)),
    };
    let (_, end) = run.wait_for_start();
    while Instant::now() < end {
        let result = match run.load.mode {
            Mode::Short => ask_often(run, end),
            _ => first
                .take()
                .unwrap_or_else(|| open(&run.load))
                .and_then(|mut connections| keep_asking(run, &mut connections, end)),
        };
        if let Err(error) = result {
            run.outcome.borrow_mut().count_error(&error);
            // The client of a server that refuses everything must not spin.
            sched::sleep(ERROR_PAUSE);
        }
    }
}

fn open(load: &Load) -> io::Result<Vec<Connection>> {
    (0..load.mode.connections_each()).map(|_| Connection::open(load)).collect()
}

/// Sends requests until the end, on each connection in turn.
fn keep_asking(run: &Run, connections: &mut [Connection], end: Instant) -> io::Result<()> {
    let bytes = bytes_to_send(&run.load);
    let count = |requests, time| run.outcome.borrow_mut().count(requests, time);
    loop {
        for connection in &mut *connections {
            if Instant::now() >= end {
                return Ok(());
            }
            connection.exchange(&run.load, &bytes, count)?;
        }
    }
}

fn ask_often(run: &Run, end: Instant) -> io::Result<()> {
    let bytes = bytes_to_send(&run.load);
    loop {
        let begun = Instant::now();
        if begun >= end {
            return Ok(());
        }
        connection::ask_once(&run.load, &bytes)?;
        run.outcome.borrow_mut().count(1, begun.elapsed());
    }
}

/// Arbitrary: long enough to be no load, short enough to notice a server that serves again.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
