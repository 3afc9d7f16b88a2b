//! The project's own benchmarks: this server beside a peer and a lower bound, in interleaved
//! rounds.
//!
//! `server` runs the servers of `serve` as processes of this same binary and reads their CPU time;
//! `load` asks them, on straightline's own fibers; `bench` goes round by round and `report` prints
//! the results. `micro` measures single operations of the scheduler. `cost` counts the instructions
//! of a request and compares them with a record. `idle` is the memory of connections at rest.
//! `files` measures files beside nginx, `proxy` proxies beside nginx, `HAProxy` and Go's, and `tls`
//! TLS. `json`, `multipart`, `websocket`, `sse` (event streams) and `dispatch` (routers) measure
//! the kit beside frameworks. `compare` measures many modes beside many peers, and writes the page
//! with its plots. `go` builds the peers in Go. `clients` is the load of some of these.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(target_os = "linux")]
mod bench;
#[cfg(target_os = "linux")]
mod cli;
#[cfg(all(target_os = "linux", feature = "peers"))]
mod clients;
#[cfg(all(target_os = "linux", feature = "compare"))]
mod compare;
#[cfg(target_os = "linux")]
mod cost;
#[cfg(target_os = "linux")]
mod cpu;
#[cfg(all(target_os = "linux", feature = "peers"))]
mod dispatch;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod flags;
#[cfg(target_os = "linux")]
mod go;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(all(target_os = "linux", feature = "peers"))]
mod json;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod micro;
#[cfg(all(target_os = "linux", feature = "peers"))]
mod multipart;
#[cfg(target_os = "linux")]
mod proxy;
#[cfg(target_os = "linux")]
mod reply;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod serve;
#[cfg(target_os = "linux")]
mod server;
#[cfg(all(target_os = "linux", feature = "events"))]
mod sse;
#[cfg(all(target_os = "linux", feature = "tls"))]
mod tls;
#[cfg(all(target_os = "linux", feature = "peers"))]
mod websocket;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    cli::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!(
        "straightline-bench: runs on Linux only: it pins processes and reads their CPU clocks"
    );
    ExitCode::from(2)
}
