//! The servers as processes.

use std::io;

use super::mode::Mode;
use super::peer::Peer;
use super::plan::{Cores, Plan};
use super::serve::{Setup, write_config};
use crate::server::{self, Server};
use crate::tls::Folder;

/// Starts a server and waits until it listens.
pub(super) fn start(
    plan: &Plan,
    folder: &Folder,
    peer: Peer,
    mode: Mode,
    cores: Cores,
) -> io::Result<Server<Peer>> {
    let address = if peer.is_told_its_port() { Some(server::free_port()?) } else { None };
    let port = address.map_or(0, |address| address.port());
    let setup = Setup { mode, folder: folder.path(), threads: cores.count(), port };
    write_config(peer, &setup)?;
    let mut command = server::command("serve-compare", peer, None)?;
    command.arg(mode.to_string()).arg(folder.path());
    command.arg("--threads").arg(cores.count().to_string()).arg("--port").arg(port.to_string());
    for cpu in cores.of_server(plan) {
        command.arg("--cpu").arg(cpu.to_string());
    }
    match address {
        Some(address) => Server::start_at(peer, address, &mut command),
        None => Server::start(peer, &mut command),
    }
}
