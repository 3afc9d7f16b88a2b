//! How long clients and handlers may take.

use std::fmt;
use std::time::Duration;

/// How long a server waits for its clients and its handlers. Each has a default that suits
/// services on the open internet, and none depends on another; `Duration::MAX` is no timeout.
///
/// ```
/// use std::time::Duration;
/// use straightline::{Request, Server, Timeouts};
///
/// let timeouts = Timeouts { handler: Duration::from_secs(5), ..Timeouts::default() };
/// Server::builder().bind("127.0.0.1:0").timeouts(timeouts).build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request, empty lines before it not counted, to the end of its head.
    /// After that the client gets a 408. A new connection has the same time to send its first byte,
    /// and is closed without an answer otherwise. Default: 15 seconds, some slow round trips: a
    /// client that sends a head byte by byte is no browser.
    pub head: Duration,
    /// How long a connection may rest between two requests. Then it is closed without an answer;
    /// earlier if a new connection needs [its place](crate::Capacity::connections). It may take
    /// longer by a sixteenth of this or of `head`, whichever is less. Default: 75 seconds.
    ///
    /// A load balancer in front keeps connections too, and if it sends a request on one that this
    /// server is about to close, the request is lost. So this has to be longer than the load
    /// balancer's own timeout for idle connections to servers. With nginx and the balancers of the
    /// large clouds that is 60 seconds by default.
    pub idle: Duration,
    /// How long a handler may take to return its response, or pause between two writes of a
    /// streamed body. Waiting for the client restarts the time; the next two fields bound such
    /// waits. After it the handler unwinds at its next yield point, and the client gets a 504, or
    /// the end of the connection if a part of the response has left. Default: 60 seconds, which
    /// common proxies wait for an answer.
    ///
    /// [`Request::set_handler_timeout`](crate::Request::set_handler_timeout) changes it for one
    /// request.
    pub handler: Duration,
    /// How slowly the request bodies of a connection may come. A client that is slower gets a 408.
    ///
    /// [`Request::set_body_pace`](crate::Request::set_body_pace) changes it for one request.
    pub body: Pace,
    /// How slowly a client may read its response. A connection that is slower is reset. The client
    /// has read what its system acknowledges; the server looks at that sixteen times in the idle
    /// time.
    ///
    /// Its `idle` is 60 seconds by default, and its `grace` 90: a system that has reported a full
    /// buffer reports room when half of it is free, usually some 64 KiB. So a client that reads
    /// slowly and steadily rarely shows it.
    pub write: Pace,
}

/// How slowly a client may send or take a body. Only the time counts in which the server waits for
/// the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long the client may do nothing at all. Default: 30 seconds.
    pub idle: Duration,
    /// How many bytes a second the client has to take or send once it has used up its grace.
    /// Default: 240, the rate of a modem of 1980; 0 is no such bound.
    pub bytes_per_second: u64,
    /// By how much time the client may be behind that rate, with all the bodies of its connection.
    /// Default: 60 seconds, so that a tunnel on a train journey does not cost an upload.
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
    /// The [`Pace::idle`] of a request's body.
    Body,
    /// The [rate](Pace::bytes_per_second) of a request's body.
    BodyRate,
    /// [`Timeouts::handler`].
    Handler,
    /// The [`Pace::idle`] of a client that does not read its response.
    Write,
    /// The [rate](Pace::bytes_per_second) of a client that reads its response.
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

    /// The timeout that an error comes from, if it comes from one.
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

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(15),
            idle: Duration::from_secs(75),
            handler: Duration::from_secs(60),
            body: Pace::default(),
            write: Pace {
                idle: Duration::from_secs(60),
                grace: Duration::from_secs(90),
                ..Pace::default()
            },
        }
    }
}

impl Default for Pace {
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
            Self::Body => "the request body did not come on",
            Self::BodyRate => "the request body came too slowly",
            Self::Handler => "the handler took too long",
            Self::Write => "the client did not read its response",
            Self::WriteRate => "the client read its response too slowly",
        })
    }
}

impl std::error::Error for Timeout {}
