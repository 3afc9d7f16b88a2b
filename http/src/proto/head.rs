//! The request head: a resumable parser that reads every byte about once.
//!
//! The parser is called with all bytes of the head so far, and remembers where it stands:
//!
//! ```text
//!   parsed lines          | the line it is in        | not looked at
//!   0 ................ line ............... searched ............ length
//! ```
//!
//! A line is parsed when it is complete. Usually the whole head has arrived, and each line is
//! parsed at once. If the bytes end within a line, the next call searches only the new bytes for
//! the line's end. It parses the line once more when the CR of its end has arrived, and again when
//! the LF has. So a head that arrives byte by byte costs time linear in its length.
//!
//! Strictness: only CR LF ends a line; no whitespace before a colon; no folded lines; no control
//! bytes. [`super::chars`] has the sets of bytes, and [`super::framing`] the rules for lengths.
//! [`super::gap`] skips the empty lines before a request; the parser never sees them.

use http::Method;

use super::chars::token_end;
use super::fields::{Field, span};
use super::framing::{BodyLength, KnownHost, RequestFraming, is_authority};
use super::limits::Limits;
use super::refusal::{Refusal, RefusalKind, push};
use super::scan::{Scanner, target_ends};

/// A parsed request head; offsets count from its first byte. The parser fills it in place, and the
/// next request uses it again.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// The request target as it stands on the request line.
    pub(crate) target: (u32, u32),
    /// The path within the target; empty for an absolute target without a path.
    pub(crate) path: (u32, u32),
    pub(crate) fields: Vec<Field>,
    /// The minor version, 0 or 1; a higher one is served as 1.
    pub(crate) minor: u8,
    pub(crate) keep_alive: bool,
    pub(crate) expect_continue: bool,
    pub(crate) body: BodyLength,
    /// Where the body begins.
    pub(crate) end: usize,
}

/// The parser, with its progress through the current head; see the module.
#[derive(Debug, Default)]
pub(crate) struct HeadParser {
    progress: Progress,
    known_host: KnownHost,
}

/// How far a head is parsed.
#[derive(Debug, Default)]
struct Progress {
    /// `line <= searched`, unless a line was parsed since the last search.
    line: usize,
    searched: usize,
    /// The request line is parsed, and `line` is a header line or the head's end.
    in_fields: bool,
    framing: RequestFraming,
}

impl HeadParser {
    /// Parses the bytes of a head that have arrived so far; true when the head is complete.
    ///
    /// `bytes` holds the same bytes as at the last call, and perhaps more behind them. `head` is
    /// filled step by step. After true or an error the parser is ready for the next head.
    ///
    /// # Errors
    ///
    /// The refusal that the client gets as its answer.
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        head: &mut Head,
    ) -> Result<bool, Refusal> {
        let result = self.progress.advance(bytes, limits, head, &mut self.known_host);
        if result.is_err() && !self.progress.in_fields {
            // Perhaps the line was only searched for its end so far. The code that writes the
            // refusal needs to know whether the request was a HEAD.
            let is_head = bytes[self.progress.line..].starts_with(b"HEAD ");
            head.method = if is_head { Method::HEAD } else { Method::GET };
        }
        if !matches!(result, Ok(false)) {
            self.progress = Progress::default();
        }
        result
    }

    /// Drops the current head, and is ready for the next one.
    pub(crate) fn forget(&mut self) {
        self.progress = Progress::default();
    }
}

