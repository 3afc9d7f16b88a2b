//! How long clients and handlers may take.

use std::fmt;
use std::time::Duration;

use crate::with_fields::with_fields;

/// How long a server waits for its clients and its handlers. Each timeout has a default that suits
/// services on the open internet. No timeout depends on another. `Duration::MAX` means no timeout.
///
/// ```
/// use std::time::Duration;
/// use straightline::{Request, Server, Timeouts};
///
/// let timeouts = Timeouts::default().with_handler(Duration::from_secs(5));
/// Server::builder().bind("127.0.0.1:0").timeouts(timeouts).build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// From the first byte of a request (empty lines before it do not count) to the end of its
    /// head. A client that needs longer gets a 408. A new connection has the same time to send its
    /// first byte, and is otherwise closed without an answer. Default: 15 seconds, which is some
    /// slow round trips: a client that sends a head byte by byte is no browser.
    pub head: Duration,
    /// How long a connection may be idle between two requests. Then it is closed without an answer;
    /// earlier if a new connection needs [its place](crate::Capacity::connections). The close may
    /// be late by a sixteenth of this or of `head`, whichever is less. Default: 75 seconds.
    ///
    /// A load balancer in front of the server keeps idle connections too. If it sends a request on
    /// a connection that this server is about to close, the request is lost. So this timeout has to
    /// be longer than the load balancer's own timeout for idle connections to servers, which is 60
    /// seconds by default in nginx and in the balancers of the large clouds.
    pub idle: Duration,
    /// How long a handler may take to return its response, or pause between two writes of a
    /// streamed body. Waiting for the client restarts the time; the next two fields bound such
    /// waits. When the time is over, the handler unwinds at its next yield point. The client gets a
    /// 504; if a part of the response has been sent already, the connection closes instead.
    /// Default: 60 seconds, as long as common proxies wait for an answer.
    ///
    /// [`Request::set_handler_timeout`](crate::Request::set_handler_timeout) changes it for one
    /// request.
    pub handler: Duration,
    /// How slowly the request bodies of a connection may arrive. A slower client gets a 408.
    ///
    /// [`Request::set_min_body_rate`](crate::Request::set_min_body_rate) changes it for one
    /// request.
    pub body: MinRate,
    /// How slowly a client may read its response. A slower connection is reset. Bytes count as read
    /// when the client's system acknowledges them; the server checks that sixteen times in the idle
    /// time.
    ///
    /// Its `idle` is 60 seconds by default, and its `grace` 90. A client's system that has reported
    /// a full buffer reports room only when half of the buffer is free, usually some 64 KiB. So the
    /// progress of a client that reads slowly and steadily is rarely visible.
    pub write: MinRate,
}

/// How slowly a client may send or read a body. Only the time in which the server waits for the
/// client counts.
///
/// ```
/// use std::time::Duration;
/// use straightline::{MinRate, Timeouts};
///
/// let rate = MinRate::default().with_idle(Duration::from_secs(5)).with_bytes_per_second(10_000);
/// let timeouts = Timeouts::default().with_body(rate);
/// assert_eq!(timeouts.body.grace, Duration::from_secs(60)); // the default
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MinRate {
    /// How long the client may make no progress at all. Default: 30 seconds.
    pub idle: Duration,
    /// How many bytes a second the client has to read or send once it has used up its grace.
    /// Default: 240, the rate of a modem of 1980; 0 means no minimum rate.
    pub bytes_per_second: u64,
    /// By how much time the client may be behind that rate, over all bodies of its connection.
    /// Default: 60 seconds, so that a tunnel on a train journey does not abort an upload.
    pub grace: Duration,
}

/// Which of the timeouts expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Timeout {
    /// [`Timeouts::head`].
    Head,
    /// [`Timeouts::idle`].
    Idle,
    /// The [`MinRate::idle`] of a request's body.
    Body,
    /// The [rate](MinRate::bytes_per_second) of a request's body.
    BodyRate,
    /// [`Timeouts::handler`].
    Handler,
    /// The [`MinRate::idle`] of a client that does not read its response.
    Write,
    /// The [rate](MinRate::bytes_per_second) of a client that reads its response.
    WriteRate,
}

impl Timeout {
    /// All of them, in the order of a request's life.
    pub const ALL: [Self; 7] = [
        Self::Head,
        Self::Idle,
        Self::Body,
        Self::BodyRate,
        Self::Handler,
        Self::Write,
        Self::WriteRate,
    ];

    /// The timeout that caused an error, if a timeout did.
    pub(crate) fn of(error: &std::io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }

    /// Its name in metrics: `head`, `idle`, `body`, `body_rate`, `handler`, `write`, `write_rate`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Idle => "idle",
            Self::Body => "body",
            Self::BodyRate => "body_rate",
            Self::Handler => "handler",
            Self::Write => "write",
            Self::WriteRate => "write_rate",
        }
    }
}

with_fields! { Timeouts {
    with_head: head: Duration,
    with_idle: idle: Duration,
    with_handler: handler: Duration,
    with_body: body: MinRate,
    with_write: write: MinRate,
} }

with_fields! { MinRate {
    with_idle: idle: Duration,
    with_bytes_per_second: bytes_per_second: u64,
    with_grace: grace: Duration,
} }

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            handler: Duration::from_secs(60),
            body: MinRate::default(),
            write: MinRate {
                idle: Duration::from_secs(60),
                grace: Duration::from_secs(90),
                ..MinRate::default()
            },
        }
    }
}

impl Default for MinRate {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(30),
            bytes_per_second: 240,
            grace: Duration::from_secs(60),
        }
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "the request head took too long",
            Self::Idle => "the connection was idle for too long",
            Self::Body => "the request body stopped arriving",
            Self::BodyRate => "the request body came too slowly",
            Self::Handler => "the handler took too long",
            Self::Write => "the client did not read its response",
            Self::WriteRate => "the client read its response too slowly",
        })
    }
}

impl std::error::Error for Timeout {}
