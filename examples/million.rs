//! One million fibers, parked at the same time: `cargo run --release --example million`.
//!
//! This takes 4.5 GiB of memory, and no tuning of the system.

use std::cell::Cell;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use clap::Parser;
use straightline::sched::{self, Config};
use straightline_examples::run;

#[derive(Parser)]
struct Args {
    /// The number of fibers
    #[arg(long, value_name = "N", default_value = "1000000")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    fibers: u64,
    /// The size of a fiber's stack in bytes; only touched pages are resident
    #[arg(long, value_name = "BYTES", default_value = "32768")]
    stack_bytes: usize,
}

fn park_and_wake(count: u64) -> io::Result<()> {
    let ended = Rc::new(Cell::new(0));
    let resident_before = resident_bytes()?;
    let spawning = Instant::now();
    let mut fibers = Vec::new();
    for _ in 0..count {
        let ended = Rc::clone(&ended);
        fibers.push(sched::FiberBuilder::new().spawn(move || {
            sched::park();
            ended.set(ended.get() + 1);
        })?);
        sched::checkpoint(); // lets the spawned fibers run until they park
    }
    sched::yield_now();
    let spawned = spawning.elapsed();
    let resident = resident_bytes()? - resident_before;
    let waking = Instant::now();
    for fiber in &fibers {
        fiber.fiber().unpark();
        sched::checkpoint();
    }
    while ended.get() < count {
        sched::yield_now();
    }
    let woken = waking.elapsed();
    println!(
        "fibers={count} rss_per_fiber_bytes={} spawn_ns={} wake_ns={}",
        resident / count,
        spawned.as_nanos() / u128::from(count),
        woken.as_nanos() / u128::from(count),
    );
    Ok(())
}

/// The resident memory of this process.
fn resident_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("/proc/self/status has no resident memory"))
}

fn main() -> ExitCode {
    let about = "Parks many fibers, wakes them all, and prints the memory and the time it took.";
    run(about, |args: Args| {
        let config = Config::default().with_stack_bytes(args.stack_bytes);
        sched::run_with(config, move || park_and_wake(args.fibers))?
    })
}
