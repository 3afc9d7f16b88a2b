//! JSON in and out: an order of twenty items is read into types, and written back with its sum.
//! This project's `web` kit beside axum and actix.
//!
//! `serve` is the servers and the types, by their `kind`, and `load` is the clients.

mod kind;
mod load;
mod serve;

use std::io;
use std::time::Duration;

use clap::ValueEnum;

pub(crate) use self::kind::Kind;
pub(crate) use self::serve::run as serve;
use crate::cpu::{self, Pinning};
use crate::report::{median, ratios};
use crate::server::{self, Server};

/// What is measured, and how.
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// How long a server is loaded in each round.
    pub(crate) round_time: Duration,
    pub(crate) connections: u16,
    pub(crate) pinning: Pinning,
}

/// Measures all servers in interleaved rounds and prints the medians; false if one answered
/// wrongly.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    let start = |&kind: &Kind| {
        Server::start(kind, &mut server::command("serve-json", kind, plan.pinning.server())?)
    };
    let servers = Kind::value_variants().iter().map(start).collect::<io::Result<Vec<_>>>()?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let mut micros = vec![Vec::new(); servers.len()];
    let mut errors = 0;
    for number in 0..=plan.rounds {
        for (micros, server) in micros.iter_mut().zip(&servers) {
            let kind = server.kind();
            let before = server.cpu_time()?;
            let outcome = load::run(server.address(), plan.connections, plan.round_time)?;
            let cpu = server.cpu_time()?.saturating_sub(before);
            if let Some(error) = outcome.first_error {
                eprintln!("{kind}: {} errors: {error}", outcome.errors);
            }
            errors += outcome.errors;
            let each = per_request(cpu, outcome.exchanges);
            let requests = outcome.exchanges;
            eprintln!("json {number}/{}: {kind} {requests} requests, {each:.2} µs", plan.rounds);
            // The first round warms up.
            if number > 0 {
                micros.push(each);
            }
        }
    }
    print(&micros, &servers);
    Ok(errors == 0)
}

fn print(micros: &[Vec<f64>], servers: &[Server<Kind>]) {
    println!(
        "\nJSON in and out: µs of the server's CPU a request, and the ratio to this project\n"
    );
    println!("| server | median | ratio, median (least..most) |");
    println!("|---|--:|--:|");
    for (own, server) in micros.iter().zip(servers) {
        let (kind, ratios) = (server.kind(), ratios(own, &micros[0]));
        println!("| {kind} | {:.2} | {ratios} |", median(own.clone()));
    }
}

// A count of requests stays far below 2^52, where f64 would begin to round.
#[allow(clippy::cast_precision_loss)]
fn per_request(cpu: Duration, requests: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / requests as f64
}
