//! Events as lines of a log.

use slog::{Logger, crit, debug, error, info, warn};

use super::events::{Event, Hooks};

/// Writes every event to a logger: that nobody is served any more as critical, what an operator has
/// to look into as an error or a warning, the steps of a shutdown as information, and what clients
/// do at debug level.
///
/// [`Builder::logger`](crate::Builder::logger) is the usual way to it.
///
/// ```
/// use slog::{Discard, Logger, o};
/// use straightline::{LogHooks, Request, Server};
///
/// let logger = Logger::root(Discard, o!());
/// let server = Server::builder().bind("127.0.0.1:0").hooks(LogHooks::new(logger));
/// server.build(|_: &mut Request| "hi\n")?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct LogHooks {
    logger: Logger,
}

impl LogHooks {
    /// To that logger.
    pub fn new(logger: Logger) -> Self {
        Self { logger }
    }
}

impl Hooks for LogHooks {
    fn on_event(&self, event: &Event<'_>) {
        match event {
            Event::HandlerPanicked { .. }
            | Event::ResponseFailed { .. }
            | Event::FiberReported { .. }
            | Event::ShardStuck { .. }
            | Event::ListenerFailed { .. }
            | Event::AcceptFailed { pause: None, .. } => error!(self.logger, "{event}"),
            Event::AllStuck { .. } => crit!(self.logger, "{event}"),
            Event::ListenersLent { .. } => warn!(self.logger, "{event}"),
            Event::ListenersReturned { .. } => info!(self.logger, "{event}"),
            Event::AcceptFailed { .. }
            | Event::TurnedAway { .. }
            | Event::Overloaded { .. }
            | Event::ShortOfMemory { .. } => {
                warn!(self.logger, "{event}");
            }
            Event::ShutdownAdvanced { .. } | Event::ShardDrained { .. } => {
                info!(self.logger, "{event}");
            }
            _ => debug!(self.logger, "{event}"),
        }
    }
}
