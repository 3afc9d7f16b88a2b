//! The load: clients on fibers of the calling thread.
//!
//! `connection` is a connection and one exchange on it. `closed` are clients that send the next
//! request when they have the response; `open` sends at times that were chosen before, whatever
//! the server does. `slow` are clients that hardly send anything. `start` lets the clients of a
//! run connect before its clock starts, and `outcome` is what they count.

pub(super) mod closed;
mod connection;
pub(super) mod open;
mod outcome;
mod slow;
mod start;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

pub(super) use self::outcome::Outcome;
use super::mode::Mode;

/// What the clients of a run have in common.
#[derive(Clone)]
pub(super) struct Load {
    pub(super) server: SocketAddr,
    /// The process of the server, whose CPU time is measured.
    pub(super) process: u32,
    pub(super) mode: Mode,
    pub(super) clients: u16,
    pub(super) time: Duration,
    /// How the clients of [`Mode::Tls`] connect.
    pub(super) tls: Arc<ClientConfig>,
}
