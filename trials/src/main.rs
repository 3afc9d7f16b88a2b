//! Trials of the sample server as a black box. Each scenario starts the server as a process, does
//! to it what the world does to servers, and compares what it saw with what is documented.
//!
//! - `cli` is the command line, `options` what it says about all scenarios, `report` the table,
//!   `progress` the line on a terminal;
//! - `trial` is what a scenario works with;
//! - `server` is the process, `process` what the kernel says about it, `metrics` what the server
//!   says about itself;
//! - `client` speaks raw HTTP on fibers, `answer` is what it keeps of a response, `body` makes what
//!   is uploaded, `outcome` counts how clients fared, `healthy` is a client that does nothing
//!   wrong;
//! - `scenarios` has a file for each scenario.
//!
//! No scenario expects the server to be fast. What must come is waited for until the timeout in
//! question and a margin have passed; what must not come too early is compared with that timeout.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(target_os = "linux")]
mod answer;
#[cfg(target_os = "linux")]
mod body;
#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod healthy;
#[cfg(target_os = "linux")]
mod metrics;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod outcome;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod progress;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod scenarios;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod trial;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("straightline-trials: runs on Linux only: it reads what /proc says about the server");
    ExitCode::from(2)
}
