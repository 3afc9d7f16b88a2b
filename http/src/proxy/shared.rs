//! What all shards of a proxy share, and how a connection to an upstream is opened.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use straightline_net::{TcpStream, Transport};
use straightline_sched as sched;

use super::connection::UpstreamConnection;
use super::pool::Pool;
use super::request_head::HeadPolicy;
use super::settings::{HealthCheck, ProxyLimits, ProxyTimeouts};
use super::upstreams::{Upstream, Upstreams};
use crate::config::OnDisconnect;
use crate::web::PerShard;

/// Opens a connection to the upstream with that address.
pub(super) type Connector = dyn Fn(&str) -> io::Result<Box<dyn Transport>> + Send + Sync;

/// What all shards of a proxy share.
pub(super) struct Shared {
    pub(super) upstreams: Arc<Upstreams>,
    pub(super) heads: HeadPolicy,
    pub(super) timeouts: ProxyTimeouts,
    pub(super) limits: ProxyLimits,
    /// The protocols to which a client may switch.
    pub(super) upgrades: Vec<String>,
    pub(super) health: Option<HealthCheck>,
    pub(super) on_disconnect: OnDisconnect,
    pub(super) connector: Box<Connector>,
    pub(super) pools: PerShard<Pool>,
    /// A shard sends the health checks.
    pub(super) is_checked: AtomicBool,
}

impl Shared {
    /// An idle connection to that upstream, or a new one; whether it was idle.
    ///
    /// A yield point if it connects.
    pub(super) fn connection(
        &self,
        pool: &Rc<Pool>,
        index: usize,
        may_reuse: bool,
    ) -> io::Result<(UpstreamConnection, bool)> {
        if may_reuse && let Some(connection) = pool.take(index) {
            return Ok((connection, true));
        }
        let upstream = &self.upstreams.all()[index];
        let stream = self.connect(upstream)?;
        upstream.counted.connected.fetch_add(1, Ordering::Relaxed);
        Ok((pool.connection(stream), false))
    }

    /// Connects within the time for it.
    fn connect(&self, upstream: &Upstream) -> io::Result<Box<dyn Transport>> {
        let connect = || (self.connector)(upstream.address());
        sched::deadline(self.timeouts.connect, connect).unwrap_or_else(|_| {
            let message = format!("not connected within {:?}", self.timeouts.connect);
            Err(io::Error::new(ErrorKind::TimedOut, message))
        })
    }
}

/// TCP, without delays for small pieces.
pub(super) fn connect_tcp(address: &str) -> io::Result<Box<dyn Transport>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
