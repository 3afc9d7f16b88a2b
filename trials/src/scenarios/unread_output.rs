//! Nothing reads the output of the server, so both pipes are full. Handlers panic, each request is
//! a line of the access log, and signals request listings and reloads. The server still serves, its
//! memory stays bounded, and it ends when it is stopped.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Client, MARGIN, get_once};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, each, mebibytes, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(10, 50);
    let requests = trial.options.pick(500, 2_000);
    let mut server = trial.start_unread("--access-log json --verbose", clients)?;
    let before = server.process().memory()?.resident;

    trial.doing(format!("{clients} clients, {requests} panics each, with header lines of 7 KiB"));
    let all = each(0..clients, |_| panics(&server, requests));
    let tally: Tally = all.into_iter().flatten().collect();
    let held = tally.all(|outcome| *outcome == Outcome::Answered(500));
    trial.expect("each 500", tally.to_string(), held);

    trial.doing("SIGUSR1 five times, SIGHUP once");
    for _ in 0..5 {
        server.signal(Signal::USR1)?;
    }
    server.signal(Signal::HUP)?;
    let others = tally_of(0..20, |_| get_once(server.address(), "/hello", MARGIN));
    let held = others.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("20 new clients: each 200", others.to_string(), held);
    let grown = server.process().memory()?.resident.saturating_sub(before);
    let most = GROWN_MAX + clients as u64 * (64 << 10);
    let expected = format!("resident memory grows by {} at most", mebibytes(most));
    trial.expect(expected, mebibytes(grown), grown <= most);
    let metrics = trial.scrape(&server);
    let key = "straightline_access_log_dropped_total";
    let dropped = metrics.value(key);
    let seen = dropped.map_or(format!("there is no {key}"), |count| format!("{count}"));
    trial.expect(format!("{key} counts lines"), seen, dropped.is_some_and(|count| count > 0.0));

    trial.doing("SIGTERM");
    let begun = Instant::now();
    server.terminate()?;
    let status = server.wait(LAST_WORDS + MARGIN)?;
    let seen = status.map_or("still there".to_owned(), |status| {
        format!("{status} after {:.2} s", begun.elapsed().as_secs_f64())
    });
    let held = status.is_some_and(|status| status.success());
    trial.expect(format!("exit status 0 within {LAST_WORDS:?} (+ {MARGIN:?})"), seen, held);
    Ok(())
}

fn panics(server: &Server, requests: usize) -> Vec<(Outcome, Duration)> {
    let agent = "x".repeat(7 << 10);
    let request = format!("GET /panic HTTP/1.1\r\nHost: trials\r\nUser-Agent: {agent}\r\n\r\n");
    let mut client = match Client::connect(server.address()) {
        Ok(client) => client,
        Err(error) => return vec![(error.into(), Duration::ZERO)],
    };
    let mut outcomes = Vec::with_capacity(requests);
    for _ in 0..requests {
        let begun = Instant::now();
        let reply = client.send(request.as_bytes()).and_then(|()| client.reply(MARGIN));
        outcomes.push((reply.into(), begun.elapsed()));
        if !matches!(outcomes.last(), Some((Outcome::Answered(_), _))) {
            break;
        }
    }
    outcomes
}

/// For the lines that wait to be written: 4 MiB of the access log and 1 MiB of stderr. The writing
/// threads hold the same amount again. The first panic also loads data to print its location.
const GROWN_MAX: u64 = 32 << 20;

/// How long a server tries to write the last lines of the log and of stderr.
const LAST_WORDS: Duration = Duration::from_secs(4);
