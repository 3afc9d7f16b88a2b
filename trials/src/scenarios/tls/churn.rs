//! Handshakes in great number, whole ones and resumed ones: memory and descriptors stay what they
//! are.

use std::io;
use std::time::{Duration, Instant};

use straightline::tls::TlsConnector;

use super::site::Site;
use crate::client::MARGIN;
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::tls::TlsClient;
use crate::trial::{Trial, each, eventually, mebibytes};

pub(super) fn run(trial: &mut Trial, site: &Site, server: &Server) -> io::Result<()> {
    let full = if site.is_slow() { (100, 1_000) } else { (500, 10_000) };
    let count = trial.options.pick(full.0, full.1);
    site.doing(trial, "the first handshakes");
    let tally = wave(site, server, count / 10, Kind::Whole);
    trial.expect("each request 200", tally.to_string(), tally.all(is_good));
    let tally = wave(site, server, count / 10, Kind::Resumed);
    trial.expect("each request 200, and resumed", tally.to_string(), tally.all(is_good));
    let process = server.process();
    let (memory, descriptors) = (process.memory()?.resident, process.descriptors()?);
    let before = site.metrics(server)?;
    for kind in [Kind::Whole, Kind::Resumed] {
        site.doing(trial, &format!("{count} {}", kind.name()));
        let tally = wave(site, server, count, kind);
        trial.expect("each request 200, by such a handshake", tally.to_string(), {
            tally.all(is_good)
        });
    }
    let most = memory + MEMORY_SLACK_BYTES;
    let back = eventually(MARGIN, || Ok(process.memory()?.resident <= most))?;
    let seen = format!("{}, before {}", mebibytes(process.memory()?.resident), mebibytes(memory));
    trial.expect(format!("resident memory: {} at most", mebibytes(most)), seen, back);
    site.expect_all_closed(trial, server, descriptors)?;
    let after = site.metrics(server)?;
    trial.expect_growth(&before, &after, "straightline_tls_handshakes_total", 2 * count);
    trial.expect_growth(&before, &after, "straightline_tls_handshakes_resumed_total", count);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Resumed,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole handshakes",
            Self::Resumed => "resumed handshakes",
        }
    }
}

/// `count` handshakes, with a request each, by some clients at the same time.
fn wave(site: &Site, server: &Server, count: usize, kind: Kind) -> Tally {
    let outcomes = each(0..CLIENTS, |client| {
        let mut outcomes = Vec::new();
        let talk = |outcomes: &mut Vec<(Outcome, Duration)>| -> io::Result<()> {
            let mut connector = site.connector()?;
            if kind == Kind::Resumed {
                // The session to resume.
                one(server, &connector, 0)?;
            }
            for index in (client..count).step_by(CLIENTS) {
                if kind == Kind::Whole {
                    connector = site.connector()?;
                }
                let begun = Instant::now();
                let is_resumed = one(server, &connector, index)?;
                let outcome = if is_resumed == (kind == Kind::Resumed) {
                    Outcome::Answered(200)
                } else {
                    Outcome::Failed(format!("not one of the {}", kind.name()))
                };
                outcomes.push((outcome, begun.elapsed()));
            }
            Ok(())
        };
        if let Err(error) = talk(&mut outcomes) {
            outcomes.push((error.into(), Duration::ZERO));
        }
        outcomes
    });
    outcomes.into_iter().flatten().collect()
}

/// A connection with a request. Returns whether its session was resumed.
fn one(server: &Server, connector: &TlsConnector, index: usize) -> io::Result<bool> {
    let mut client = TlsClient::connect(server.address(), connector)?;
    let answer = client.get("/hello")?;
    if answer.status != 200 {
        return Err(io::Error::other(format!("status {}", answer.status)));
    }
    let is_resumed = client.is_resumed();
    match index % 4 {
        0 => client.close()?,
        1 => drop(client),
        _ => client.reset()?,
    }
    Ok(is_resumed)
}

fn is_good(outcome: &Outcome) -> bool {
    *outcome == Outcome::Answered(200)
}

/// Clients at a time.
const CLIENTS: usize = 16;

/// For stacks in the pool and the arenas of the allocator, as in `churn`.
const MEMORY_SLACK_BYTES: u64 = 16 << 20;
