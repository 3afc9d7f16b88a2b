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
//! Each line is looked at quickly first. The quick look knows the lines that nearly all clients
//! send, and has an answer for no other: a line that it does not know is read byte by byte, which
//! decides whether it is good, refused or incomplete. What the quick look accepts, the other reader
//! accepts, and finds the same in it.
//!
//! Strictness: only CR LF ends a line; no whitespace before a colon; no folded lines; no control
//! bytes. [`super::chars`] has the sets of bytes, and [`super::framing`] the rules for lengths.
//! [`super::gap`] skips the empty lines before a request; the parser never sees them.

mod memory;

use std::mem;

use http::Method;

use super::chars::{token_end, value_end};
use super::fields::{Field, slice, span};
use super::framing::{BodyLength, KnownHost, RequestFraming, is_authority};
use super::limits::Limits;
use super::refusal::{Refusal, RefusalKind, push};
use super::scan::{Scanner, chunk_at, name_end, target_ends, usual_target_ends};

pub(crate) use memory::HeadMemory;

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
    /// `None` unless a part of a head has arrived.
    progress: Option<Progress>,
    known_host: KnownHost,
}

/// How far a head is parsed.
#[derive(Debug, Default)]
struct Progress {
    /// `line <= searched`
    line: u32,
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
    #[inline(never)]
    pub(crate) fn parse(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        head: &mut Head,
    ) -> Result<bool, Refusal> {
        // Then the compiler knows that positions do not overflow, and leaves checks out.
        let bytes = bytes.get(..HEAD_BYTES_MAX).unwrap_or(bytes);
        let (mut line, mut framing) = (0, RequestFraming::default());
        if self.progress.is_some() {
            match self.resume(bytes, limits, head)? {
                Some(start) => (line, framing) = start,
                None => return Ok(false),
            }
        }
        let mut scanner = Scanner::new(bytes, line);
        if line == 0 {
            line = match usual_request_line(bytes, limits, head) {
                Some(next) => next,
                None => match plain_request_line(bytes, limits, head) {
                    Ok(Some(next)) => next,
                    Ok(None) => {
                        return self.wait_for_more(Progress::default(), bytes, limits, head);
                    }
                    Err(refusal) => return Err(refuse_request_line(refusal, bytes, head)),
                },
            };
            head.fields.clear();
        }
        let end = loop {
            match usual_line(&mut scanner, line) {
                Usual::Line(found) => {
                    self.add(bytes, line, found, limits, head, &mut framing)?;
                    line = found.line_end + 2;
                }
                Usual::End => break line + 2,
                Usual::Unusual => {
                    match self.add_plain_line(bytes, line, limits, head, &mut framing)? {
                        Some(next) => line = next,
                        None => return Ok(false),
                    }
                }
            }
        };
        finish(end, &framing, limits, head)?;
        Ok(true)
    }

    /// Adds a field, and records what it says.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn add(
        &mut self,
        bytes: &[u8],
        line: u32,
        found: FieldLine,
        limits: &Limits,
        head: &mut Head,
        framing: &mut RequestFraming,
    ) -> Result<(), Refusal> {
        let FieldLine { name_end, value, value_end, line_end } = found;
        if (line_end - line) as usize > limits.field_line_bytes {
            return Err(RefusalKind::FieldLineBytes.at(line as usize));
        }
        if head.fields.len() >= limits.fields {
            return Err(RefusalKind::Fields.at(line as usize));
        }
        let (name, value) = ((line, name_end), (value, value_end));
        if RequestFraming::may_have_meaning(name_end - line, bytes[line as usize]) {
            framing
                .record(slice(bytes, name), slice(bytes, value), &mut self.known_host)
                .map_err(|kind| kind.at(value.0 as usize))?;
        }
        push(&mut head.fields, Field { name, value }).map_err(|kind| kind.at(line as usize))
    }

    /// Adds the field of a line that is read byte by byte, and returns where the next line begins.
    /// `None` if the line has not ended.
    #[cold]
    #[inline(never)]
    fn add_plain_line(
        &mut self,
        bytes: &[u8],
        line: u32,
        limits: &Limits,
        head: &mut Head,
        framing: &mut RequestFraming,
    ) -> Result<Option<u32>, Refusal> {
        let Some(found) = plain_line(bytes, line)? else {
            let framing = mem::take(framing);
            let progress = Progress { line, searched: 0, in_fields: true, framing };
            return self.wait_for_more(progress, bytes, limits, head).map(|_| None);
        };
        self.add(bytes, line, found, limits, head, framing)?;
        Ok(Some(found.line_end + 2))
    }

    /// Takes up a head of which a part has been parsed: the line that is next, and what the lines
    /// before it say. `None` if that line has not ended yet.
    #[cold]
    #[inline(never)]
    fn resume(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        head: &mut Head,
    ) -> Result<Option<(u32, RequestFraming)>, Refusal> {
        let progress = self.progress.take().unwrap_or_default();
        if progress.is_line_going_on(bytes) {
            return self.wait_for_more(progress, bytes, limits, head).map(|_| None);
        }
        Ok(Some((progress.line, progress.framing)))
    }

    /// Whether a part of a head has arrived.
    #[inline]
    pub(crate) fn is_within_head(&self) -> bool {
        self.progress.is_some()
    }

    /// Drops the current head, and is ready for the next one.
    pub(crate) fn forget(&mut self) {
        self.progress = None;
    }

    /// Records how far the search went; refuses a line that is too long already.
    #[cold]
    fn wait_for_more(
        &mut self,
        progress: Progress,
        bytes: &[u8],
        limits: &Limits,
        head: &mut Head,
    ) -> Result<bool, Refusal> {
        // A CR at the end may be part of the line end, which does not count.
        let line = &bytes[progress.line as usize..];
        let line_bytes = line.len() - usize::from(line.ends_with(b"\r"));
        let (limit, kind) = if progress.in_fields {
            (limits.field_line_bytes, RefusalKind::FieldLineBytes)
        } else {
            (limits.request_line_bytes, RefusalKind::RequestLineBytes)
        };
        let is_within = if line_bytes > limit {
            Err(kind.at(progress.line as usize))
        } else {
            // At least one more byte of the head has to arrive.
            check_head_bytes(bytes.len() + 1, limits.head_bytes.min(HEAD_BYTES_MAX))
        };
        if let Err(refusal) = is_within {
            let is_in_fields = progress.in_fields;
            return Err(if is_in_fields {
                refusal
            } else {
                refuse_request_line(refusal, bytes, head)
            });
        }
        self.progress = Some(Progress { searched: bytes.len(), ..progress });
        Ok(false)
    }
}

