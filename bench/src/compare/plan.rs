//! What is measured, how often, and on which CPUs.

use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::mode::Mode;
use super::peer::Peer;
use crate::cpu::{self, Pinning};

/// What is measured, and how.
pub(crate) struct Plan {
    pub(crate) peers: Vec<Peer>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) cores: Vec<Cores>,
    /// Requests a second of the open loop, ascending.
    pub(crate) rates: Vec<u32>,
    pub(crate) rounds: u32,
    /// How long a server is loaded in each round.
    pub(crate) round_time: Duration,
    pub(crate) clients: u16,
    /// How many connections rest in [`Mode::Idle`].
    pub(crate) idle: usize,
    pub(crate) pinning: Pinning,
    /// The folder with the page, whose tables and plots are replaced.
    pub(crate) write: Option<PathBuf>,
    /// Where the JSON goes.
    pub(crate) json: Option<PathBuf>,
}

/// How many threads a server has, each with a CPU.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// The server has the first CPU, and the load the second one.
    One,
    /// The server has both CPUs, and the load runs beside it.
    Two,
}

impl Cores {
    pub(super) fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    /// The CPUs of the servers; none if they may run anywhere.
    pub(super) fn of_server(self, plan: &Plan) -> Vec<usize> {
        match (self, plan.pinning) {
            (_, Pinning::Impossible) => Vec::new(),
            (Self::One, Pinning::Pinned { server, .. }) => vec![server],
            (Self::Two, Pinning::Pinned { server, load }) => vec![server, load],
        }
    }

    /// Puts the calling thread on the CPUs of the load.
    pub(super) fn pin_load(self, plan: &Plan) -> io::Result<()> {
        match (self, plan.pinning) {
            (_, Pinning::Impossible) => Ok(()),
            (Self::One, Pinning::Pinned { load, .. }) => cpu::pin(load),
            (Self::Two, Pinning::Pinned { server, load }) => cpu::pin_to(&[server, load]),
        }
    }
}

impl Plan {
    /// The servers that have this mode.
    pub(super) fn peers_of(&self, mode: Mode, cores: Cores) -> Vec<Peer> {
        let has = |peer: &Peer| peer.offers(mode) && (cores == Cores::One || peer.has_threads());
        self.peers.iter().copied().filter(has).collect()
    }

    pub(super) fn has_latencies(&self) -> bool {
        self.modes.contains(&Mode::Plaintext) && !self.rates.is_empty()
    }

    /// Leaves out the peers whose program is not installed, and says so.
    pub(super) fn leave_out_what_is_missing(&mut self, has_go: bool) {
        self.peers.retain(|&peer| {
            let is_there = match peer {
                Peer::Go => has_go,
                Peer::Nginx | Peer::Haproxy => runs(&peer.to_string()),
                _ => true,
            };
            if !is_there {
                eprintln!("{peer}: left out, because it is not installed");
            }
            is_there
        });
    }
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("-v").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
