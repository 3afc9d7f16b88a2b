//! Finds the delimiters between the parts, in bytes that arrive in pieces (RFC 2046 section 5.1.1).
//!
//! A delimiter is a whole line: CR LF, two dashes, the boundary, two more dashes for the last one,
//! spaces and tabs, CR LF. Where another byte follows the boundary, the line is data: it may be the
//! delimiter of another boundary, which begins like this one. A line that differs in its end (a
//! bare CR or LF, text behind a space) is malformed, because parsers do not agree about it.
//!
//! The bytes are in a buffer of fixed size. Each byte is searched once, whatever the pieces in
//! which the bytes arrive, and in which they are taken.

use std::io::{ErrorKind, Read};

use memchr::memmem::{self, Finder};

use crate::body_error::BodyError;

/// Finds delimiters in what a reader returns.
pub(super) struct Scanner<'r> {
    source: Box<dyn Read + 'r>,
    /// How many bytes may still come from the source, of `bytes_max`.
    left: u64,
    bytes_max: u64,
    buffer: Vec<u8>,
    /// The bytes of `buffer` that came from the source and were not taken.
    start: usize,
    end: usize,
    /// No delimiter begins in `start..clear`; `start <= clear <= end`.
    clear: usize,
    /// The source has ended.
    is_ended: bool,
    /// CR LF, two dashes, and the boundary.
    delimiter: Finder<'static>,
}

/// What stands in front of the first byte that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// That many bytes of data.
    Data(usize),
    /// A delimiter line of that many bytes, without its last CR LF.
    Delimiter(usize),
    /// The last delimiter line, likewise.
    Last(usize),
}

/// The head of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// How many bytes its lines have, without the last CR LF.
    pub(super) lines: usize,
    /// How many bytes lie in front of the content.
    pub(super) length: usize,
}

/// What a delimiter's bytes are, when the bytes behind them are looked at.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Next(Next),
    Data,
    Malformed,
    /// Too few bytes have arrived.
    Unknown,
}

impl<'r> Scanner<'r> {
    /// A scanner of a body with that boundary and at most `bytes_max` bytes. The first delimiter
    /// needs no CR LF in front of it. The buffer grows only for a head that is larger.
    pub(super) fn new(
        source: impl Read + 'r,
        boundary: &[u8],
        bytes_max: u64,
        buffer_bytes: usize,
    ) -> Self {
        let delimiter = [b"\r\n--", boundary].concat();
        let mut buffer = vec![0; buffer_bytes.max(BUFFER_BYTES_MIN)];
        buffer[..2].copy_from_slice(b"\r\n");
        Self {
            source: Box::new(source),
            left: bytes_max,
            bytes_max,
            buffer,
            start: 0,
            end: 2,
            clear: 0,
            is_ended: false,
            delimiter: Finder::new(&delimiter).into_owned(),
        }
    }

    /// What comes next, which is then in the buffer. A yield point if bytes have to arrive.
    pub(super) fn next(&mut self) -> Result<Next, BodyError> {
        loop {
            if self.clear > self.start {
                return Ok(Next::Data(self.clear - self.start));
            }
            let unread = &self.buffer[self.start..self.end];
            match self.delimiter.find(unread) {
                Some(0) => {
                    let length = self.delimiter.needle().len();
                    match line(&unread[length..], self.is_ended) {
                        Line::Next(Next::Delimiter(rest)) => {
                            return Ok(Next::Delimiter(length + rest));
                        }
                        Line::Next(Next::Last(rest)) => return Ok(Next::Last(length + rest)),
                        Line::Next(Next::Data(_)) | Line::Data => self.clear += length,
                        Line::Malformed => return Err(BodyError::Malformed(MALFORMED_LINE)),
                        Line::Unknown => self.fill_or_fail()?,
                    }
                }
                Some(at) => self.clear += at,
                None => {
                    self.clear += unread.len() - beginning(unread, self.delimiter.needle());
                    if self.clear == self.start {
                        self.fill_or_fail()?;
                    }
                }
            }
        }
    }

    /// The next `count` bytes, which [`next`](Self::next) has found.
    pub(super) fn peek(&self, count: usize) -> &[u8] {
        &self.buffer[self.start..self.end][..count]
    }

    /// Takes `count` of the bytes that [`next`](Self::next) or [`head`](Self::head) has found.
    pub(super) fn take(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        self.clear = self.clear.max(self.start);
    }

