//! Event streams: what a client that waits costs, and how long one event takes to all of them. This
//! project's `sse` beside those of axum and of Go.
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

use self::measured::Measured;
use self::plan::ratio;

pub(crate) use self::clients::run as clients;
pub(crate) use self::kind::Kind;
pub(crate) use self::plan::Plan;
pub(crate) use self::serve::run as serve;
use crate::cpu;
use crate::files::Folder;
use crate::go;
use crate::report::{median, ratios};
use crate::server;

/// Measures all servers, event by event in turn, and prints the tables.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    server::raise_descriptor_limit()?;
    let folder = Folder::new(&[])?;
    let has_go = go::build(folder.path())?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let kinds = Kind::value_variants().iter().filter(|&&kind| kind != Kind::Go || has_go);
    let start = |&kind: &Kind| Measured::start(kind, folder.path(), plan.pinning.server());
    let mut all = kinds.map(start).collect::<io::Result<Vec<_>>>()?;
    for &clients in &plan.clients {
        for measured in &mut all {
            measured.connect(clients)?;
        }
        eprintln!("sse: each server has {clients} clients");
        for _ in 0..plan.events {
            all.iter_mut().try_for_each(Measured::send)?;
        }
    }
    print(&all);
    Ok(true)
}

fn print(all: &[Measured]) {
    println!("\n### event streams\n");
    println!(
        "| server | clients | KiB resident | KiB a client | event to all, ms: least, median \
         | CPU µs a client and event | CPU ÷ {} (min..max) |",
        all[0].kind()
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for measured in all {
        for (step, base) in measured.steps.iter().zip(&all[0].steps) {
            println!(
                "| {} | {} | {} | {:.2} | {:.1}, {:.1} | {:.2} | {} |",
                measured.kind(),
                step.clients,
                step.resident_kib,
                step.kib_each,
                step.seconds.iter().copied().fold(f64::INFINITY, f64::min) * 1e3,
                median(step.seconds.clone()) * 1e3,
                median(step.cpu_micros.clone()),
                ratios(&step.cpu_micros, &base.cpu_micros),
            );
        }
    }
    println!();
    for measured in all {
        if let [first, .., last] = &measured.steps[..] {
            let more = last.resident_kib.saturating_sub(first.resident_kib);
            let each = ratio(more, last.clients - first.clients);
            let (kind, first) = (measured.kind(), first.clients);
            println!("{kind}: {each:.2} KiB for each client beyond the first {first}");
        }
    }
}
