//! Event streams: what a client that waits costs, and how long one event takes to all of them. This
//! project's `sse` beside that of axum.
//!
//! `serve` is the servers, by their `kind`, and `clients` is a process with many clients: a process
//! may open 20,000 descriptors on many systems, so the clients do not live in the server's process,
//! nor in one.

mod clients;
mod kind;
mod measured;
mod plan;
mod serve;

use std::io;

use clap::ValueEnum;
use rustix::process::{Resource, getrlimit, setrlimit};

use self::measured::Measured;
use self::plan::ratio;

pub(crate) use self::clients::run as clients;
pub(crate) use self::kind::Kind;
pub(crate) use self::plan::Plan;
pub(crate) use self::serve::run as serve;
use crate::cpu;

/// Measures all servers, one after the other, and prints the tables.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    raise_descriptor_limit()?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let mut all = Vec::new();
    for &kind in Kind::value_variants() {
        let measured = measured::measure(kind, plan)?;
        eprintln!("sse: {kind} is measured");
        all.push((kind, measured));
    }
    print(&all);
    Ok(true)
}

fn print(all: &[(Kind, Vec<Measured>)]) {
    println!("\n### event streams\n");
    println!(
        "| server | clients | KiB resident | KiB a client | connects/s | event to all, ms: least, \
         median | CPU µs a client and event |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for (kind, steps) in all {
        for step in steps {
            println!(
                "| {kind} | {} | {} | {:.2} | {:.0} | {:.1}, {:.1} | {:.2} |",
                step.clients,
                step.resident_kib,
                step.kib_each,
                step.connects_per_second,
                step.broadcast_least * 1e3,
                step.broadcast_median * 1e3,
                step.cpu_micros,
            );
        }
    }
    println!();
    for (kind, steps) in all {
        if let [first, .., last] = &steps[..] {
            let more = last.resident_kib.saturating_sub(first.resident_kib);
            let each = ratio(more, last.clients - first.clients);
            println!("{kind}: {each:.2} KiB for each client beyond the first {}", first.clients);
        }
    }
}

/// The servers and the processes of the clients inherit the limit.
fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