    /// The head that follows a delimiter line: its lines, each with the CR LF in front of it, and
    /// the empty line at its end. A yield point if bytes have to arrive.
    pub(super) fn head(&mut self, head_bytes_max: usize) -> Result<Head, BodyError> {
        let mut searched = 0;
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(at) = memmem::find(&unread[searched..], b"\r\n\r\n") {
                let lines = searched + at;
                if lines > head_bytes_max.saturating_add(2) {
                    return Err(HEAD_TOO_LONG);
                }
                // The content is empty if a delimiter begins with the empty line's own CR LF.
                match self.is_delimiter(&unread[lines + 2..]) {
                    Some(true) => return Ok(Head { lines, length: lines + 2 }),
                    Some(false) => return Ok(Head { lines, length: lines + 4 }),
                    None => {
                        searched = lines;
                        self.fill()?;
                        continue;
                    }
                }
            }
            searched = unread.len().saturating_sub(3);
            if searched > head_bytes_max.saturating_add(2) {
                return Err(HEAD_TOO_LONG);
            }
            if !self.fill()? {
                return Err(BodyError::Malformed("the body ends inside the head of a part"));
            }
        }
    }

    /// Takes the rest of the source, which may have `bytes_max` bytes. A yield point.
    pub(super) fn skip_rest(&mut self, bytes_max: u64) -> Result<(), BodyError> {
        let mut skipped = 0;
        loop {
            skipped += (self.end - self.start) as u64;
            if skipped > bytes_max {
                return Err(BodyError::LimitExceeded("there is too much behind the last part"));
            }
            self.take(self.end - self.start);
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Whether the bytes begin with a delimiter, or a malformed one; `None` if more bytes decide.
    fn is_delimiter(&self, bytes: &[u8]) -> Option<bool> {
        let needle = self.delimiter.needle();
        let Some(rest) = bytes.strip_prefix(needle) else {
            let is_beginning = needle.starts_with(bytes) && !self.is_ended;
            return if is_beginning { None } else { Some(false) };
        };
        match line(rest, self.is_ended) {
            Line::Data | Line::Next(Next::Data(_)) => Some(false),
            Line::Next(_) | Line::Malformed => Some(true),
            Line::Unknown => None,
        }
    }

    fn fill_or_fail(&mut self) -> Result<(), BodyError> {
        if self.is_ended {
            return Err(BodyError::Malformed("the body ends without its last boundary"));
        }
        self.fill().map(drop)
    }

    /// Reads at least one byte more; false at the end of the source. The caller has bounded what is
    /// in the buffer.
    fn fill(&mut self) -> Result<bool, BodyError> {
        if self.is_ended {
            return Ok(false);
        }
        // What is left is a part of a delimiter or of a head, so this copies little.
        self.buffer.copy_within(self.start..self.end, 0);
        (self.clear, self.end) = (self.clear - self.start, self.end - self.start);
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end * 2, 0);
        }
        let count = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(BodyError::from_body(&error)),
            }
        };
        self.end += count;
        self.is_ended = count == 0;
        let left = self.left.checked_sub(count as u64);
        self.left = left.ok_or(BodyError::TooLong(self.bytes_max))?;
        Ok(count > 0)
    }
}

/// What the line is whose first bytes are a delimiter, by the bytes behind it.
fn line(rest: &[u8], is_ended: bool) -> Line {
    let (is_last, tail) = match rest {
        [b'-', b'-', tail @ ..] => (true, tail),
        [] | [b'-'] if is_ended => return Line::Data,
        [] | [b'-'] => return Line::Unknown,
        _ => (false, rest),
    };
    let padding = tail.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    if padding > PADDING_BYTES_MAX {
        return Line::Malformed;
    }
    let length = rest.len() - tail.len() + padding;
    let found = if is_last { Next::Last(length) } else { Next::Delimiter(length) };
    match &tail[padding..] {
        [b'\r', b'\n', ..] => Line::Next(found),
        [] if is_last && is_ended => Line::Next(found),
        [] | [b'\r'] if is_ended => Line::Malformed,
        [] | [b'\r'] => Line::Unknown,
        [b'\r' | b'\n', ..] => Line::Malformed,
        _ if padding > 0 => Line::Malformed,
        _ => Line::Data,
    }
}

/// How many bytes at the end of `bytes` are the beginning of `delimiter`.
fn beginning(bytes: &[u8], delimiter: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(delimiter.len() - 1);
    // A delimiter has one CR, which is its first byte.
    let last_return = memchr::memrchr(b'\r', &bytes[from..]);
    last_return.map_or(0, |at| {
        let tail = &bytes[from + at..];
        if delimiter.starts_with(tail) { tail.len() } else { 0 }
    })
}

const MALFORMED_LINE: &str = "a line with the boundary is malformed";

const HEAD_TOO_LONG: BodyError = BodyError::LimitExceeded("the head of a part is too long");

/// How many spaces and tabs may stand behind a boundary. Arbitrary: clients send none.
const PADDING_BYTES_MAX: usize = 64;

/// The least size of the buffer. Arbitrary: room for a delimiter.
const BUFFER_BYTES_MIN: usize = 256;