impl Progress {
    /// Whether the line that had not ended has not ended yet.
    fn is_line_going_on(&self, bytes: &[u8]) -> bool {
        // The search begins at the last old byte: it may be a CR without its LF.
        self.searched > self.line as usize
            && memchr::memchr2(b'\r', b'\n', &bytes[self.searched - 1..]).is_none()
    }
}

/// The parts of a header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FieldLine {
    name_end: u32,
    /// Where the value begins and ends, without the blanks around it.
    value: u32,
    value_end: u32,
    /// The position of the CR.
    line_end: u32,
}

/// What the quick look at a line finds.
enum Usual {
    Line(FieldLine),
    /// The empty line.
    End,
    /// Anything else: a fault, or a line that is written in an unusual way, or has not ended.
    Unusual,
}

/// A quick look at the line that begins at `line`. It knows the lines that nearly all clients
/// send: a name of letters and hyphens, a colon, one space, and a value of visible ASCII and
/// spaces that does not begin or end with a space.
#[inline]
fn usual_line(scanner: &mut Scanner<'_>, line: u32) -> Usual {
    let bytes = scanner.bytes();
    if chunk_at(bytes, line) == Some(b"\r\n") {
        return Usual::End;
    }
    let name_end = name_end(bytes, line);
    // This does not depend on the name's end, so the processor finds both at the same time.
    let line_end = scanner.value_end(line);
    if name_end <= line {
        return Usual::Unusual;
    }
    let Some([colon @ .., first]) = chunk_at::<3>(bytes, name_end) else { return Usual::Unusual };
    let value = name_end + 2;
    if colon != b": " || *first == b' ' || value >= line_end {
        return Usual::Unusual;
    }
    match chunk_at::<3>(bytes, line_end - 1) {
        Some([last, end @ ..]) if end == b"\r\n" && *last != b' ' => {
            Usual::Line(FieldLine { name_end, value, value_end: line_end, line_end })
        }
        _ => Usual::Unusual,
    }
}

/// The header line that begins at `line`, byte by byte; `None` if it has not ended, or that depends
/// on later bytes.
#[cold]
#[inline(never)]
fn plain_line(bytes: &[u8], line: u32) -> Result<Option<FieldLine>, Refusal> {
    let line = line as usize;
    let name_end = token_end(bytes, line);
    if name_end == line || bytes.get(name_end) != Some(&b':') {
        return match &bytes[line..] {
            [] | [b'\r'] => Ok(None),
            _ if name_end == bytes.len() => Ok(None),
            _ => Err(RefusalKind::FieldName.at(name_end)),
        };
    }
    let mut value = name_end + 1;
    while let Some(b' ' | b'\t') = bytes.get(value) {
        value += 1;
    }
    let line_end = value_end(bytes, value);
    match bytes.get(line_end..).unwrap_or_default() {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => return Ok(None),
        [b'\r' | b'\n', ..] => return Err(RefusalKind::LineEnd.at(line_end)),
        _ => return Err(RefusalKind::FieldValue.at(line_end)),
    }
    let mut value_end = line_end;
    while value_end > value && matches!(bytes[value_end - 1], b' ' | b'\t') {
        value_end -= 1;
    }
    let ((_, name_end), (value, value_end)) = (span(line..name_end), span(value..value_end));
    Ok(Some(FieldLine { name_end, value, value_end, line_end: span(0..line_end).1 }))
}

