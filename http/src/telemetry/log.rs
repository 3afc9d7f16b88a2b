//! Events as lines of a log.

use std::fmt::{self, Write};

use slog::{Logger, crit, debug, error, info, warn};

use super::events::{Event, Observer};

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
            | Event::ResponseFailed { .. }
            | Event::FiberReported { .. }
            | Event::ShardStuck { .. }
            | Event::Reloaded { outcome: Some(Err(_)) }
            | Event::ListenerFailed { .. }
            | Event::AcceptFailed { pause: None, .. } => error!(self.logger, "{text}"),
            Event::AllStuck { .. } => crit!(self.logger, "{text}"),
            Event::ListenersLent { .. } => warn!(self.logger, "{text}"),
            Event::ListenersReturned { .. } => info!(self.logger, "{text}"),
            Event::AcceptFailed { .. }
            | Event::ConnectionRejected { .. }
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

/// An event's text without control characters. It may contain a client's text: a handler panics
/// with that text, or an error repeats it. A line end in that text would begin a new line of the
/// log. Only reports of fibers have several lines.
struct Plain<'e>(&'e Event<'e>);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_lines = matches!(self.0, Event::FiberReported { .. });
        write!(Escaper { out: f, has_lines }, "{}", self.0)
    }
}

struct Escaper<'f, 'o> {
    out: &'f mut fmt::Formatter<'o>,
    has_lines: bool,
}

impl fmt::Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_kept = |character: char| {
            !character.is_control() || self.has_lines && matches!(character, '\n' | '\t')
        };
        for piece in text.split_inclusive(|character| !is_kept(character)) {
            let last = piece.chars().next_back().filter(|last| !is_kept(*last));
            let kept = last.map_or(piece.len(), |last| piece.len() - last.len_utf8());
            self.out.write_str(&piece[..kept])?;
            last.map_or(Ok(()), |last| write!(self.out, "{}", last.escape_default()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use http::Method;

    use super::*;
    use crate::config::Peer;

    #[test]
    fn what_a_client_sent_stays_in_its_line() {
        let (method, peer) = (Method::GET, Peer::Unix);
        let error = io::Error::other("no \r\n\u{1b}[2J\u{9b}\u{7f}\tnumber: é");
        let event =
            Event::ResponseFailed { peer: &peer, method: &method, target: "/", error: &error };
        let text = Plain(&event).to_string();
        assert!(text.ends_with("no \\r\\n\\u{1b}[2J\\u{9b}\\u{7f}\\tnumber: é"), "{text}");
    }
}
