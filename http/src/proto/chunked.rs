//! The chunked transfer coding (RFC 9112 section 7.1): the framing of a body that is sent, and a
//! decoder that takes bytes as they arrive.
//!
//! The caller gives the decoder the buffered bytes. The decoder says how many of them are framing,
//! and what follows: data of a chunk, the end, or bytes that have not arrived yet. It never sees
//! the data itself, so the reader of a body copies the data once, from the buffer to its
//! destination.
//!
//! The decoder looks at every byte of framing once. Strictness: sizes are hexadecimal digits only;
//! only CR LF ends a line; extensions follow their grammar and are ignored; trailers are header
//! lines. The bytes of extensions and of trailers are bounded over the whole body.

use std::io::Write;
use std::mem;

use http::{HeaderName, HeaderValue};

use super::chars::{is_token, token_end, value_end};
use super::encode::put_fields;
use super::fields::{Field, Headers};
use super::limits::Limits;
use super::refusal::{RefusalKind, push};

/// The decoder's position in a body.
#[derive(Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// Bytes that are left of the chunk; while the size is read, the size so far.
    left: u64,
    /// The sizes of all chunks so far, this one included.
    announced: u64,
    extension_bytes: usize,
    /// The trailer lines, each with its line end.
    trailers: Vec<u8>,
    trailer_fields: Vec<Field>,
}

/// The trailer fields of a body.
#[derive(Debug)]
pub(crate) struct Trailers {
    lines: Vec<u8>,
    fields: Vec<Field>,
}

impl Trailers {
    pub(crate) fn fields(&self) -> Headers<'_> {
        Headers::received(&self.lines, &self.fields)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    Size,
    /// After this many digits.
    Digits(u8),
    /// After whitespace behind the size or an extension: another extension must follow.
    Space,
    /// Behind a semicolon: a name must follow.
    Extension,
    Name,
    /// After whitespace behind a name: its value or another extension must follow.
    NameSpace,
    /// Behind an equals sign.
    Equals,
    Value,
    Quoted,
    /// Behind a backslash in quotes.
    Escaped,
    Unquoted,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, or of the empty line at the end.
    TrailerLine,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// What follows the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This many bytes of data, at least one, before the next framing. The caller tells the decoder
    /// with [`ChunkedDecoder::took`] how many of them it took.
    Data(u64),
    /// The body is complete.
    End,
    /// It depends on bytes that have not arrived yet.
    More,
}

