//! The memory of a connection at rest.

use std::fmt::Write as _;
use std::io;

use super::client::{Client, Offer};
use super::folder::Folder;
use super::plan::{Kind, Plan};
use super::server::Server;

/// What one server needs.
pub(super) struct Rest {
    pub(super) server: Kind,
    pub(super) connections: usize,
    /// How many KiB more were resident with the connections than with few of them.
    pub(super) grown_kib: u64,
}

/// Measures all servers, one after the other, and prints the table.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
pub(super) fn run(plan: &Plan, folder: &Folder) -> io::Result<bool> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let server = Server::start(kind, folder, plan.pinning.server())?;
        // The first clients, as many again, pay for what the process allocates once.
        let first = connect(&server, plan.idle / 4)?;
        let before = server.settled_kib()?;
        let clients = connect(&server, plan.idle)?;
        let after = server.settled_kib()?;
        let grown_kib = after.saturating_sub(before);
        let rest = Rest { server: kind, connections: plan.idle, grown_kib };
        eprintln!("idle: {kind}: {:.2} KiB each", grown_kib as f64 / plan.idle as f64);
        all.push(rest);
        for mut client in first.into_iter().chain(clients) {
            // All of them are alive, and not merely remembered.
            client.ask()?;
            client.answer()?;
            client.reset()?;
        }
    }
    println!("\n{}", of_rest(&all));
    Ok(true)
}

/// Clients that have sent one request, and then rest.
fn connect(server: &Server, count: usize) -> io::Result<Vec<Client>> {
    let config = Offer::PLAIN.config()?;
    let one = |_| {
        let mut client = Client::connect(server.https(), &config)?;
        client.ask()?;
        client.answer()?;
        Ok(client)
    };
    (0..count).map(one).collect()
}

/// The table of connections at rest.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
fn of_rest(all: &[Rest]) -> String {
    let mut text = "### idle connections\n\n\
                    | server | connections | KiB more | KiB each |\n|---|--:|--:|--:|"
        .to_owned();
    for rest in all {
        let each = rest.grown_kib as f64 / rest.connections as f64;
        let (server, connections, grown) = (rest.server, rest.connections, rest.grown_kib);
        let _ = write!(text, "\n| {server} | {connections} | {grown} | {each:.2} |");
    }
    text
}
