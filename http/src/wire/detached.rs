//! A link without a client, for requests that a program makes: nothing is received, and what is
//! written is lost.

use std::rc::Rc;
use std::sync::Arc;

use straightline_sched::{ShardTime, sim};

use super::buffers::Buffers;
use super::host::Host;
use super::link::Link;
use crate::config::{Config, Peer};
use crate::control::{Shared, Slot};
use crate::telemetry::Observers;

thread_local! {
    /// The host of all detached links of this thread.
    static HOST: Rc<Host> = new_host();
}

/// A link without a client, and buffers for its request.
pub(crate) fn detached(peer: Peer) -> (Rc<Link>, Box<Buffers>) {
    // A simulation complains about buffers that outlive it.
    let host = if sim::is_simulated() { new_host() } else { HOST.with(Rc::clone) };
    let buffers = host.buffers.take();
    (Rc::new(Link::detached(peer, &host)), buffers)
}

/// The host of a server that has no client and no shard.
pub(super) fn new_host() -> Rc<Host> {
    let (config, observers) = (Config::default(), Observers::default());
    let shared = Shared::new(config, observers, Vec::new(), Vec::new(), 1, None);
    Host::new(&shared, &Arc::new(Slot::new(0, false)), ShardTime::now())
}