impl Progress {
    fn advance(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        head: &mut Head,
        known_host: &mut KnownHost,
    ) -> Result<bool, Refusal> {
        // The search begins at the last old byte: it may be a CR without its LF.
        let is_line_going_on = self.searched > self.line
            && memchr::memchr2(b'\r', b'\n', &bytes[self.searched - 1..]).is_none();
        if is_line_going_on {
            return self.wait_for_more(bytes, limits);
        }
        // It does not begin behind the request line: so the processor can load the first block
        // before it knows where that line ends.
        let mut scanner = Scanner::new(bytes, self.line);
        if !self.in_fields {
            let Some(next) = self.request_line(bytes, limits, head)? else {
                return self.wait_for_more(bytes, limits);
            };
            head.fields.clear();
            (self.line, self.in_fields) = (next, true);
        }
        let mut line = self.line;
        loop {
            let name_end = scanner.token_end(line);
            if name_end == line || bytes.get(name_end) != Some(&b':') {
                if !is_fields_end(bytes, line, name_end)? {
                    self.line = line;
                    return self.wait_for_more(bytes, limits);
                }
                return self.finish(line + 2, limits, head).map(|()| true);
            }
            let mut value = name_end + 1;
            while let Some(b' ' | b'\t') = bytes.get(value) {
                value += 1;
            }
            let line_end = scanner.value_end(value);
            if !is_line_end(bytes, line_end)? {
                self.line = line;
                return self.wait_for_more(bytes, limits);
            }
            if line_end - line > limits.field_line_bytes {
                return Err(RefusalKind::FieldLineBytes.at(line));
            }
            if head.fields.len() >= limits.fields {
                return Err(RefusalKind::Fields.at(line));
            }
            let mut value_end = line_end;
            while value_end > value && matches!(bytes[value_end - 1], b' ' | b'\t') {
                value_end -= 1;
            }
            let (name, trimmed) = (&bytes[line..name_end], &bytes[value..value_end]);
            if let Err(kind) = self.framing.record(name, trimmed, known_host) {
                return Err(kind.at(value));
            }
            let field = Field::new(line..name_end, value..value_end);
            push(&mut head.fields, field).map_err(|kind| kind.at(line))?;
            line = line_end + 2;
        }
    }

    /// Records how far the search went; refuses a line that is too long already.
    #[cold]
    fn wait_for_more(&mut self, bytes: &[u8], limits: &Limits) -> Result<bool, Refusal> {
        self.searched = bytes.len();
        // A CR at the end may be part of the line end, which does not count.
        let line = &bytes[self.line..];
        let line_bytes = line.len() - usize::from(line.ends_with(b"\r"));
        let (limit, kind) = if self.in_fields {
            (limits.field_line_bytes, RefusalKind::FieldLineBytes)
        } else {
            (limits.request_line_bytes, RefusalKind::RequestLineBytes)
        };
        if line_bytes > limit {
            return Err(kind.at(self.line));
        }
        // At least one more byte of the head has to arrive.
        check_head(bytes.len() + 1, limits)?;
        Ok(false)
    }

    /// Parses the request line and returns where the next line begins, if it is complete.
    fn request_line(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        head: &mut Head,
    ) -> Result<Option<usize>, Refusal> {
        let line = self.line;
        head.method = Method::GET;
        let method_end = if bytes[line..].starts_with(b"GET ") {
            line + 3
        } else {
            match method(bytes, line)? {
                Some((method, end)) => {
                    head.method = method;
                    end
                }
                None => return Ok(None),
            }
        };
        let target = method_end + 1;
        let (query, target_end) = target_ends(bytes, target);
        match bytes.get(target_end) {
            None => return Ok(None),
            Some(b' ') if target_end > target => {}
            Some(_) => return Err(RefusalKind::Target.at(target_end)),
        }
        let Some(version) = bytes[target_end + 1..].first_chunk::<10>() else {
            check_partial_version(&bytes[target_end + 1..], target_end + 1)?;
            return Ok(None);
        };
        head.minor =
            if version == VERSION_1_1 { 1 } else { version_minor(version, target_end + 1)? };
        let line_end = target_end + 9;
        if line_end - line > limits.request_line_bytes {
            return Err(RefusalKind::RequestLineBytes.at(line));
        }
        check_head(line_end + 2, limits)?;
        let path = if bytes[target] == b'/' && head.method != Method::CONNECT {
            target
        } else {
            let path = path_of(&head.method, &bytes[target..target_end]);
            target + path.ok_or(RefusalKind::Target.at(target))?
        };
        head.target = span(target..target_end);
        head.path = span(path..query);
        Ok(Some(line_end + 2))
    }