impl ChunkedDecoder {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Size,
            left: 0,
            announced: 0,
            extension_bytes: 0,
            trailers: Vec::new(),
            trailer_fields: Vec::new(),
        }
    }

    /// Looks at `bytes`, which follow the bytes that were consumed before. Returns how many of them
    /// are framing, and what follows the framing.
    ///
    /// # Errors
    ///
    /// Why the body is refused, and at which position of `bytes`.
    pub(crate) fn next(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<(usize, Next), (RefusalKind, usize)> {
        for (at, &byte) in bytes.iter().enumerate() {
            match self.state {
                State::Data => return Ok((at, Next::Data(self.left))),
                State::End => return Ok((at, Next::End)),
                _ => self.step(byte, limits).map_err(|kind| (kind, at))?,
            }
        }
        let next = match self.state {
            State::Data => Next::Data(self.left),
            State::End => Next::End,
            _ => Next::More,
        };
        Ok((bytes.len(), next))
    }

    /// The caller took `count` bytes of the chunk's data.
    pub(crate) fn took(&mut self, count: u64) {
        debug_assert!(self.state == State::Data && count <= self.left, "more than there is");
        self.left -= count;
        if self.left == 0 {
            self.state = State::DataCr;
        }
    }

    /// Whether the body has ended.
    pub(crate) fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// The trailers, if there are any, once the body is complete.
    pub(crate) fn take_trailers(&mut self) -> Option<Trailers> {
        let fields = mem::take(&mut self.trailer_fields);
        (!fields.is_empty()).then(|| Trailers { lines: mem::take(&mut self.trailers), fields })
    }

    #[allow(clippy::match_same_arms)] // the states are in the order of a body
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<(), RefusalKind> {
        self.state = match (self.state, byte) {
            (State::Size | State::Digits(_), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.digit(byte)?
            }
            (State::Digits(_) | State::Name | State::Value | State::Unquoted, b'\r') => {
                State::SizeLf
            }
            (
                State::Digits(_)
                | State::Space
                | State::Extension
                | State::Name
                | State::NameSpace
                | State::Equals
                | State::Value
                | State::Quoted
                | State::Escaped
                | State::Unquoted,
                _,
            ) => self.extension(byte, limits)?,
            (State::SizeLf, b'\n') => self.size(limits)?,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerLine, b'\r') => State::EndLf,
            (State::TrailerLine | State::Trailer, _) if byte != b'\r' && byte != b'\n' => {
                self.trailer(byte, limits, State::Trailer)?
            }
            (State::Trailer, b'\r') => self.trailer(byte, limits, State::TrailerLf)?,
            (State::TrailerLf, b'\n') => self.trailer(byte, limits, State::TrailerLine)?,
            (State::EndLf, b'\n') => self.end(limits)?,
            (State::TrailerLine | State::Trailer | State::TrailerLf | State::EndLf, _) => {
                return Err(RefusalKind::LineEnd);
            }
            _ => return Err(RefusalKind::Chunk),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<State, RefusalKind> {
        let digits = if let State::Digits(digits) = self.state { digits } else { 0 };
        // A 64-bit number has this many digits. A longer size is too large for any body, or padded.
        if digits == DIGITS_MAX {
            return Err(RefusalKind::Chunk);
        }
        let value = (byte as char).to_digit(16).unwrap_or(0);
        self.left = self.left << 4 | u64::from(value);
        Ok(State::Digits(digits + 1))
    }

    /// The size line is complete.
    fn size(&mut self, limits: &Limits) -> Result<State, RefusalKind> {
        if self.left == 0 {
            return Ok(State::TrailerLine);
        }
        self.announced = self.announced.saturating_add(self.left);
        if self.announced > limits.body_bytes {
            return Err(RefusalKind::BodyBytes);
        }
        Ok(State::Data)
    }

    /// The trailers are complete: checks them.
    fn end(&mut self, limits: &Limits) -> Result<State, RefusalKind> {
        let (bytes, mut line) = (&self.trailers[..], 0);
        while line < bytes.len() {
            let name_end = token_end(bytes, line);
            if name_end == line || bytes[name_end] != b':' {
                return Err(RefusalKind::FieldName);
            }
            let name = &bytes[line..name_end];
            if is_one_of(&OF_THE_MESSAGE, name) {
                return Err(RefusalKind::TrailerField);
            }
            if self.trailer_fields.len() >= limits.fields {
                return Err(RefusalKind::Fields);
            }
            let line_end = value_end(bytes, name_end + 1);
            if bytes[line_end] != b'\r' {
                return Err(RefusalKind::FieldValue);
            }
            let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
            let value = &bytes[name_end + 1..line_end];
            let start = value.iter().position(|byte| !is_space(byte)).unwrap_or(value.len());
            let end = value.iter().rposition(|byte| !is_space(byte)).map_or(start, |at| at + 1);
            let from = name_end + 1;
            // A handler that merged such a trailer with the head would act on a field that was not
            // checked with the head.
            if !is_one_of(&OF_THE_HEAD, name) {
                let field = Field::new(line..name_end, from + start..from + end);
                push(&mut self.trailer_fields, field)?;
            }
            line = line_end + 2;
        }
        Ok(State::End)
    }

    /// A byte behind a size: `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
    fn extension(&mut self, byte: u8, limits: &Limits) -> Result<State, RefusalKind> {
        let next = match (self.state, byte) {
            (State::Digits(_) | State::Space | State::Value | State::Unquoted, b' ' | b'\t') => {
                State::Space
            }
            (
                State::Digits(_)
                | State::Space
                | State::Name
                | State::NameSpace
                | State::Value
                | State::Unquoted,
                b';',
            ) => State::Extension,
            (State::Name | State::NameSpace, b' ' | b'\t') => State::NameSpace,
            (State::Name | State::NameSpace, b'=') => State::Equals,
            (state @ (State::Extension | State::Equals), b' ' | b'\t') => state,
            (State::Extension | State::Name, _) if is_token(byte) => State::Name,
            (State::Equals, b'"') => State::Quoted,
            (State::Equals | State::Value, _) if is_token(byte) => State::Value,
            (State::Quoted, b'"') => State::Unquoted,
            (State::Quoted, b'\\') => State::Escaped,
            (State::Quoted | State::Escaped, b'\t' | b' '..=b'~' | 0x80..) => State::Quoted,
            _ => return Err(RefusalKind::Chunk),
        };
        self.extension_bytes += 1;
        if self.extension_bytes > limits.chunk_extension_bytes {
            return Err(RefusalKind::ChunkExtensionBytes);
        }
        Ok(next)
    }

    fn trailer(&mut self, byte: u8, limits: &Limits, next: State) -> Result<State, RefusalKind> {
        if self.trailers.len() >= limits.trailer_bytes.min(TRAILER_BYTES_MAX) {
            return Err(RefusalKind::TrailerBytes);
        }
        push(&mut self.trailers, byte)?;
        Ok(next)
    }
}

/// Makes room for the size line of a chunk; returns where the chunk's data begins.
pub(crate) fn begin_chunk(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; SIZE_LINE_BYTES]);
    out.len()
}

