//! What a proxy tells about its upstreams.

use std::fmt;
use std::io;
use std::time::Duration;

use slog::{debug, info, warn};
use straightline_sched as sched;

/// Something that has happened between a proxy and one of its upstreams.
///
/// An observer ([`ProxyBuilder::observer`](super::ProxyBuilder::observer)) gets them as they
/// happen. Without one they go to the logger of the server.
///
/// ```
/// use straightline::proxy::{Proxy, ProxyEvent};
///
/// let proxy = Proxy::builder().upstream("127.0.0.1:9000").observer(|event| match event {
///     ProxyEvent::Ejected { upstream, .. } => eprintln!("look after {upstream}"),
///     other => println!("{other}"),
/// });
/// proxy.build()?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum ProxyEvent<'e> {
    /// A request failed, and the upstream is to blame: it could not be connected to, it took too
    /// long, or what it sent was malformed or not complete.
    Failed {
        /// The upstream's address.
        upstream: &'e str,
        /// Why.
        error: &'e io::Error,
    },
    /// An upstream has sent a response whose end could be read differently: a 204 that announces a
    /// body, or bytes behind the end. The client gets the response, and the upstream's connection
    /// is closed.
    Misframed {
        /// The upstream's address.
        upstream: &'e str,
        /// What was wrong.
        what: &'static str,
    },
    /// An idle connection was closed by its upstream at the moment when a request was sent on it;
    /// the request is sent again, on a new connection.
    Retried {
        /// The upstream's address.
        upstream: &'e str,
    },
    /// An upstream has failed so often that it gets no requests for a while.
    Ejected {
        /// The upstream's address.
        upstream: &'e str,
        /// For how long.
        time: Duration,
    },
    /// An upstream has failed its health checks, and gets no requests until it passes them.
    Ill {
        /// The upstream's address.
        upstream: &'e str,
        /// Why the last check was bad.
        error: &'e io::Error,
    },
    /// An upstream passes its health checks again.
    Well {
        /// The upstream's address.
        upstream: &'e str,
    },
    /// A request found no upstream that may get it, and was answered with a 503.
    Unavailable,
}

impl fmt::Display for ProxyEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { upstream, error } => write!(f, "upstream {upstream} failed: {error}"),
            Self::Misframed { upstream, what } => write!(f, "upstream {upstream} has sent {what}"),
            Self::Retried { upstream } => {
                write!(f, "upstream {upstream} closed an idle connection; the request is repeated")
            }
            Self::Ejected { upstream, time } => {
                write!(f, "upstream {upstream} failed too often, and is ejected for {time:?}")
            }
            Self::Ill { upstream, error } => write!(f, "upstream {upstream} is ill: {error}"),
            Self::Well { upstream } => write!(f, "upstream {upstream} is well"),
            Self::Unavailable => f.write_str("no upstream may get the request"),
        }
    }
}

/// Gets the events of a proxy.
pub(super) type ProxyObserver = dyn Fn(&ProxyEvent<'_>) + Send + Sync;

/// Gives an event to the observer, or else to the logger of the shard.
pub(super) fn emit(observer: Option<&ProxyObserver>, event: &ProxyEvent<'_>) {
    if let Some(observer) = observer {
        return observer(event);
    }
    let logger = sched::logger();
    match event {
        ProxyEvent::Retried { .. } => debug!(logger, "{}", event),
        ProxyEvent::Well { .. } => info!(logger, "{}", event),
        _ => warn!(logger, "{}", event),
    }
}
