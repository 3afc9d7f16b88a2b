//! Trials of the sample server as a black box. Each scenario starts the server as a process, treats
//! it as clients and operators treat servers, and compares what it sees with the documentation.
//!
//! - `cli` reads the command line, `options` has its values for all scenarios, `report` prints the
//!   table, `progress` the line on a terminal;
//! - `trial` is the interface between a scenario and the servers and results;
//! - `server` starts the process, `process` reads what the kernel says about it, `metrics` reads
//!   the server's own counters;
//! - `client` speaks raw HTTP on fibers, `answer` keeps a response, `body` makes uploads, `outcome`
//!   counts the outcomes of clients, `healthy` is a client that behaves well;
//! - `tls` makes certificates and has the client that speaks TLS;
//! - `scenarios` has a file for each scenario.
//!
//! No scenario expects the server to be fast. A scenario waits for an event until the timeout in
//! question and a margin have passed. It checks that an event does not come before its timeout.

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
#[cfg(all(target_os = "linux", feature = "tls"))]
mod tls;
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
