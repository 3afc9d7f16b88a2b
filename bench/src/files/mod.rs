//! Files: this project's static directory beside nginx, without and with its cache of open files.
//!
//! `folder` is the files, and `server` runs the servers as processes; `client` is one client on a
//! blocking socket. `rounds` goes round by round and prints the tables.

mod client;
mod folder;
mod rounds;
mod server;

use std::io;

use clap::ValueEnum;

pub(crate) use self::folder::Folder;
pub(crate) use self::rounds::{Plan, WORKS, run as compare};
pub(crate) use self::server::{Kind, run as serve, start};
use crate::cpu;

/// Measures all files and prints a table for each; fails if a server failed in it.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    let folder = Folder::new(&WORKS.map(|work| (work.name, work.bytes)))?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let start = |&kind: &Kind| start(kind, &folder, plan.pinning.server());
    let servers = Kind::value_variants().iter().map(start).collect::<io::Result<Vec<_>>>()?;
    WORKS.into_iter().try_for_each(|work| compare(plan, &servers, work, Kind::Nginx))?;
    Ok(true)
}
