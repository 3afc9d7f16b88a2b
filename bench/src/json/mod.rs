//! JSON in and out: an order of twenty items is read into types, and written back with its sum.
//! This project's `web` kit beside axum and actix.
//!
//! `serve` is the servers and the types, by their `kind`, and `load` is the clients.

mod kind;
mod load;
mod serve;

use std::env;
use std::io;
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use straightline_harness::ServerProcess;

pub(crate) use self::kind::Kind;
pub(crate) use self::serve::run as serve;
use crate::cpu::{self, Pinning};

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
    let servers = Kind::value_variants()
        .iter()
        .map(|&kind| Ok((kind, start(kind, plan.pinning.server())?)))
        .collect::<io::Result<Vec<_>>>()?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let mut micros = vec![Vec::new(); servers.len()];
    let mut errors = 0;
    for number in 0..=plan.rounds {
        for (micros, (kind, process)) in micros.iter_mut().zip(&servers) {
            let before = cpu::time_used(process.id())?;
            let outcome = load::run(process.address(), plan.connections, plan.round_time)?;
            let cpu = cpu::time_used(process.id())?.saturating_sub(before);
            if let Some(error) = outcome.first_error {
                eprintln!("{kind}: {} errors: {error}", outcome.errors);
            }
            errors += outcome.errors;
            let each = per_request(cpu, outcome.requests);
            let requests = outcome.requests;
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

fn print(micros: &[Vec<f64>], servers: &[(Kind, ServerProcess)]) {
    println!(
        "\nJSON in and out: µs of the server's CPU a request, and the ratio to this project\n"
    );
    println!("| server | median | ratio, median (least..most) |");
    println!("|---|--:|--:|");
    let base = &micros[0];
    for (own, (kind, _)) in micros.iter().zip(servers) {
        let mut ratios: Vec<f64> = own.iter().zip(base).map(|(own, base)| own / base).collect();
        let mut own = own.clone();
        println!(
            "| {kind} | {:.2} | {:.2} ({:.2}..{:.2}) |",
            median(&mut own),
            median(&mut ratios),
            ratios.first().copied().unwrap_or(f64::NAN),
            ratios.last().copied().unwrap_or(f64::NAN),
        );
    }
}

/// Sorts, and returns the value in the middle.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

// A count of requests stays far below 2^52, where f64 would begin to round.
#[allow(clippy::cast_precision_loss)]
fn per_request(cpu: Duration, requests: u64) -> f64 {
    cpu.as_secs_f64() * 1e6 / requests as f64
}

fn start(kind: Kind, cpu: Option<usize>) -> io::Result<ServerProcess> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("serve-json").arg(kind.to_string());
    if let Some(cpu) = cpu {
        command.arg("--cpu").arg(cpu.to_string());
    }
    ServerProcess::start(&mut command)
        .map_err(|error| io::Error::new(error.kind(), format!("{kind} did not start: {error}")))
}
