//! The servers, and which of them has what.

use std::fmt;

use clap::ValueEnum;

use super::mode::Mode;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    /// This project
    Straightline,
    /// This project a second time: the distance of its ratio from 1 is the noise
    StraightlineAgain,
    /// An epoll loop that writes a fixed response and does not parse the request: the lower bound
    Floor,
    /// hyper on tokio
    Hyper,
    /// axum on tokio
    Axum,
    /// actix-web
    Actix,
    /// ntex on tokio
    Ntex,
    /// `may_minihttp`, on the fibers of may
    MayMinihttp,
    /// `net/http` of Go
    Go,
    /// nginx, which has to be installed
    Nginx,
    /// `HAProxy`, which has to be installed
    Haproxy,
}

impl Peer {
    /// Whether the server has what the mode asks for, as a feature of its own or of a package that
    /// its users take.
    pub(super) fn offers(self, mode: Mode) -> bool {
        use Peer::{Axum, Floor, Go, Haproxy, Hyper, MayMinihttp, Nginx, Ntex};
        let lacks: &[Self] = match mode {
            Mode::Plaintext | Mode::KeepAlive | Mode::Pipelined | Mode::Slow | Mode::Idle => &[],
            // It does not close a connection at the client's wish.
            Mode::Short => &[MayMinihttp],
            Mode::Json => &[Floor, Nginx, Haproxy],
            Mode::Routed => &[Floor, Hyper, MayMinihttp, Nginx, Haproxy],
            Mode::Streaming | Mode::Offload => &[Floor, MayMinihttp, Nginx, Haproxy],
            Mode::File => &[Floor, Hyper, Ntex, MayMinihttp, Haproxy],
            // axum's is hyper's. That of ntex needs a package of certificates.
            Mode::Tls => &[Floor, Axum, Ntex, MayMinihttp],
            Mode::Websocket => &[Floor, Hyper, MayMinihttp, Go, Nginx, Haproxy],
        };
        !lacks.contains(&self)
    }

    /// Whether one process of it can serve one port with more than one thread. nginx has a process
    /// for each core, and this program measures one.
    pub(super) fn has_threads(self) -> bool {
        !matches!(self, Self::Floor | Self::Nginx)
    }

    /// Whether it cannot say where it listens, and is told.
    pub(super) fn is_told_its_port(self) -> bool {
        matches!(self, Self::MayMinihttp | Self::Nginx | Self::Haproxy)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Straightline => "straightline",
            Self::StraightlineAgain => "straightline-again",
            Self::Floor => "floor",
            Self::Hyper => "hyper",
            Self::Axum => "axum",
            Self::Actix => "actix",
            Self::Ntex => "ntex",
            Self::MayMinihttp => "may-minihttp",
            Self::Go => "go",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        })
    }
}
