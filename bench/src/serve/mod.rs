//! The servers: each has one thread, and all give the same response.
//!
//! They share the response and the listener in `answer`, so they differ only in the code that runs
//! after an accept.

mod answer;
#[cfg(feature = "events")]
mod axum;
mod floor;
mod hyper;
mod routed;
mod straightline;

use std::fmt;
use std::io;

use ::straightline::sched::DriverKind;
use clap::ValueEnum;
use rustix::process::{Signal, set_parent_process_death_signal};

#[cfg(any(feature = "tls", feature = "events"))]
pub(crate) use self::answer::ANY_PORT;
use self::answer::listen;
pub(crate) use self::answer::{BODY, PATH};
#[cfg(feature = "events")]
pub(crate) use self::axum::run as run_axum;
use self::floor::Arming;
#[cfg(feature = "peers")]
pub(crate) use self::routed::patterns;
use crate::cpu;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// An epoll loop that writes a fixed response and does not parse the request: the lower bound
    Floor,
    /// The floor with a oneshot registration, which is armed again after each request: what one
    /// more system call costs
    FloorOneshot,
    /// This project, with the driver of the system or of `STRAIGHTLINE_DRIVER`
    Straightline,
    /// This project with the oneshot driver
    StraightlinePolling,
    /// This project behind its router: 100 routes, two wrappers
    StraightlineRouted,
    /// hyper on tokio's single-threaded runtime
    Hyper,
    /// The floor a second time: the distance of its ratio from 1 is the noise
    FloorAgain,
}

/// The beginning of each process that is a server: it ends when the parent ends, and stays on the
/// CPU.
pub(crate) fn begin(cpu: Option<usize>) -> io::Result<()> {
    // If the parent has ended before this call, the server's first line fails: nothing reads the
    // pipe.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    cpu.map_or(Ok(()), cpu::pin)
}

/// Is a server until the process is killed, which also happens when the parent ends.
pub(crate) fn run(kind: Kind, cpu: Option<usize>) -> io::Result<()> {
    begin(cpu)?;
    match kind {
        Kind::Floor | Kind::FloorAgain => floor::run(&listen()?, Arming::Once),
        Kind::FloorOneshot => floor::run(&listen()?, Arming::EachTime),
        Kind::Straightline => straightline::run(None),
        Kind::StraightlinePolling => straightline::run(Some(DriverKind::Polling)),
        Kind::StraightlineRouted => routed::run(),
        Kind::Hyper => hyper::run(listen()?),
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "floor",
            Self::FloorOneshot => "floor-oneshot",
            Self::Straightline => "straightline",
            Self::StraightlinePolling => "straightline-polling",
            Self::StraightlineRouted => "straightline-routed",
            Self::Hyper => "hyper",
            Self::FloorAgain => "floor-again",
        })
    }
}
