//! A request that is over, and how it ended.

use std::time::{Duration, SystemTime};

use http::{Method, StatusCode, Version};
#[cfg(feature = "_tls")]
use straightline_tls::TlsInfo;

use crate::config::{Peer, Timeout};
use crate::proto::{Headers, RefusalKind};

/// A request that is over: the [event](crate::Event::RequestFinished) of each request, a line of
/// the access log, and a count of the metrics. Also of requests that were refused, and of bytes
/// that never became a request.
///
/// ```
/// use straightline::{Event, Request, Server};
///
/// let server = Server::builder().bind("127.0.0.1:0").observer(|event: &Event<'_>| {
///     if let Event::RequestFinished(request) = event {
///         println!("{:?} {:?} in {:?}", request.target, request.status, request.duration);
///     }
/// });
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct FinishedRequest<'e> {
    /// When its head had arrived, by the clock of the system.
    pub begun: SystemTime,
    /// The time from then until its response was complete or given up. The last bytes may still be
    /// on their way to the client.
    pub duration: Duration,
    /// The client.
    pub peer: &'e Peer,
    /// What the TLS handshake of its connection agreed on, if the connection is TLS.
    #[cfg(feature = "_tls")]
    pub tls: Option<&'e TlsInfo>,
    /// The method; like the target and the fields it is what wrappers have made of it. `None` if
    /// the head was refused or did not arrive. A head is refused as a whole, also if its request
    /// line is fine: for an announced body that is too long, for an unknown expectation, for an
    /// unknown transfer coding.
    pub method: Option<&'e Method>,
    /// The target; `None` as for the method.
    pub target: Option<&'e str>,
    /// The version; `None` as for the method.
    pub version: Option<Version>,
    /// The header fields; none if the head was refused or did not arrive.
    pub headers: Headers<'e>,
    /// What [`Request::set_route`](crate::Request::set_route) has set.
    pub route: Option<&'static str>,
    /// The status of the response; `None` if no response was begun.
    pub status: Option<StatusCode>,
    /// Bytes received for the request: its head, and as much of its body as was read, with its
    /// framing.
    pub request_bytes: u64,
    /// Bytes of the response's body, without chunk framing.
    pub response_bytes: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended; if several things went wrong, the first of them.
///
/// ```
/// use straightline::{Outcome, Timeout};
///
/// assert_eq!(Outcome::Panicked.name(), "panicked");
/// assert_eq!(Outcome::TimedOut(Timeout::Handler).name(), "timed_out");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The handler's response was complete, whatever its status.
    #[default]
    Answered,
    /// The connection was handed over to another protocol.
    Upgraded,
    /// The request, or its body, was refused.
    Refused(RefusalKind),
    /// The client or the handler was too slow.
    TimedOut(Timeout),
    /// The server had no room for another request.
    Overloaded,
    /// The handler panicked.
    Panicked,
    /// The handler returned an error, a response that it must not return, or a body that could not
    /// be completed.
    Failed,
    /// The client disconnected, or its connection broke.
    Disconnected,
    /// The connection was force-closed at the end of a shutdown.
    ForceClosed,
}

impl Outcome {
    /// Its name in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Upgraded => "upgraded",
            Self::Refused(_) => "refused",
            Self::TimedOut(_) => "timed_out",
            Self::Overloaded => "overloaded",
            Self::Panicked => "panicked",
            Self::Failed => "failed",
            Self::Disconnected => "disconnected",
            Self::ForceClosed => "force_closed",
        }
    }
}