/// A quick look at the request line of a GET whose target is a path, in HTTP/1.1. Returns where the
/// next line begins; `None` for any other line, and for one beyond a limit.
#[inline]
fn usual_request_line(bytes: &[u8], limits: &Limits, head: &mut Head) -> Option<u32> {
    let [method @ .., slash] = chunk_at::<5>(bytes, 0)?;
    if method != b"GET " || *slash != b'/' {
        return None;
    }
    let target = 4;
    let (query, target_end) = usual_target_ends(bytes, target)?;
    let version = chunk_at::<11>(bytes, target_end)?;
    // Two comparisons of eight bytes, which overlap.
    if version.first_chunk() != Some(b" HTTP/1.") || version.last_chunk() != Some(b"TP/1.1\r\n") {
        return None;
    }
    let line_end = target_end + 9;
    if line_end as usize > limits.request_line_bytes || check_head(line_end + 2, limits).is_err() {
        return None;
    }
    head.method = Method::GET;
    head.minor = 1;
    head.target = (target, target_end);
    head.path = (target, query);
    Some(line_end + 2)
}

/// Parses the request line and returns where the next line begins; `None` if the line has not
/// ended.
#[inline(never)]
fn plain_request_line(
    bytes: &[u8],
    limits: &Limits,
    head: &mut Head,
) -> Result<Option<u32>, Refusal> {
    let Some((method, method_end)) = method(bytes)? else { return Ok(None) };
    let target = method_end + 1;
    let (query, target_end) = target_ends(bytes, target);
    match bytes.get(target_end) {
        None => return Ok(None),
        Some(b' ') if target_end > target => {}
        Some(_) => return Err(RefusalKind::Target.at(target_end)),
    }
    let Some(version) = bytes[target_end + 1..].first_chunk() else {
        check_partial_version(&bytes[target_end + 1..], target_end + 1)?;
        return Ok(None);
    };
    let minor = version_minor(version, target_end + 1)?;
    let line_end = target_end + 9;
    if line_end > limits.request_line_bytes {
        return Err(RefusalKind::RequestLineBytes.at(0));
    }
    let next = span(0..line_end + 2).1;
    check_head(next, limits)?;
    let path = if bytes[target] == b'/' && method != Method::CONNECT {
        target
    } else {
        let path = path_of(&method, &bytes[target..target_end]);
        target + path.ok_or(RefusalKind::Target.at(target))?
    };
    head.method = method;
    head.minor = minor;
    head.target = span(target..target_end);
    head.path = span(path..query);
    Ok(Some(next))
}

/// The refusal of a request line, of which perhaps only the beginning has arrived. The code that
/// writes the refusal needs to know whether the request was a HEAD.
#[cold]
fn refuse_request_line(refusal: Refusal, bytes: &[u8], head: &mut Head) -> Refusal {
    head.method = if bytes.starts_with(b"HEAD ") { Method::HEAD } else { Method::GET };
    refusal
}

/// The end of the head, whose fields are all known.
#[inline]
fn finish(
    end: u32,
    framing: &RequestFraming,
    limits: &Limits,
    head: &mut Head,
) -> Result<(), Refusal> {
    check_head(end, limits)?;
    let end = end as usize;
    if framing.is_usual() && head.minor > 0 {
        head.body = BodyLength::Known(0);
        (head.keep_alive, head.expect_continue, head.end) = (true, false, end);
        return Ok(());
    }
    finish_unusual(end, framing, limits, head)
}

/// As [`finish`], for a request with a body, or one that says more about its connection.
#[cold]
#[inline(never)]
fn finish_unusual(
    end: usize,
    framing: &RequestFraming,
    limits: &Limits,
    head: &mut Head,
) -> Result<(), Refusal> {
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

/// The method, and where it ends; `None` if the bytes end in it.
fn method(bytes: &[u8]) -> Result<Option<(Method, usize)>, Refusal> {
    let end = token_end(bytes, 0);
    match bytes.get(end) {
        None => return Ok(None),
        Some(b' ') if end > 0 => {}
        Some(_) => return Err(RefusalKind::Method.at(end)),
    }
    let method = Method::from_bytes(&bytes[..end]).map_err(|_| RefusalKind::Method.at(0))?;
    Ok(Some((method, end)))
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
fn check_head(head_bytes: u32, limits: &Limits) -> Result<(), Refusal> {
    check_head_bytes(head_bytes as usize, limits.head_bytes)
}

#[inline]
fn check_head_bytes(head_bytes: usize, limit: usize) -> Result<(), Refusal> {
    if head_bytes > limit { Err(RefusalKind::HeadBytes.at(head_bytes)) } else { Ok(()) }
}

const VERSION_1_1: &[u8; 10] = b"HTTP/1.1\r\n";

/// Offsets into the head are 32 bits wide, whatever the configured limit, and so are those of the
/// vectors that begin in it.
const HEAD_BYTES_MAX: usize = u32::MAX as usize - 64;

#[cfg(test)]
mod tests;