/// Ends a chunk whose data begins at `start`: writes the size line in front of the data. An empty
/// chunk would end the body, so it is removed. The data is shorter than 64 KiB.
#[cold]
pub(crate) fn end_chunk(out: &mut Vec<u8>, start: usize) {
    let line = start - SIZE_LINE_BYTES;
    let size = out.len() - start;
    if size == 0 {
        return out.truncate(line);
    }
    let mut digits = Vec::with_capacity(SIZE_LINE_BYTES);
    put_chunk_size(&mut digits, size as u64);
    debug_assert!(digits.len() <= SIZE_LINE_BYTES, "a chunk that is too long");
    out.splice(line..start, digits);
    out.extend_from_slice(b"\r\n");
}

/// Appends the size line of a chunk.
pub(crate) fn put_chunk_size(out: &mut Vec<u8>, size: u64) {
    let _ = write!(out, "{size:x}\r\n"); // a vector takes everything
}

/// Appends the last chunk of a body, and its trailers.
pub(crate) fn put_last_chunk(out: &mut Vec<u8>, trailers: &[(HeaderName, HeaderValue)]) {
    out.extend_from_slice(b"0\r\n");
    put_fields(out, trailers);
    out.extend_from_slice(b"\r\n");
}

/// Whether a field with this name must not be a trailer (RFC 9110 section 6.5.1).
pub(crate) fn is_forbidden_trailer(name: &[u8]) -> bool {
    is_one_of(&OF_THE_MESSAGE, name) || is_one_of(&OF_THE_HEAD, name)
}

fn is_one_of(names: &[&[u8]], name: &[u8]) -> bool {
    names.iter().any(|other| name.eq_ignore_ascii_case(other))
}

/// The fields that say where the message ends or goes. They must be known before the body, and two
/// parties could disagree on whether such a trailer counts. A request with one is refused.
const OF_THE_MESSAGE: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];

/// Other fields that must be known before the body is handled. If a client sends one as a trailer,
/// it is ignored.
const OF_THE_HEAD: [&[u8]; 50] = [
    // About the connection.
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"upgrade",
    b"http2-settings",
    b"proxy-authentication-info",
    b"via",
    // About the client, as proxies tell it.
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"x-client-ip",
    b"client-ip",
    b"x-cluster-client-ip",
    b"x-original-forwarded-for",
    b"true-client-ip",
    b"cf-connecting-ip",
    b"cf-connecting-ipv6",
    b"cf-pseudo-ipv4",
    b"fastly-client-ip",
    // About the handling of the request.
    b"cache-control",
    b"expect",
    b"if-match",
    b"if-modified-since",
    b"if-none-match",
    b"if-range",
    b"if-unmodified-since",
    b"max-forwards",
    b"pragma",
    b"range",
    // About the client.
    b"authorization",
    b"cookie",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"set-cookie",
    b"www-authenticate",
    // About the handling of the response.
    b"age",
    b"date",
    b"expires",
    b"location",
    b"retry-after",
    b"vary",
    b"warning",
    // About the body.
    b"content-encoding",
    b"content-location",
    b"content-range",
    b"content-type",
];

/// Offsets into the trailers are 32 bits wide, whatever the configured limit.
const TRAILER_BYTES_MAX: usize = u32::MAX as usize;

/// Room for four digits and a line end.
const SIZE_LINE_BYTES: usize = 6;

/// Digits of a chunk's size, leading zeros included.
const DIGITS_MAX: u8 = 16;

#[cfg(test)]
mod tests;
