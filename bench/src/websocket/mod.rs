//! WebSockets: the memory of each that rests, and the CPU time of a message that comes back. This
//! project's `websocket` beside axum's.
//!
//! `serve` is the servers, by their `kind`, and `load` is the clients.

mod kind;
mod load;
mod serve;

use std::io;
use std::time::Duration;

use clap::ValueEnum;

pub(crate) use self::kind::Kind;
#[cfg(feature = "compare")]
pub(crate) use self::load::{frame, open};
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
    /// How many conversations rest in each step, in ascending order.
    pub(crate) idle: Vec<usize>,
    pub(crate) pinning: Pinning,
}

/// The figures of one server.
struct Figures {
    server: Server<Kind>,
    /// For each length of messages.
    messages: [Messages; MESSAGE_BYTES.len()],
}

/// Round by round.
#[derive(Default)]
struct Messages {
    per_second: Vec<f64>,
    cpu_micros: Vec<f64>,
}

/// Measures all servers in interleaved rounds and prints the medians; false if one answered
/// wrongly.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    server::raise_descriptor_limit()?;
    let start = |kind: Kind| {
        Server::start(kind, &mut server::command("serve-websocket", kind, plan.pinning.server())?)
    };
    println!("\n| server | conversations that rest | KiB each |\n|---|--:|--:|");
    for &kind in Kind::value_variants() {
        rest(&start(kind)?, &plan.idle)?;
    }
    let start = |&kind: &Kind| Ok(Figures { server: start(kind)?, messages: Default::default() });
    let mut all = Kind::value_variants().iter().map(start).collect::<io::Result<Vec<_>>>()?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let mut errors = 0;
    for number in 0..=plan.rounds {
        for (nth, bytes) in MESSAGE_BYTES.into_iter().enumerate() {
            for Figures { server, messages } in &mut all {
                let before = server.cpu_time()?;
                let outcome =
                    load::run(server.address(), plan.connections, bytes, plan.round_time)?;
                let cpu = server.cpu_time()?.saturating_sub(before);
                if let Some(error) = outcome.first_error {
                    eprintln!("{}: {} errors: {error}", server.kind(), outcome.errors);
                }
                errors += outcome.errors;
                // The first round warms up.
                if number > 0 {
                    let Messages { per_second, cpu_micros } = &mut messages[nth];
                    per_second.push(quotient(outcome.exchanges, plan.round_time.as_secs_f64()));
                    cpu_micros.push(cpu.as_secs_f64() * 1e6 / quotient(outcome.exchanges, 1.0));
                }
            }
        }
    }
    print(&all);
    Ok(errors == 0)
}

fn print(all: &[Figures]) {
    let base = &all[0];
    println!(
        "\n| server | bytes | messages/s | CPU µs/message | CPU ÷ {} (min..max) |",
        base.server.kind()
    );
    println!("|---|--:|--:|--:|--:|");
    for (nth, bytes) in MESSAGE_BYTES.into_iter().enumerate() {
        for Figures { server, messages } in all {
            let (kind, Messages { per_second, cpu_micros }) = (server.kind(), &messages[nth]);
            println!(
                "| {kind} | {bytes} | {:.0} | {:.2} | {} |",
                median(per_second.clone()),
                median(cpu_micros.clone()),
                ratios(cpu_micros, &base.messages[nth].cpu_micros)
            );
        }
    }
}

/// Prints what each conversation that rests adds to the resident memory of its server.
fn rest(server: &Server<Kind>, steps: &[usize]) -> io::Result<()> {
    // The first ones make the server allocate what all of them share.
    let mut clients = load::rest(server.address(), FIRST_CLIENTS)?;
    let before = server.settled_kib()?;
    for &count in steps {
        let missing = (FIRST_CLIENTS + count).saturating_sub(clients.len());
        clients.extend(load::rest(server.address(), missing)?);
        let kib =
            quotient(server.settled_kib()?.saturating_sub(before), quotient(count as u64, 1.0));
        println!("| {} | {count} | {kib:.2} |", server.kind());
    }
    Ok(())
}

// These counts stay far below 2^52, where f64 would begin to round.
#[allow(clippy::cast_precision_loss)]
fn quotient(count: u64, by: f64) -> f64 {
    count as f64 / by
}

/// Arbitrary: enough that all pools are filled.
const FIRST_CLIENTS: usize = 10;

/// A short message, one of a page of text, and one that fills buffers.
const MESSAGE_BYTES: [usize; 3] = [32, 4096, 64 * 1024];
