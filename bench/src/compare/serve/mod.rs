//! The servers of the comparison: each is a process that serves one mode.
//!
//! `setup` says how a server is to be, `answer` is what those in Rust answer, and `config` the
//! configurations of the others. They answer the same paths with the same bodies, and are set up as
//! their documentation shows. A server has as many threads as CPUs, without those that it keeps for
//! calls that block.

mod actix;
mod answer;
mod axum;
mod config;
mod hyper;
mod may_minihttp;
mod ntex;
mod setup;
mod straightline;
mod tls;
mod work;

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

pub(super) use self::config::write as write_config;
pub(super) use self::setup::Setup;
use super::peer::Peer;
use crate::serve::{self, Kind};
use crate::{cpu, go};

/// Is a server until the process is killed, which also happens when the parent ends.
pub(super) fn run(peer: Peer, setup: &Setup<'_>, cpus: &[usize]) -> io::Result<()> {
    serve::begin(None)?;
    cpu::pin_to(cpus)?;
    let mut command = match peer {
        Peer::Straightline | Peer::StraightlineAgain => return straightline::run(setup),
        Peer::Floor => return serve::run(Kind::Floor, None),
        Peer::Hyper => return hyper::run(setup),
        Peer::Axum => return axum::run(setup),
        Peer::Actix => return actix::run(setup),
        Peer::Ntex => return ntex::run(setup),
        Peer::MayMinihttp => return may_minihttp::run(setup),
        Peer::Go => {
            let mut command = go::command(setup.folder);
            command.env("GOMAXPROCS", setup.threads.to_string());
            command.arg("serve").arg(setup.mode.to_string()).arg(setup.folder);
            command
        }
        Peer::Nginx => {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(setup.folder).arg("-c").arg(config::path(peer, setup));
            command
        }
        Peer::Haproxy => {
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-q").arg("-f").arg(config::path(peer, setup));
            command
        }
    };
    Err(command.exec())
}
