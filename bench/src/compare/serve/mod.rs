//! The servers of the comparison: each is a process that serves one mode.
//!
//! They answer the same paths with the same bodies, and are set up as their documentation shows. A
//! server has as many threads as CPUs, without those that it keeps for calls that block.

mod actix;
mod axum;
mod config;
mod hyper;
mod may_minihttp;
mod ntex;
mod straightline;
mod tls;
mod work;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

pub(super) use self::config::write as write_config;
use super::mode::Mode;
use super::peer::Peer;
use crate::serve::{self, Kind};
use crate::{cpu, go};

/// How a server is to be.
pub(crate) struct Setup<'a> {
    pub(crate) mode: Mode,
    pub(crate) folder: &'a Path,
    /// How many threads serve.
    pub(crate) threads: usize,
    /// Where it listens; 0 if it chooses.
    pub(crate) port: u16,
}

/// Is a server until the process is killed, which also happens when the parent ends.
pub(crate) fn run(peer: Peer, setup: &Setup<'_>, cpus: &[usize]) -> io::Result<()> {
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

/// The object of [`Mode::Json`].
#[derive(Serialize)]
struct Message {
    message: &'static str,
}

const MESSAGE: Message = Message { message: serve::BODY };

/// A piece of the body of [`Mode::Streaming`].
static PIECE: [u8; super::PIECE_BYTES] = [b'x'; super::PIECE_BYTES];

/// A listener with the backlog of the other servers, which says where it listens.
fn listen() -> io::Result<TcpListener> {
    let listener = ::straightline::net::ListenOptions::new().bind(serve::ANY_PORT)?.into_std()?;
    announce(listener.local_addr()?);
    Ok(listener)
}

fn announce(address: impl std::fmt::Display) {
    println!("{}{address}", straightline_harness::READY);
}

fn address(setup: &Setup<'_>) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, setup.port).into()
}

/// A runtime of tokio for hyper and axum.
fn runtime(threads: usize) -> io::Result<tokio::runtime::Runtime> {
    if threads == 1 {
        return tokio::runtime::Builder::new_current_thread().enable_all().build();
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}
