//! All settings of a server, and their defaults.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use slog::Logger;
use straightline_net::{Keepalive, ListenOptions};
use straightline_sched::DriverKind;
#[cfg(feature = "_tls")]
use straightline_tls::TlsConfig;

use super::capacity::Capacity;
use super::descriptors::Descriptors;
use super::networks::Networks;
use super::policy::{AllStuck, OnDisconnect, PanicPolicy};
use super::timeouts::Timeouts;
use crate::proto::Limits;
use crate::systemd::Manager;

/// The settings that the builder of a server collects and its shards use.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) workers: Option<NonZeroUsize>,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) capacity: Capacity,
    pub(crate) on_disconnect: OnDisconnect,
    pub(crate) on_panic: PanicPolicy,
    pub(crate) ready_delay: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) busy_limit: Option<Duration>,
    pub(crate) stuck_limit: Option<Duration>,
    pub(crate) all_stuck: AllStuck,
    pub(crate) replacements: usize,
    pub(crate) stack_bytes: usize,
    pub(crate) stack_usage: bool,
    pub(crate) driver: Option<DriverKind>,
    pub(crate) send_buffer: Option<usize>,
    pub(crate) receive_buffer: Option<usize>,
    pub(crate) notsent_lowat: Option<usize>,
    pub(crate) keepalive: Option<Keepalive>,
    /// The proxies whose connections begin with a PROXY header.
    pub(crate) proxies: Networks,
    /// The listeners speak TLS.
    #[cfg(feature = "_tls")]
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) logger: Option<Logger>,
    pub(crate) prints_panics: bool,
    /// Hears what the server does.
    pub(crate) manager: Option<Arc<Manager>>,
    pub(crate) descriptors: Descriptors,
    pub(crate) has_wrappers: bool,
    /// The whole response for a client that is rejected when it connects.
    pub(crate) rejection: Vec<u8>,
}

impl Config {
    /// How to open a listener.
    pub(crate) fn listen_options(&self) -> ListenOptions {
        ListenOptions::new()
            .send_buffer(self.send_buffer)
            .receive_buffer(self.receive_buffer)
            .notsent_lowat(self.notsent_lowat)
            .keepalive(self.keepalive)
    }

    /// Whether another shard may get a shard's listeners later.
    pub(crate) fn keeps_copies(&self) -> bool {
        let is_replaced = self.busy_limit.is_some() || self.stuck_limit.is_some();
        is_replaced || self.on_panic == PanicPolicy::DrainShard
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: None,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            capacity: Capacity::default(),
            on_disconnect: OnDisconnect::Finish,
            on_panic: PanicPolicy::Answer,
            ready_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
            busy_limit: Some(Duration::from_millis(100)),
            stuck_limit: Some(Duration::from_secs(10)),
            all_stuck: AllStuck::EndServer,
            replacements: 4,
            stack_bytes: straightline_sched::Config::default().stack_bytes,
            stack_usage: false,
            driver: None,
            send_buffer: None,
            receive_buffer: None,
            notsent_lowat: Some(NOTSENT_LOWAT),
            keepalive: Some(Keepalive::default()),
            proxies: Networks::default(),
            #[cfg(feature = "_tls")]
            tls: None,
            logger: None,
            prints_panics: false,
            manager: None,
            descriptors: Descriptors::default(),
            has_wrappers: false,
            rejection: Vec::new(),
        }
    }
}

/// The default of [`ServerBuilder::notsent_lowat`](crate::ServerBuilder::notsent_lowat). Arbitrary:
/// until the server writes more, the kernel can send this much and the window of the connection, so
/// the connection is hardly ever idle.
const NOTSENT_LOWAT: usize = 128 << 10;
