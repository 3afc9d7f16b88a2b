//! The request head: a resumable parser that reads every byte about once.
//!
//! The parser is called with all bytes of the head so far, and remembers where it stands:
//!
//! ```text
//!   parsed lines          | the line it is in        | not looked at
//!   0 ................ line ............... searched ............ length
//! ```
//!
//! A line is parsed when it is complete. In the usual case the whole head is there and each line is
//! parsed straight away. When the bytes end in mid-line, only the new ones are searched for the
//! line's end at the next call, and the line is parsed once more when it has come. So a head that
//! arrives byte by byte costs time linear in its length.
//!
//! Strictness: CR LF ends lines and nothing else does; no whitespace before a colon; no folded
//! lines; no control bytes. See [`super::chars`] for the sets and [`super::framing`] for lengths.

use http::Method;

use super::chars::{target_end, token_end, value_end};
use super::fields::Field;
use super::framing::{Framing, is_authority};
use super::limits::Limits;
use super::refusal::{Refusal, RefusalKind};

/// A parsed request head; offsets count from its first byte.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// The request target as it stands on the request line.
    pub(crate) target: (u32, u32),
    /// The path and query in it; empty for an absolute target without a path.
    pub(crate) path: (u32, u32),
    /// 0 or 1; a higher minor version is served as 1.
    pub(crate) minor: u8,
    pub(crate) keep_alive: bool,
    pub(crate) expect_continue: bool,
    pub(crate) body_bytes: u64,
    /// Where the body begins.
    pub(crate) end: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct HeadParser {
    /// `line <= searched`
    line: usize,
    searched: usize,
    empty_lines: u8,
    /// Present once the request line is parsed.
    start: Option<RequestLine>,
    framing: Framing,
}

#[derive(Debug)]
struct RequestLine {
    method: Method,
    target: (u32, u32),
    path: (u32, u32),
    minor: u8,
}

/// What a line is, when there is enough of it to tell.
enum Line<T> {
    /// `next` is where the following line begins.
    Whole { value: T, next: usize },
    /// The bytes end in it.
    Partial,
}

