//! The body of a request behind its content codings (RFC 9110 section 8.4).

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use http::{StatusCode, header};
use straightline_sched::checkpoint;

use super::decoders::{UNDERSTOOD, decoder, held_bytes};
use crate::body_error::BodyError;
use crate::message::{Problem, Request};

/// The body of a request, without the codings that `Content-Encoding` lists, from
/// [`RequestExt::decoded_body`](crate::web::RequestExt::decoded_body). A body without a coding is
/// read as it is, at no cost.
///
/// A few bytes may decode to many: the coding decides how many, up to some ten thousand to one. So
/// the decoded bytes have a bound, and are never held: a decoder holds its window alone, at most
/// 32 KiB for `gzip` and `deflate`, 16 MiB for `br` and 8 MiB for `zstd`, and the server's budget
/// of memory ([`Capacity::memory_bytes`](crate::Capacity::memory_bytes)) accounts for it. A frame
/// of `zstd` or a stream of `br` that needs a larger window is malformed. Decoding gives the thread
/// back as a [`checkpoint`](crate::sched::checkpoint) does.
///
/// Decoded are `gzip` (also of several members), `x-gzip` and `deflate` with the feature `gzip`,
/// `br` with the feature `brotli`, and `zstd` with the feature `zstd`. A body with several codings,
/// one inside of another, is refused with a 415: a few bytes of the outer one can be gigabytes of
/// an inner one that decodes to nothing.
///
/// # Blocking
///
/// A read is a yield point, as for [the body](crate::Body#blocking); if the body is decoded, also
/// when the fiber's share of the thread is used up.
///
/// # Errors
///
/// The errors of a read carry a [`BodyError`]: [`TooLong`](BodyError::TooLong) beyond the bound,
/// [`Malformed`](BodyError::Malformed) if the bytes are not of their coding, end too early, or go
/// on behind its end, and otherwise the reason why the body could not be read.
///
/// ```
/// use straightline::web::RequestExt;
/// use straightline::{Problem, Request};
///
/// fn length(request: &mut Request) -> Result<String, Problem> {
///     let bytes = request.decoded_body(1 << 20)?.read_to_vec()?;
///     Ok(format!("{} bytes\n", bytes.len()))
/// }
/// ```
pub struct DecodedBody<'r> {
    request: &'r Request,
    reader: Box<dyn Read + 'r>,
    is_encoded: bool,
    bytes_max: u64,
    /// How many of the `bytes_max` bytes may still come.
    left: u64,
}

impl<'r> DecodedBody<'r> {
    /// The body of `request`, which may have `bytes_max` bytes when it is decoded.
    pub(in crate::web) fn of(request: &'r Request, bytes_max: u64) -> Result<Self, Problem> {
        let body = request.body();
        let names = codings(request)?;
        let is_encoded = !names.is_empty();
        if !is_encoded && body.remaining().is_some_and(|bytes| bytes > bytes_max) {
            return Err(BodyError::TooLong(bytes_max).into());
        }
        let mut reader: Box<dyn Read + 'r> = Box::new(body);
        // The last coding in the list was applied last.
        for name in names.into_iter().rev() {
            let has_room = request.link().try_hold(held_bytes(name));
            let decoder = if has_room { decoder(name, reader) } else { Err(no_memory()) };
            reader = decoder.map_err(|error| Problem::from(BodyError::from_body(&error)))?;
        }
        Ok(Self { request, reader, is_encoded, bytes_max, left: bytes_max })
    }

    /// Whether the body has a content coding. Not a yield point.
    pub fn is_encoded(&self) -> bool {
        self.is_encoded
    }

    /// Reads the whole rest of the body.
    ///
    /// # Blocking
    ///
    /// A yield point, as a [read](Self#blocking) is.
    ///
    /// # Errors
    ///
    /// As for a [read](Self#errors), and [`NoMemory`](BodyError::NoMemory).
    pub fn read_to_vec(&mut self) -> Result<Vec<u8>, BodyError> {
        if !self.is_encoded {
            return self.request.body().read_to_vec(self.left);
        }
        let mut bytes = Vec::new();
        let mut piece = vec![0; READ_BYTES_MAX];
        loop {
            let count = self.read(&mut piece).map_err(|error| BodyError::from_body(&error))?;
            if count == 0 {
                return Ok(bytes);
            }
            if bytes.capacity() - bytes.len() < count {
                // It becomes twice as large.
                let fits = self.request.link().try_hold(bytes.len() + count);
                let reserved = fits.then(|| bytes.try_reserve(count));
                reserved.and_then(Result::ok).ok_or(BodyError::NoMemory)?;
            }
            bytes.extend_from_slice(&piece[..count]);
        }
    }

