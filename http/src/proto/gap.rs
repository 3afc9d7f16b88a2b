//! Empty lines between two requests.
//!
//! Old clients send an empty line behind a body (RFC 9112 section 2.2). An empty line begins no
//! request. The bytes of such lines are skipped at once, so the server does not wait for a request
//! because of them, and keeps nothing of them but this state. Their number is bounded.
//!
//! A lone LF counts as a line, as section 2.2 allows: clients that count the length of their body
//! wrongly leave such an LF. A CR must be followed by its LF, however late the LF arrives.

use super::refusal::{Refusal, RefusalKind};

/// The bytes since the last request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gap {
    lines: u8,
    /// The last byte was a CR.
    is_half: bool,
}

impl Gap {
    /// Whether no byte has arrived yet.
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// How many of `bytes` belong to empty lines. If `bytes` holds more than these, a request
    /// begins behind them, and the gap is over.
    ///
    /// # Errors
    ///
    /// The reason why no request can follow.
    pub(crate) fn skip(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        for (at, &byte) in bytes.iter().enumerate() {
            match (byte, self.is_half) {
                (b'\r', false) => self.is_half = true,
                (b'\n', _) if self.lines == LINES_MAX => {
                    return Err(RefusalKind::EmptyLines.at(at));
                }
                (b'\n', _) => *self = Self { lines: self.lines + 1, is_half: false },
                (_, true) => return Err(RefusalKind::Method.at(at)),
                (_, false) => {
                    *self = Self::default();
                    return Ok(at);
                }
            }
        }
        Ok(bytes.len())
    }
}

/// How many empty lines are skipped before a request. Arbitrary: clients that send an extra CR LF
/// after a body send one.
const LINES_MAX: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(pieces: &[&str]) -> Result<(usize, Gap), RefusalKind> {
        let (mut gap, mut count) = (Gap::default(), 0);
        for piece in pieces {
            count += gap.skip(piece.as_bytes()).map_err(|refusal| refusal.kind)?;
        }
        Ok((count, gap))
    }

    #[test]
    fn empty_lines_are_passed_over_however_they_are_cut() {
        for text in ["\r\n", "\n", "\r\n\r\n", "\n\n", "\r\n\n"] {
            let request = text.to_owned() + "GET";
            let expected = Ok((text.len(), Gap::default()));
            assert_eq!(skipped(&[&request]), expected, "{text:?}");
            let cut: Vec<_> = (0..=text.len()).map(|at| &request[at..=at]).collect();
            assert_eq!(skipped(&cut), expected, "{text:?}");
        }
        assert_eq!(skipped(&["\r"]), Ok((1, Gap { lines: 0, is_half: true })));
        assert_eq!(skipped(&["\r\n"]), Ok((2, Gap { lines: 1, is_half: false })));
        assert!(Gap::default().is_empty());
        assert!(["\r", "\n"].iter().all(|begun| !skipped(&[begun]).unwrap().1.is_empty()));
    }

    #[test]
    fn what_is_no_empty_line_is_refused() {
        for (pieces, kind) in [
            (&["\rG"][..], RefusalKind::Method),
            (&["\r", "G"], RefusalKind::Method),
            (&["\r\r\n"], RefusalKind::Method),
            (&["\n\n\n"], RefusalKind::EmptyLines),
            (&["\r\n", "\r\n", "\r", "\n"], RefusalKind::EmptyLines),
        ] {
            assert_eq!(skipped(pieces), Err(kind), "{pieces:?}");
        }
    }
}
