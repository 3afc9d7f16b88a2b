//! More blocking calls than the offload pool has threads: their clients get a 504 at the handler
//! timeout, other clients notice nothing, and the pool recovers.

use std::io;
use std::time::{Duration, Instant};

use crate::client::{MARGIN, get_once};
use crate::healthy::Healthy;
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, eventually, most_of, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    // More clients than the pool has threads, including the threads that replace lost ones.
    let clients = trial.options.connections(200, 1_000);
    let timeout = trial.options.pick(Duration::from_millis(700), Duration::from_secs(2));
    let blocked = timeout * 3;
    let flags = format!("--handler-timeout {}ms", timeout.as_millis());
    let server = trial.start(&flags, clients)?;
    let before = trial.scrape(&server);
    let descriptors = server.process().descriptors()?;
    let healthy = Healthy::start(server.address(), false);

    let begun = Instant::now();
    let mut timeouts = 0;
    // When the second wave begins, the pool has lost as many threads as it replaces.
    for wave in ["calls", "more"] {
        trial.doing(format!("{clients} {wave} that block for {blocked:?}, timeout {timeout:?}"));
        let tally = many(clients, &server, blocked, timeout + MARGIN);
        let (in_time, late) = (tally.last() <= timeout + MARGIN, tally.answered(504));
        trial.expect(
            format!("each 504 (or 503 from a full pool) within {timeout:?} (+ {MARGIN:?})"),
            tally.to_string(),
            late > 0 && tally.all(|f| matches!(f, Outcome::Answered(503 | 504))) && in_time,
        );
        let early = tally.answered(503) == 0 && tally.first() < most_of(timeout);
        let seen = format!("the first after {:.2} s", tally.first().as_secs_f64());
        trial.expect(format!("no 504 before {timeout:?}"), seen, !early);
        timeouts += late;
    }
    let threads = server.process().threads()?;
    let expected = format!("at most {THREADS_MAX} threads: 64 of the pool, 64 lost ones, others");
    trial.expect(expected, format!("{threads} threads"), threads <= THREADS_MAX);
    healthy.finish(trial)?;

    trial.doing("the abandoned calls end");
    let expected = format!("20 short calls: each 200 within {blocked:?} (+ {MARGIN:?})");
    let mut tally = Tally::default();
    eventually(blocked + MARGIN, || {
        tally = many(20, &server, Duration::from_millis(1), timeout + MARGIN);
        Ok(tally.all(|outcome| *outcome == Outcome::Answered(200)))
    })?;
    let back = begun.elapsed();
    let seen = format!("{tally}; {:.2} s after the first calls", back.as_secs_f64());
    trial.expect(expected, seen, tally.all(|outcome| *outcome == Outcome::Answered(200)));
    trial.expect_all_closed(&server, descriptors)?;
    let after = trial.scrape(&server);
    let total = "straightline_timeouts_total{kind=\"handler\"}";
    trial.expect_growth(&before, &after, total, timeouts);
    trial.expect_growth(&before, &after, "straightline_responses_total{class=\"5xx\"}", timeouts);
    Ok(())
}

/// Runs `clients` clients, each with a handler that blocks a thread of the pool for `blocked`.
fn many(clients: usize, server: &Server, blocked: Duration, bound: Duration) -> Tally {
    let target = format!("/block?ms={}", blocked.as_millis());
    tally_of(0..clients, |_| get_once(server.address(), &target, bound))
}

/// The documented bounds of the pool, and some threads for everything else.
const THREADS_MAX: usize = 64 + 64 + 16;
