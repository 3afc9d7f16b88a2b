//! Thousands of connections at rest: each takes little memory, and is served when it asks again.

use std::io;

use super::site::Site;
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::tls::TlsClient;
use crate::trial::{Trial, each, mebibytes, tally_of};

pub(super) fn run(
    trial: &mut Trial,
    site: &Site,
    server: &Server,
    clients: usize,
) -> io::Result<()> {
    site.doing(trial, &format!("{clients} connections with one request each, then idle"));
    let process = server.process();
    let (before, descriptors) = (process.memory()?.resident, process.descriptors()?);
    let connector = site.connector()?;
    // Few at a time: the handshakes of the slow provider wait for each other.
    let mut connected = Vec::new();
    while connected.len() < clients {
        let count = AT_A_TIME.min(clients - connected.len());
        let new = each(0..count, |_| -> io::Result<TlsClient> {
            let mut client = TlsClient::connect(server.address(), &connector)?;
            client.get("/hello")?;
            Ok(client)
        });
        for client in new {
            connected.push(client?);
        }
    }
    let grown = process.memory()?.resident.saturating_sub(before);
    let each = grown / clients as u64;
    let most = MEMORY_SLACK_BYTES + clients as u64 * MEMORY_EACH_BYTES_MAX;
    trial.expect(
        format!("resident memory grows by {} at most", mebibytes(most)),
        format!("{} more, {each} bytes each", mebibytes(grown)),
        grown <= most,
    );
    site.doing(trial, "each of them asks again");
    let tally: Tally = tally_of(connected, |mut client| {
        let outcome = client.outcome_of("/hello");
        client.reset().map_or_else(Outcome::from, |()| outcome)
    });
    let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("each 200", tally.to_string(), held);
    site.expect_all_closed(trial, server, descriptors)
}

/// Twice what a connection takes at rest with the provider that takes more.
const MEMORY_EACH_BYTES_MAX: u64 = 32 * 1024;

/// For what the first requests allocate once: stacks, buffers, the allocator's arenas.
const MEMORY_SLACK_BYTES: u64 = 16 << 20;

const AT_A_TIME: usize = 16;
