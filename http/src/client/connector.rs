//! What `ureq` asks for: a connector with transports, and a resolver.
//!
//! `ureq` has a pool of its own, under a lock of the whole process, and its clock is the real one.
//! It gets no idle connection to keep (its bounds are set to zero): when it is done with a
//! connection, it asks whether the connection is open and then drops it. That is where the
//! connection goes back into the pool of its shard. See `connection.rs`.
//!
//! A transport is bound to its shard, because `ureq` wants `Send` and `Sync`. On another shard each
//! use is an error.

use std::fmt;
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;

use straightline_sched::{ShardBound, try_current};
use ureq::config::Config;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, http::Uri};

use super::connection::Connection;
use super::dialer::{Dialer, in_time};
use super::pools::PoolKey;
use super::route::Route;

/// Makes connections on the shard of the caller.
pub(super) struct ShardConnector {
    pools: PoolKey,
    dialer: Arc<Dialer>,
}

/// A connection of one call.
pub(super) struct ShardTransport {
    connection: ShardBound<Connection>,
    buffers: LazyBuffers,
    /// Bytes were received, and the call may not have looked at them.
    is_unseen: bool,
    is_tls: bool,
}

/// Leaves names to the connector: a call that finds an idle connection needs no address.
#[derive(Debug)]
pub(super) struct NoResolver;

impl ShardConnector {
    pub(super) fn new(pools: PoolKey, dialer: Dialer) -> Self {
        Self { pools, dialer: Arc::new(dialer) }
    }
}

impl Connector for ShardConnector {
    type Out = ShardTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<ShardTransport>, Error> {
        if try_current().is_none() {
            let text = "a call of this client needs a fiber: make it in a handler, or in `run`";
            return Err(Error::Io(io::Error::new(ErrorKind::Unsupported, text)));
        }
        let route = Route::of(details)?;
        let is_tls = route.is_https();
        let pool = self.pools.of_shard()?;
        let connection = in_time(pool.limits().connect_timeout, details.timeout, || {
            let (slot, idle) = pool.acquire(route)?;
            Connection::begin(slot, idle, Arc::clone(&self.dialer))
        })?;
        let connection = ShardBound::new(connection);
        let buffers = buffers_for(details.config);
        Ok(Some(ShardTransport { connection, buffers, is_unseen: false, is_tls }))
    }
}

/// Buffers that are made when they are used. The input has room for a head that is too long.
fn buffers_for(config: &Config) -> LazyBuffers {
    let head_bytes = config.max_response_header_size().saturating_add(1);
    LazyBuffers::new(config.input_buffer_size().max(head_bytes), config.output_buffer_size().max(1))
}

impl Transport for ShardTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let bytes = &self.buffers.output()[..amount];
        self.connection.try_get_mut().map_err(io::Error::from)?.send(bytes, timeout)
    }

    /// Waits for more only if the call has seen what was received. A call that waits for `100
    /// Continue` and receives another response leaves it in the buffer, and then asks for a
    /// response. Without this it would wait for what it has.
    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if mem::take(&mut self.is_unseen) && !self.buffers.input().is_empty() {
            return Ok(true);
        }
        let buffer = self.buffers.input_append_buf();
        if buffer.is_empty() {
            let text = "the response has a line that does not end";
            return Err(Error::Io(io::Error::new(ErrorKind::InvalidData, text)));
        }
        let connection = self.connection.try_get_mut().map_err(io::Error::from)?;
        let count = connection.receive(buffer, timeout)?;
        self.buffers.input_appended(count);
        self.is_unseen = count > 0;
        Ok(count > 0)
    }

    fn is_open(&mut self) -> bool {
        let is_read = self.buffers.input().is_empty();
        self.connection.try_get_mut().is_ok_and(|connection| is_read && connection.settle())
    }

    fn is_tls(&self) -> bool {
        self.is_tls
    }
}

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(self.empty())
    }
}

impl fmt::Debug for ShardConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardConnector").finish_non_exhaustive()
    }
}

impl fmt::Debug for ShardTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardTransport").field("is_tls", &self.is_tls).finish_non_exhaustive()
    }
}
