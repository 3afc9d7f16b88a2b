//! Events as lines of a log.

use slog::{Logger, crit, debug, error, info, warn};

use super::events::{Event, Observer};
use super::plain::Plain;

/// Writes every event to a logger. The event that all shards are stuck is critical. Events that an
/// operator has to look into are errors or warnings. The steps of a shutdown are information. What
/// clients do is at debug level.
///
/// [`ServerBuilder::logger`](crate::ServerBuilder::logger) adds one.
///
/// ```
/// use slog::{Discard, Logger, o};
/// use straightline::{LogObserver, Request, Server};
///
/// let logger = Logger::root(Discard, o!());
/// let server = Server::builder().bind("127.0.0.1:0").observer(LogObserver::new(logger));
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct LogObserver {
    logger: Logger,
}

impl LogObserver {
    /// Writes to `logger`.
    pub fn new(logger: Logger) -> Self {
        Self { logger }
    }
}

impl Observer for LogObserver {
    /// No: the access log has a line for each request.
    fn wants_requests(&self) -> bool {
        false
    }

    fn on_event(&self, event: &Event<'_>) {
        let text = Plain(event);
        match event {
            Event::HandlerPanicked { .. }
            | Event::BackgroundPanicked { .. }
            | Event::ResponseFailed { .. }
            | Event::FiberReported { .. }
            | Event::ShardStuck { .. }
            | Event::Reloaded { outcome: Some(Err(_)) }
            | Event::ListenerFailed { .. }
            | Event::AcceptFailed { pause: None, .. } => error!(self.logger, "{text}"),
            #[cfg(feature = "_tls")]
            Event::TlsReloadFailed { .. } => error!(self.logger, "{text}"),
            #[cfg(feature = "_tls")]
            Event::TlsWarned { .. } => warn!(self.logger, "{text}"),
            #[cfg(feature = "_tls")]
            Event::TlsReloaded => info!(self.logger, "{text}"),
            Event::AllStuck { .. } => crit!(self.logger, "{text}"),
            Event::ListenersLent { .. }
            | Event::NotifyFailed { .. }
            | Event::ShardRenewed { .. } => warn!(self.logger, "{text}"),
            Event::ListenersReturned { .. } => info!(self.logger, "{text}"),
            Event::AcceptFailed { .. }
            | Event::ConnectionRejected { .. }
            | Event::ProxyHeaderRefused { .. }
            | Event::Overloaded { .. }
            | Event::ShortOfMemory { .. } => {
                warn!(self.logger, "{text}");
            }
            Event::Started { .. }
            | Event::Reloaded { .. }
            | Event::ShutdownAdvanced { .. }
            | Event::ShardDrained { .. } => info!(self.logger, "{text}"),
            _ => debug!(self.logger, "{text}"),
        }
    }
}
