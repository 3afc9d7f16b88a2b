//! A server whose clients together need more memory than its process may have: the server refuses
//! some of them before an allocation fails, does not end, and serves all clients again afterwards.

use std::io;
use std::time::Duration;

use crate::body::Body;
use crate::client::{Client, MARGIN, get_once};
use crate::outcome::{Outcome, Tally};
use crate::server::{Bounds, Server};
use crate::trial::{Trial, eventually, mebibytes, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(96, 192);
    let bounds = Bounds { address_space: Some(ADDRESS_SPACE_BYTES), ..Bounds::default() };
    let mut server = trial.start_within(bounds, "", clients)?;
    trial.doing("one body of 8 MiB, held in memory");
    expect_whole(trial, &tally_of(0..1, |_| reverse(&server)));
    let before = trial.scrape(&server);

    let rounds = trial.options.pick(2, 5);
    let (all, space) = (clients as u64 * BODY_BYTES, mebibytes(ADDRESS_SPACE_BYTES));
    for round in 1..=rounds {
        let all = mebibytes(all);
        trial.doing(format!("{clients} at a time, {all} for a process of {space}, round {round}"));
        let tally = tally_of(0..clients, |_| reverse(&server));
        let held =
            tally.all(|outcome| *outcome == Outcome::Answered(200) || outcome.is_refusal(503));
        let (whole, refused) = (tally.answered(200), tally.answered(503));
        let expected = "each 200 or 503, and some of both";
        trial.expect(expected, tally.to_string(), held && whole > 0 && refused > 0);
    }

    trial.doing("after all bodies");
    trial.expect("the process has not ended", server.stderr_text(), server.is_running());
    let after = trial.scrape(&server);
    trial.expect_growth(&before, &after, "straightline_requests_short_of_memory_total", rounds);
    let key = "straightline_memory_held_bytes";
    let is_back = || Ok(trial.scrape(&server).value(key).is_some_and(|held| held < HELD_MAX));
    let is_back = eventually(MARGIN, is_back)?;
    let held = trial.scrape(&server).value(key).unwrap_or(f64::NAN);
    trial.expect(format!("{key} at most {HELD_MAX}"), format!("{held}"), is_back);
    let peak = mebibytes(server.process().memory()?.peak);
    trial.figure(format!("{peak} resident at most"));
    expect_whole(trial, &tally_of(0..4, |_| reverse(&server)));
    expect_whole(trial, &tally_of(0..20, |_| get_once(server.address(), "/hello", MARGIN)));
    Ok(())
}

fn expect_whole(trial: &mut Trial, tally: &Tally) {
    let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("each 200", tally.to_string(), held);
}

/// Sends a body that the server holds in memory.
fn reverse(server: &Server) -> Outcome {
    let talk = || {
        let mut client = Client::connect(server.address())?;
        let body = Body { bytes: BODY_BYTES, chunked: false };
        client.exchange(body.head("/reverse").as_bytes(), &body, TIME_MAX)
    };
    Outcome::from(talk())
}

/// The limit of the server's process. Half of it is for stacks, a quarter for what clients hold.
const ADDRESS_SPACE_BYTES: u64 = 1 << 30;

const BODY_BYTES: u64 = 8 << 20;

/// More than the buffers that a server keeps.
const HELD_MAX: f64 = 8e6;

/// Long enough for a debug build on a busy machine.
const TIME_MAX: Duration = MARGIN.saturating_mul(24);