impl HeadParser {
    /// Parses what has come of a head so far; `None` asks for more.
    ///
    /// `bytes` holds the same bytes as at the last call and perhaps more behind them. `fields` is
    /// filled on the way. After `Some` or an error the parser is as good as new.
    ///
    /// # Errors
    ///
    /// The refusal that the client is to be answered with.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        fields: &mut Vec<Field>,
    ) -> Result<Option<Head>, Refusal> {
        if self.line == 0 {
            fields.clear();
        }
        let result = self.advance(bytes, limits, fields);
        if !matches!(result, Ok(None)) {
            *self = Self::default();
        }
        result
    }

    fn advance(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        fields: &mut Vec<Field>,
    ) -> Result<Option<Head>, Refusal> {
        if self.searched > self.line
            && memchr::memchr(b'\n', &bytes[self.searched..]).is_none()
        {
            return self.wait_for_more(bytes, limits);
        }
        if self.start.is_none() {
            match self.request_line(bytes, limits)? {
                Line::Whole { value, next } => {
                    self.start = Some(value);
                    self.line = next;
                }
                Line::Partial => return self.wait_for_more(bytes, limits),
            }
        }
        loop {
            if bytes[self.line..].starts_with(b"\r\n") {
                let end = self.line + 2;
                check_head(end, limits)?;
                return self.finish(end, limits).map(Some);
            }
            match field_line(bytes, self.line)? {
                Line::Whole { value: field, next } => {
                    let line_bytes = next - 2 - self.line;
                    if line_bytes > limits.field_line_bytes {
                        return Err(RefusalKind::FieldLineBytes.at(self.line));
                    }
                    check_head(next, limits)?;
                    if fields.len() >= limits.fields {
                        return Err(RefusalKind::Fields.at(self.line));
                    }
                    let (name, value) = field;
                    self.framing
                        .note(&bytes[name.0..name.1], &bytes[value.0..value.1])
                        .map_err(|kind| kind.at(value.0))?;
                    fields.push(Field::new(name.0..name.1, value.0..value.1));
                    self.line = next;
                }
                Line::Partial => return self.wait_for_more(bytes, limits),
            }
        }
    }

    /// Notes how far the search went; refuses a line that is too long already.
    fn wait_for_more(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Head>, Refusal> {
        self.searched = bytes.len();
        // A CR at the end may be half of the line end, which does not count.
        let line = &bytes[self.line..];
        let line_bytes = line.len() - usize::from(line.ends_with(b"\r"));
        let (limit, kind) = match self.start {
            None => (limits.request_line_bytes, RefusalKind::RequestLineBytes),
            Some(_) => (limits.field_line_bytes, RefusalKind::FieldLineBytes),
        };
        if line_bytes > limit {
            return Err(kind.at(self.line));
        }
        // The head is longer than what is there by at least one byte.
        check_head(bytes.len() + 1, limits)?;
        Ok(None)
    }

    fn request_line(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Line<RequestLine>, Refusal> {
        // RFC 9112 section 2.2: at least one empty line before a request is to be ignored.
        while bytes[self.line..].starts_with(b"\r\n") {
            if self.empty_lines == EMPTY_LINES_MAX {
                return Err(RefusalKind::EmptyLines.at(self.line));
            }
            self.empty_lines += 1;
            self.line += 2;
        }
        if matches!(bytes[self.line..], [] | [b'\r']) {
            return Ok(Line::Partial);
        }
        let method_end = token_end(bytes, self.line);
        match bytes.get(method_end) {
            None => return Ok(Line::Partial),
            Some(b' ') if method_end > self.line => {}
            Some(_) => return Err(RefusalKind::Method.at(method_end)),
        }
        let target = method_end + 1;
        let target_end = target_end(bytes, target);
        match bytes.get(target_end) {
            None => return Ok(Line::Partial),
            Some(b' ') if target_end > target => {}
            Some(_) => return Err(RefusalKind::Target.at(target_end)),
        }
        let Some(version) = bytes[target_end + 1..].first_chunk::<10>() else {
            return partial_version(&bytes[target_end + 1..], target_end + 1);
        };
        let minor = version_minor(version, target_end + 1)?;
        let next = target_end + 11;
        if next - 2 - self.line > limits.request_line_bytes {
            return Err(RefusalKind::RequestLineBytes.at(self.line));
        }
        check_head(next, limits)?;
        let method = Method::from_bytes(&bytes[self.line..method_end])
            .map_err(|_| RefusalKind::Method.at(self.line))?;
        if method == Method::CONNECT {
            return Err(RefusalKind::Connect.at(self.line));
        }
        let path = path_of(&method, &bytes[target..target_end])
            .ok_or(RefusalKind::Target.at(target))?;
        let field = Field::new(target..target_end, target + path..target_end);
        let (target, path) = (field.name, field.value);
        Ok(Line::Whole { value: RequestLine { method, target, path, minor }, next })
    }

    fn finish(&mut self, end: usize, limits: &Limits) -> Result<Head, Refusal> {
        let Some(RequestLine { method, target, path, minor }) = self.start.take() else {
            unreachable!("the head ended before its request line");
        };
        let framing = &self.framing;
        let body_bytes = framing.body_bytes(minor, limits).map_err(|kind| kind.at(end))?;
        let keep_alive = !framing.close && (minor > 0 || framing.keep_alive);
        // RFC 9110 section 10.1.1: from a 1.0 client the expectation is to be ignored.
        let expect_continue = framing.expect_continue && minor > 0 && body_bytes > 0;
        Ok(Head { method, target, path, minor, keep_alive, expect_continue, body_bytes, end })
    }
}

/// A header line from `start` on: the spans of its name and of its trimmed value.
type FieldSpans = ((usize, usize), (usize, usize));

#[inline]
fn field_line(bytes: &[u8], start: usize) -> Result<Line<FieldSpans>, Refusal> {
    let name_end = token_end(bytes, start);
    match bytes.get(name_end) {
        None => return Ok(Line::Partial),
        Some(b':') if name_end > start => {}
        // The first byte of a line that is about to end the head.
        Some(b'\r') if name_end == start && name_end + 1 == bytes.len() => {
            return Ok(Line::Partial);
        }
        Some(_) => return Err(RefusalKind::FieldName.at(name_end)),
    }
    let mut value_start = name_end + 1;
    while matches!(bytes.get(value_start), Some(b' ' | b'\t')) {
        value_start += 1;
    }
    let line_end = value_end(bytes, value_start);
    match bytes.get(line_end..) {
        None | Some([] | [b'\r']) => return Ok(Line::Partial),
        Some([b'\r', b'\n', ..]) => {}
        Some([b'\r' | b'\n', ..]) => return Err(RefusalKind::LineEnd.at(line_end)),
        Some(_) => return Err(RefusalKind::FieldValue.at(line_end)),
    }
    let mut value_end = line_end;
    while value_end > value_start && matches!(bytes[value_end - 1], b' ' | b'\t') {
        value_end -= 1;
    }
    let spans = ((start, name_end), (value_start, value_end));
    Ok(Line::Whole { value: spans, next: line_end + 2 })
}

/// The minor version of `HTTP/1.x` CR LF.
#[inline]
fn version_minor(version: &[u8; 10], at: usize) -> Result<u8, Refusal> {
    match *version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, b'\r', b'\n']
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            match (major, minor) {
                (b'1', b'0') => Ok(0),
                (b'1', _) => Ok(1),
                _ => Err(RefusalKind::Version.at(at)),
            }
        }
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(RefusalKind::LineEnd.at(at + 8))
        }
        _ => Err(RefusalKind::VersionSyntax.at(at)),
    }
}