    fn finish(&mut self, end: usize, limits: &Limits, head: &mut Head) -> Result<(), Refusal> {
        check_head(end, limits)?;
        let framing = &self.framing;
        head.body = framing.body(head.minor, limits).map_err(|kind| kind.at(end))?;
        head.keep_alive = !framing.close && (head.minor > 0 || framing.keep_alive);
        // RFC 9110 section 10.1.1: the expectation of a 1.0 client must be ignored.
        let has_body = head.body != BodyLength::Known(0);
        if has_body && head.method == Method::CONNECT {
            return Err(RefusalKind::ConnectBody.at(end));
        }
        head.expect_continue = framing.expect_continue && head.minor > 0 && has_body;
        head.end = end;
        Ok(())
    }
}

/// The method that begins at `line`, and where it ends; `None` if the bytes end in it.
fn method(bytes: &[u8], line: usize) -> Result<Option<(Method, usize)>, Refusal> {
    let end = token_end(bytes, line);
    match bytes.get(end) {
        None => return Ok(None),
        Some(b' ') if end > line => {}
        Some(_) => return Err(RefusalKind::Method.at(end)),
    }
    let method = Method::from_bytes(&bytes[line..end]).map_err(|_| RefusalKind::Method.at(line))?;
    Ok(Some((method, end)))
}

/// Whether the head ends at a line that is no header line; false if that depends on later bytes.
fn is_fields_end(bytes: &[u8], line: usize, name_end: usize) -> Result<bool, Refusal> {
    match &bytes[line..] {
        [b'\r', b'\n', ..] => Ok(true),
        [] | [b'\r'] => Ok(false),
        _ if name_end == bytes.len() => Ok(false),
        _ => Err(RefusalKind::FieldName.at(name_end)),
    }
}

/// Whether a header line ends there; false if that depends on later bytes.
#[inline]
fn is_line_end(bytes: &[u8], at: usize) -> Result<bool, Refusal> {
    match bytes.get(at..).unwrap_or_default() {
        [b'\r', b'\n', ..] => Ok(true),
        [] | [b'\r'] => Ok(false),
        [b'\r' | b'\n', ..] => Err(RefusalKind::LineEnd.at(at)),
        _ => Err(RefusalKind::FieldValue.at(at)),
    }
}

/// The minor version of `HTTP/1.x` CR LF.
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

/// Checks fewer bytes than a version and its line end have: an error if they are already wrong.
fn check_partial_version(bytes: &[u8], at: usize) -> Result<(), Refusal> {
    let is_good = |(byte, expected): (&u8, &u8)| {
        byte == expected || (expected.is_ascii_digit() && byte.is_ascii_digit())
    };
    if !bytes.iter().zip(&VERSION_1_1[..8]).all(is_good) {
        return Err(RefusalKind::VersionSyntax.at(at));
    }
    match bytes.get(8) {
        None | Some(b'\r') => Ok(()),
        Some(_) => Err(RefusalKind::LineEnd.at(at + 8)),
    }
}

/// Where the path begins in a request target, if the target has a form that the method allows
/// (RFC 9112 section 3.2). The caller has handled the origin form.
fn path_of(method: &Method, target: &[u8]) -> Option<usize> {
    if method == Method::CONNECT {
        // authority-form, which has no path; the port may not be left out.
        let port = target.rsplit(|&byte| byte == b':').next().unwrap_or_default();
        let is_good = is_authority(target) && port.len() < target.len() && !port.is_empty();
        return (is_good && port.iter().all(u8::is_ascii_digit)).then_some(target.len());
    }
    if target == b"*" {
        return (method == Method::OPTIONS).then_some(0);
    }
    // absolute-form, with the schemes of an HTTP server only.
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

const VERSION_1_1: &[u8; 10] = b"HTTP/1.1\r\n";

/// Offsets into the head are 32 bits wide, whatever the configured limit.
const HEAD_BYTES_MAX: usize = u32::MAX as usize;

#[cfg(test)]
mod tests;
