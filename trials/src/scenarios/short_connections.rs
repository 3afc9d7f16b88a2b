//! As many connections as possible, of one request each: none fails, and none is left open.

use std::io;
use std::time::Instant;

use straightline_harness::{End, Histogram, Reply};

use crate::client::{Client, MARGIN};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, each, figure};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(32, 64);
    let time = trial.options.seconds(1.0, 10.0);
    let server = trial.start("", clients)?;
    let before = trial.scrape(&server);
    let descriptors = server.process().descriptors()?;

    trial.doing(format!("{clients} clients for {time:?}, a new connection for each request"));
    let begun = Instant::now();
    let parts = each(0..clients, |_| {
        let (mut tally, mut latencies) = (Tally::default(), Histogram::default());
        // Each client sends at least one request: otherwise a short time would prove nothing.
        loop {
            let started = Instant::now();
            let outcome = ask_once(&server).unwrap_or_else(Outcome::from);
            latencies.record(started.elapsed(), 1);
            let failed = outcome != Outcome::Answered(200);
            tally.add(outcome, started.elapsed());
            // The client of a server that refuses everything must not spin.
            if failed || begun.elapsed() >= time {
                return (tally, latencies);
            }
        }
    });
    let elapsed = begun.elapsed();
    let answered: usize = parts.iter().map(|part| part.0.answered(200)).sum();
    let failed: Vec<_> = parts.iter().filter(|part| !part.0.all(is_good)).collect();
    let seen = match failed.first() {
        Some(part) => format!("{answered} × 200, {} clients failed: {}", failed.len(), part.0),
        None => format!("{answered} × 200"),
    };
    trial.expect("each request: 200, then the close", seen, failed.is_empty());
    let slowest = parts.iter().map(|part| part.1.quantile(0.99)).max().unwrap_or_default();
    let rate = figure(answered) / elapsed.as_secs_f64();
    trial.figure(format!("{rate:.0} connections/s, p99 {:.1} ms", slowest.as_secs_f64() * 1e3));

    trial.doing("all clients have left");
    trial.expect_all_closed(&server, descriptors)?;
    let after = trial.scrape(&server);
    for counter in ["connections_accepted_total", "connections_closed_total", "requests_total"] {
        trial.expect_growth(&before, &after, &format!("straightline_{counter}"), answered);
    }
    let responses = "straightline_responses_total{class=\"2xx\"}";
    trial.expect_growth(&before, &after, responses, answered);
    Ok(())
}

/// One connection for one request; the server closes it.
fn ask_once(server: &Server) -> io::Result<Outcome> {
    let mut client = Client::connect(server.address())?;
    client.send(b"GET /hello HTTP/1.1\r\nHost: trials\r\nConnection: close\r\n\r\n")?;
    let outcome = Outcome::from(client.reply(MARGIN));
    if outcome == Outcome::Answered(200) {
        match client.reply(MARGIN)? {
            Reply::Nothing(End::Closed) => {}
            other => return Ok(Outcome::Failed(format!("then {}", Outcome::from(Ok(other))))),
        }
    }
    client.reset()?;
    Ok(outcome)
}

fn is_good(outcome: &Outcome) -> bool {
    *outcome == Outcome::Answered(200)
}