/// Fewer bytes than a version has: good so far, or wrong already.
fn partial_version(bytes: &[u8], at: usize) -> Result<Line<RequestLine>, Refusal> {
    let template = b"HTTP/1.1\r\n";
    let good = bytes.iter().zip(template).all(|(byte, expected)| {
        byte == expected || (expected.is_ascii_digit() && byte.is_ascii_digit())
    });
    if good { Ok(Line::Partial) } else { Err(RefusalKind::VersionSyntax.at(at)) }
}

/// Where the path begins in a request target, if the target has a form that the method allows
/// (RFC 9112 section 3.2). CONNECT's authority form is refused before.
#[inline]
fn path_of(method: &Method, target: &[u8]) -> Option<usize> {
    if target[0] == b'/' {
        return Some(0);
    }
    if target == b"*" {
        return (method == Method::OPTIONS).then_some(0);
    }
    // absolute-form; only the schemes that a server of this kind can be asked for.
    let authority = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let found = target.get(..scheme.len())?;
        found.eq_ignore_ascii_case(scheme).then_some(scheme.len())
    })?;
    let rest = &target[authority..];
    let length = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    is_authority(&rest[..length]).then_some(authority + length)
}

#[inline]
fn check_head(head_bytes: usize, limits: &Limits) -> Result<(), Refusal> {
    if head_bytes > limits.head_bytes.min(HEAD_BYTES_MAX) {
        return Err(RefusalKind::HeadBytes.at(head_bytes));
    }
    Ok(())
}

/// Empty lines that are skipped before a request. Arbitrary: clients that send an extra CR LF after
/// a body send one.
const EMPTY_LINES_MAX: u8 = 2;

/// Offsets into the head are 32 bits wide, whatever the configured limit.
const HEAD_BYTES_MAX: usize = u32::MAX as usize;

#[cfg(test)]
mod tests;
