//! The bounds of a conversation, with their defaults.

use std::time::Duration;

use super::origins::Origins;
use crate::config::AllowedHosts;

/// What happens to a message for a client whose send queue is full.
///
/// Each variant is right for some program: one that must not lose a message waits, one that sends
/// the latest state to many clients drops, and one that sends to many clients and must lose nothing
/// disconnects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowReceiver {
    /// The sender waits until there is room. The default, because it loses nothing and every other
    /// variant surprises some program. A client that makes no room at all ends with the
    /// [write timeout](super::Endpoint::write_timeout).
    #[default]
    Wait,
    /// The message is dropped, which is counted. The sender never waits.
    Drop,
    /// The client is disconnected. The sender never waits.
    Disconnect,
}

/// The settings of an endpoint.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) protocols: Vec<String>,
    pub(super) origins: Origins,
    /// `None`: all.
    pub(super) hosts: Option<AllowedHosts>,
    pub(super) limits: FrameLimits,
    pub(super) ping_interval: Option<Duration>,
    pub(super) idle_timeout: Option<Duration>,
    pub(super) close_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) send_queue_bytes: usize,
    pub(super) slow_receiver: SlowReceiver,
    pub(super) connections: usize,
    #[cfg(feature = "websocket-deflate")]
    pub(super) compression: bool,
}

/// How long a message and each of its frames may be, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameLimits {
    pub(crate) message_bytes: usize,
    pub(crate) frame_bytes: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self { message_bytes: MESSAGE_BYTES, frame_bytes: MESSAGE_BYTES }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            protocols: Vec::new(),
            origins: Origins::default(),
            hosts: None,
            limits: FrameLimits::default(),
            ping_interval: Some(PING_INTERVAL),
            idle_timeout: Some(IDLE_TIMEOUT),
            close_timeout: CLOSE_TIMEOUT,
            write_timeout: WRITE_TIMEOUT,
            send_queue_bytes: SEND_QUEUE_BYTES,
            slow_receiver: SlowReceiver::default(),
            connections: usize::MAX,
            #[cfg(feature = "websocket-deflate")]
            compression: false,
        }
    }
}

/// A message is in memory as a whole, so each client can make the server hold that much. 1 MiB has
/// room for any message that a program of text or events sends; ten thousand clients that all send
/// such a message are bounded by the server's memory limit.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// Often enough for the boxes on the way: the shortest time after which common ones forget a silent
/// connection is 60 seconds. A client that is gone is noticed after two Pings at the latest.
const PING_INTERVAL: Duration = Duration::from_secs(25);

/// Two Pings and some time for the second Pong.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A client that is there answers a Close frame within some round trips.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// As long as a phone may be without a network on a train. The time begins again whenever the
/// client takes some bytes.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Behind the kernel's buffers, which hold more, a quarter of a second at two megabits.
const SEND_QUEUE_BYTES: usize = 64 * 1024;
