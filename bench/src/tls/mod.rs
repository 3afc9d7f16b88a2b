//! TLS: this project with each provider of cryptography, beside nginx with OpenSSL.
//!
//! `serve` is the servers, all with the same certificate, and `server` runs them as processes;
//! `client` is one client on a blocking socket. `work` measures what a handshake, a request and a
//! MiB cost, in interleaved rounds. `idle` measures the memory of a connection at rest, and `crowd`
//! the time of plain requests while others shake hands with the same shard.

mod client;
mod crowd;
mod folder;
mod idle;
mod plan;
mod serve;
mod server;
mod work;

use std::io;

#[cfg(feature = "compare")]
pub(crate) use self::client::Offer;
#[cfg(feature = "compare")]
pub(crate) use self::folder::{Folder, NAME};
pub(crate) use self::plan::{Kind, Part, Plan};
pub(crate) use self::serve::run as serve;
use self::work::Work;

/// Measures all parts and prints a table for each; false if a server failed in it.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    let folder = folder::Folder::new()?;
    if let Some(cpu) = plan.pinning.load() {
        crate::cpu::pin(cpu)?;
    }
    crate::server::raise_descriptor_limit()?;
    let mut is_good = true;
    for &part in &plan.parts {
        is_good &= match part {
            Part::Full => work::run(plan, &folder, Work::Full)?,
            Part::Hybrid => work::run(plan, &folder, Work::Hybrid)?,
            Part::Resumed => work::run(plan, &folder, Work::Resumed)?,
            Part::Requests => work::run(plan, &folder, Work::Requests)?,
            Part::FileAes128 => work::run(plan, &folder, Work::FileAes128)?,
            Part::FileAes256 => work::run(plan, &folder, Work::FileAes256)?,
            Part::Memory => work::run(plan, &folder, Work::Memory)?,
            Part::Idle => idle::run(plan, &folder)?,
            Part::Crowd => crowd::run(plan, &folder)?,
        };
    }
    Ok(is_good)
}