    /// Writes the whole rest of the body to `writer`, piece by piece as it arrives; returns how
    /// many bytes it had when they were decoded.
    ///
    /// # Blocking
    ///
    /// A yield point, as a [read](Self#blocking) is; the writer may wait too.
    ///
    /// # Errors
    ///
    /// The body's errors hold a [`BodyError`], all others are the writer's.
    pub fn copy_to(&mut self, writer: &mut (impl Write + ?Sized)) -> io::Result<u64> {
        let (mut buffer, mut copied) = (vec![0; COPY_BYTES], 0);
        loop {
            match self.read(&mut buffer)? {
                0 => return Ok(copied),
                count => {
                    writer.write_all(&buffer[..count])?;
                    copied += count as u64;
                }
            }
        }
    }

    fn read_piece(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_encoded {
            return self.reader.read(buffer);
        }
        checkpoint();
        let most = buffer.len().min(READ_BYTES_MAX);
        loop {
            match self.reader.read(&mut buffer[..most]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if BodyError::of(&error).is_none() => return Err(malformed()),
                result => return result,
            }
        }
    }
}

impl Read for DecodedBody<'_> {
    /// A yield point, see [the body](DecodedBody#blocking).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte more, to notice a body that is too long.
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX);
        let most = most.min(buffer.len());
        let count = self.read_piece(&mut buffer[..most])?;
        match self.left.checked_sub(count as u64) {
            Some(left) => self.left = left,
            None => return Err(BodyError::TooLong(self.bytes_max).into()),
        }
        Ok(count)
    }
}

impl fmt::Debug for DecodedBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodedBody").field("is_encoded", &self.is_encoded).finish_non_exhaustive()
    }
}

/// The codings of the body, as this program names them, in the order in which they were applied.
///
/// # Errors
///
/// 415 if there are too many, or one that this program does not understand (RFC 9110 section
/// 15.5.16).
fn codings(request: &Request) -> Result<Vec<&'static str>, Problem> {
    let mut names = Vec::new();
    for value in request.headers().all(header::CONTENT_ENCODING) {
        for name in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let is_old = name.eq_ignore_ascii_case(b"x-gzip");
            let name = if is_old { b"gzip" } else { name };
            let known = UNDERSTOOD.iter().find(|one| name.eq_ignore_ascii_case(one.as_bytes()));
            names.push(*known.ok_or_else(|| unsupported("is not understood"))?);
            if names.len() > CODINGS_MAX {
                return Err(unsupported("has too many codings"));
            }
        }
    }
    Ok(names)
}

fn unsupported(what: &str) -> Problem {
    let understood =
        if UNDERSTOOD.is_empty() { "identity".to_owned() } else { UNDERSTOOD.join(", ") };
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .with_detail(format!("The Content-Encoding of the request {what}."))
        .with_header(header::ACCEPT_ENCODING, understood)
}

fn malformed() -> io::Error {
    BodyError::Malformed("the request body does not decode as its Content-Encoding says").into()
}

fn no_memory() -> io::Error {
    BodyError::NoMemory.into()
}

/// How many codings a body may have. One is usual. What an outer decoder returns is computed and
/// not received, so an inner one that makes nothing of it would keep the thread: no read would
/// wait.
const CODINGS_MAX: usize = 1;

/// How many bytes are decoded between two checkpoints at most. Arbitrary: tens of microseconds.
const READ_BYTES_MAX: usize = 16 * 1024;

/// How many bytes [`DecodedBody::copy_to`] copies at a time. Arbitrary: system calls hardly count
/// at this size.
const COPY_BYTES: usize = 64 * 1024;

#[cfg(test)]
#[cfg(all(feature = "gzip", feature = "brotli"))]
mod tests;
