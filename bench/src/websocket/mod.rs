//! WebSockets: the memory of each that rests, and the CPU time of a message that comes back. This
//! project's `websocket` beside axum's.
//!
//! `serve` is the servers, by their `kind`, and `load` is the clients.

mod kind;
mod load;
mod serve;

use std::env;
use std::fs;
use std::io;
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use rustix::param::page_size;
use straightline_harness::ServerProcess;

pub(crate) use self::kind::Kind;
pub(crate) use self::serve::run as serve;
use crate::cpu::{self, Pinning};
use crate::report::median;

/// What is measured, and how.
pub(crate) struct Plan {
    pub(crate) rounds: u32,
    /// How long a server is loaded in each round.
    pub(crate) round_time: Duration,
    pub(crate) connections: u16,
    /// How many conversations rest.
    pub(crate) idle: usize,
    pub(crate) pinning: Pinning,
}

/// The figures of one server.
struct Figures {
    kind: Kind,
    /// KiB of resident memory for each conversation that rests.
    idle_kib: f64,
    /// For each length: messages a second, and µs of CPU a message, round by round.
    messages: Vec<(Vec<f64>, Vec<f64>)>,
}

/// Measures all servers in interleaved rounds and prints the medians; false if one answered
/// wrongly.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    let mut figures = Vec::new();
    // The memory first, of processes that have served nothing yet.
    for &kind in Kind::value_variants() {
        let process = start(kind, plan.pinning.server())?;
        let messages = vec![(Vec::new(), Vec::new()); MESSAGE_BYTES.len()];
        figures.push(Figures { kind, idle_kib: idle_kib(&process, plan.idle)?, messages });
    }
    let servers = Kind::value_variants()
        .iter()
        .map(|&kind| start(kind, plan.pinning.server()))
        .collect::<io::Result<Vec<_>>>()?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let mut errors = 0;
    for number in 0..=plan.rounds {
        for (nth, bytes) in MESSAGE_BYTES.into_iter().enumerate() {
            for (figures, process) in figures.iter_mut().zip(&servers) {
                let before = cpu::time_used(process.id())?;
                let outcome =
                    load::run(process.address(), plan.connections, bytes, plan.round_time)?;
                let cpu = cpu::time_used(process.id())?.saturating_sub(before);
                if let Some(error) = outcome.first_error {
                    eprintln!("{}: {} errors: {error}", figures.kind, outcome.errors);
                }
                errors += outcome.errors;
                // The first round warms up.
                if number > 0 {
                    let (rates, micros) = &mut figures.messages[nth];
                    rates.push(quotient(outcome.messages, plan.round_time.as_secs_f64()));
                    micros.push(cpu.as_secs_f64() * 1e6 / quotient(outcome.messages, 1.0));
                }
            }
        }
    }
    print(plan, &figures);
    Ok(errors == 0)
}

fn print(plan: &Plan, figures: &[Figures]) {
    println!("\n| server | KiB for each of {} that rest |", plan.idle);
    println!("|---|--:|");
    for Figures { kind, idle_kib, .. } in figures {
        println!("| {kind} | {idle_kib:.1} |");
    }
    println!("\n| server | bytes | messages/s | CPU µs/message | CPU, ratio to this project |");
    println!("|---|--:|--:|--:|--:|");
    for (nth, bytes) in MESSAGE_BYTES.into_iter().enumerate() {
        for Figures { kind, messages, .. } in figures {
            let (rates, micros) = &messages[nth];
            let base = &figures[0].messages[nth].1;
            let ratios = micros.iter().zip(base).map(|(own, base)| own / base).collect();
            println!(
                "| {kind} | {bytes} | {:.0} | {:.2} | {:.2} |",
                median(rates.clone()),
                median(micros.clone()),
                median(ratios)
            );
        }
    }
}

/// What a conversation that rests adds to the resident memory of its server.
fn idle_kib(process: &ServerProcess, count: usize) -> io::Result<f64> {
    // The first ones make the server allocate what all of them share.
    let first = load::rest(process.address(), 10)?;
    let before = resident_bytes(process.id())?;
    let clients = load::rest(process.address(), count)?;
    let after = resident_bytes(process.id())?;
    drop((first, clients));
    Ok(quotient(after.saturating_sub(before), 1024.0) / quotient(count as u64, 1.0))
}

fn resident_bytes(process: u32) -> io::Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{process}/statm"))?;
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::other("statm has no number of pages"))?;
    Ok(pages * page_size() as u64)
}

// These counts stay far below 2^52, where f64 would begin to round.
#[allow(clippy::cast_precision_loss)]
fn quotient(count: u64, by: f64) -> f64 {
    count as f64 / by
}

fn start(kind: Kind, cpu: Option<usize>) -> io::Result<ServerProcess> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("serve-websocket").arg(kind.to_string());
    if let Some(cpu) = cpu {
        command.arg("--cpu").arg(cpu.to_string());
    }
    ServerProcess::start(&mut command)
        .map_err(|error| io::Error::new(error.kind(), format!("{kind} did not start: {error}")))
}

/// A short message, and one of a page of text.
const MESSAGE_BYTES: [u16; 2] = [32, 4096];
