//! Proxies: this project's beside nginx, `HAProxy` and Go's, all in front of the same server of
//! files.
//!
//! `server` runs the proxies as processes. The upstream and the clients are those of `files`; they
//! share the CPU of the load, so the CPU of the proxies has nothing else to do.

mod server;

use std::io;

use clap::ValueEnum;

pub(crate) use self::server::{Kind, run as serve};
use crate::cpu;
use crate::files::{self, Folder, Plan, WORKS};
use crate::go;

/// Measures all responses and prints a table for each; fails if a proxy failed in it.
pub(crate) fn run(plan: &Plan) -> io::Result<bool> {
    let folder = Folder::new(&WORKS.map(|work| (work.name, work.bytes)))?;
    let has_go = go::build(folder.path())?;
    if let Some(cpu) = plan.pinning.load() {
        cpu::pin(cpu)?;
    }
    let upstream = files::start(files::Kind::Straightline, &folder, plan.pinning.load())?;
    let start = |&kind: &Kind| {
        server::start(kind, upstream.address(), folder.path(), plan.pinning.server())
    };
    let kinds = Kind::value_variants().iter().filter(|&&kind| kind != Kind::Go || has_go);
    let proxies = kinds.map(start).collect::<io::Result<Vec<_>>>()?;
    for work in WORKS {
        files::compare(plan, &proxies, work, Kind::Nginx)?;
    }
    Ok(true)
}
