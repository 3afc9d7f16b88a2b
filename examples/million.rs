//! One million fibers, parked at the same time: `cargo run --release --example million`.
//!
//! It needs 4.5 GiB of memory, and no tuning of the system.

use std::cell::Cell;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Instant;

use clap::Parser;
use straightline::sched::sync::Event;
use straightline::sched::{self, Config};

/// Parks many fibers, wakes them all, and tells what that took.
#[derive(Parser)]
struct Args {
    /// How many
    #[arg(long, value_name = "N", default_value = "1000000")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    fibers: u64,
    /// The size of each one's stack in bytes; only touched pages are resident
    #[arg(long, value_name = "BYTES", default_value = "32768")]
    stack_bytes: usize,
}

fn park_and_wake(fibers: u64) -> io::Result<()> {
    let (event, ended) = (Rc::new(Event::new()), Rc::new(Cell::new(0)));
    let resident_before = resident_bytes()?;
    let spawning = Instant::now();
    for _ in 0..fibers {
        let (event, ended) = (Rc::clone(&event), Rc::clone(&ended));
        sched::Builder::new().spawn(move || {
            event.wait().expect("it does not unwind");
            ended.set(ended.get() + 1);
        })?;
    }
    sched::yield_now(); // each runs now, up to its wait
    let spawned = spawning.elapsed();
    let resident = resident_bytes()? - resident_before;
    let waking = Instant::now();
    event.set();
    while ended.get() < fibers {
        sched::yield_now();
    }
    let woken = waking.elapsed();
    println!(
        "fibers={fibers} rss_per_fiber_bytes={} spawn_ns={} wake_ns={}",
        resident / fibers,
        spawned.as_nanos() / u128::from(fibers),
        woken.as_nanos() / u128::from(fibers),
    );
    Ok(())
}

/// The memory of this process, with the page tables that map it.
fn resident_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    match (kib("VmRSS"), kib("VmPTE")) {
        (Some(resident), Some(tables)) => Ok((resident + tables) * 1024),
        _ => Err(io::Error::other("/proc/self/status says nothing of memory")),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let config = Config { stack_bytes: args.stack_bytes, ..Config::default() };
    match sched::run_with(config, move || park_and_wake(args.fibers)).and_then(|served| served) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("million: {error}");
            ExitCode::FAILURE
        }
    }
}
