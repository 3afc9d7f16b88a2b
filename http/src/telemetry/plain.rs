//! Events as text for a terminal or a log.

use std::fmt::{self, Write};

use super::events::Event;

/// An event's text without control characters. It may contain a client's text: a handler panics
/// with that text, or an error repeats it. A line end in that text would begin a new line of the
/// log. Only reports of fibers have several lines.
#[derive(Debug)]
pub(super) struct Plain<'e>(pub(super) &'e Event<'e>);

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
