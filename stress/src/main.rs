//! The project's own benchmark, this server beside a peer and a lower bound in interleaved rounds;
//! and trials of the sample server under what the world does to servers.
//!
//! `child` runs the servers of `serve` as processes of this same binary and reads their CPU time;
//! `load` asks them, on straightline's own fibers; `bench` goes round by round and `report` tells
//! what came of it. `micro` measures single operations of the scheduler, and `cost` counts what a
//! request takes in instructions, against a record.
//!
//! `scenario` is the trials, with everything that only they need.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod cost;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(target_os = "linux")]
mod histogram;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod micro;
#[cfg(target_os = "linux")]
mod reply;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod scenario;
#[cfg(target_os = "linux")]
mod serve;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("stress: runs on Linux only: it pins processes and reads their CPU clocks");
    ExitCode::from(2)
}
