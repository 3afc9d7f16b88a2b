//! The body of a response: in memory, or produced after the handler has returned.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::ops::Range;

use bytes::Bytes;
use http::HeaderMap;

use super::body_writer::BodyWriter;
use super::fed::Fed;
use super::request::Request;
use crate::wire::Upgraded;

/// The body of a [`Response`](crate::Response): bytes in memory, or a function or a file that is
/// sent once the handler has returned.
///
/// ```
/// use std::io::Write;
/// use straightline::{Request, Response, ResponseBody};
///
/// /// Puts a line in front of a body, of whatever kind.
/// fn announce(mut response: Response) -> Response {
///     let body = response.take_body();
///     response.set_body(ResponseBody::stream(move |request, writer| {
///         writer.write_all(b"here it comes:\n")?;
///         body.write_to(request, writer).map(drop)
///     }));
///     response
/// }
/// ```
pub struct ResponseBody(Kind);

enum Kind {
    Empty,
    Text(&'static str),
    OwnedText(String),
    Bytes(&'static [u8]),
    OwnedBytes(Vec<u8>),
    Shared(Bytes),
    /// The text of an error, which the program's own error responses may replace.
    Error(Box<ErrorText>),
    /// Not in memory.
    Streamed(Box<Streamed>),
}

/// The text of an error.
pub(crate) struct ErrorText {
    pub(crate) text: String,
    /// The handler's error, which the client does not see.
    pub(crate) cause: Option<Cause>,
    /// The handler has chosen the text, so it is not replaced.
    pub(crate) is_chosen: bool,
}

/// The error behind an error response.
pub(crate) type Cause = Box<dyn Error + 'static>;

/// A body that is sent piece by piece once the handler has returned.
pub(crate) enum Streamed {
    /// A function that writes the body, and the length if it is known.
    Writer(Option<u64>, Box<WriteBody>),
    /// A part of a file: from which byte to which.
    File(Range<u64>, File),
    /// A body whose pieces come from elsewhere.
    Fed(Fed),
    /// No body: the connection switches to another protocol.
    Upgrade(Box<RunProtocol>),
}

/// Writes a body; it also gets the request.
pub(crate) type WriteBody = dyn FnOnce(&mut Request, &mut BodyWriter<'_>) -> io::Result<()>;

/// Runs another protocol.
pub(crate) type RunProtocol = dyn FnOnce(Upgraded) -> io::Result<()>;

impl ResponseBody {
    /// No bytes.
    #[inline]
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// A body that a function writes, as for [`Response::stream`](crate::Response::stream).
    pub fn stream(
        write: impl FnOnce(&mut Request, &mut BodyWriter<'_>) -> io::Result<()> + 'static,
    ) -> Self {
        Self::streamed(Streamed::Writer(None, Box::new(write)))
    }

    pub(crate) fn streamed(streamed: Streamed) -> Self {
        Self(Kind::Streamed(Box::new(streamed)))
    }

    /// The text of an error.
    pub(crate) fn error(text: String, cause: Option<Cause>) -> Self {
        Self(Kind::Error(Box::new(ErrorText { text, cause, is_chosen: false })))
    }

    /// The text that a handler has chosen for an error, whose cause is reported.
    pub(crate) fn chosen_error(text: String, cause: Cause) -> Self {
        Self(Kind::Error(Box::new(ErrorText { text, cause: Some(cause), is_chosen: true })))
    }

    /// The body's bytes; `None` if they are not in memory.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::Streamed(_) => None,
            _ => Some(self.bytes()),
        }
    }

    /// The body's length in bytes, if it is known: `None` for a stream without an announced length,
    /// and for an upgrade, which has no body.
    #[inline]
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Kind::Streamed(streamed) => streamed.length(),
            _ => Some(self.bytes().len() as u64),
        }
    }

    /// Whether the response switches to another protocol, and so has no body.
    pub fn is_upgrade(&self) -> bool {
        matches!(&self.0, Kind::Streamed(streamed) if matches!(**streamed, Streamed::Upgrade(_)))
    }

    /// Writes the whole body to `writer`, and returns its trailers: for a wrapper that changes the
    /// body, for a server of another protocol, and for tests. A streamed body gets the request.
    ///
    /// # Blocking
    ///
    /// A yield point if the function that produces the body, or the writer, is one.
    ///
    /// # Errors
    ///
    /// The errors of the body and of the writer; `InvalidData` if a body of announced length has
    /// another length; `Unsupported` for an [upgrade](Self::is_upgrade).
    ///
    /// ```
    /// use std::io::Write;
    /// use straightline::{Request, Response};
    ///
    /// let response = Response::stream(|_, body| write!(body, "{} and {}", 1, 2));
    /// let mut bytes = Vec::new();
    /// response.into_body().write_to(&mut Request::builder().build()?, &mut bytes)?;
    /// assert_eq!(bytes, b"1 and 2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_to(self, request: &mut Request, writer: &mut dyn Write) -> io::Result<HeaderMap> {
        let streamed = match self.0 {
            Kind::Streamed(streamed) => *streamed,
            in_memory => {
                writer.write_all(Self(in_memory).bytes())?;
                return Ok(HeaderMap::new());
            }
        };
        let length = streamed.length();
        let mut body = BodyWriter::to_writer(writer, length);
        match streamed {
            Streamed::Writer(_, write) => write(request, &mut body)?,
            Streamed::File(part, file) => body.send_file(&file, part)?,
            Streamed::Fed(fed) => fed.write(request, &mut body)?,
            Streamed::Upgrade(_) => {
                let message = "a response that switches to another protocol has no body";
                return Err(io::Error::new(io::ErrorKind::Unsupported, message));
            }
        }
        body.finish_writer()
    }

    /// The body's bytes; empty if the body is not in memory.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.parts().0.unwrap_or_default()
    }

    /// The content type of a body for which none is set.
    #[inline]
    pub(crate) fn content_type(&self) -> Option<&'static str> {
        self.parts().1
    }

    /// The body's bytes, if they are in memory, and the content type if none is set: both with one
    /// look at the kind, 15 instructions a request, measured.
    #[inline]
    pub(crate) fn parts(&self) -> (Option<&[u8]>, Option<&'static str>) {
        match &self.0 {
            Kind::Empty => (Some(&[]), None),
            Kind::Text(text) => (Some(text.as_bytes()), Some(TEXT)),
            Kind::OwnedText(text) => (Some(text.as_bytes()), Some(TEXT)),
            Kind::Bytes(bytes) => (Some(bytes), Some(BYTES)),
            Kind::OwnedBytes(bytes) => (Some(bytes), Some(BYTES)),
            Kind::Shared(bytes) => (Some(bytes), Some(BYTES)),
            Kind::Error(error) => (Some(error.text.as_bytes()), Some(TEXT)),
            Kind::Streamed(_) => (None, None),
        }
    }

    /// See [`Response::drop_inlined`](crate::Response).
    #[inline]
    pub(crate) fn drop_inlined(self) {
        if matches!(self.0, Kind::Empty | Kind::Text(_) | Kind::Bytes(_)) {
            mem::forget(self);
        }
    }

    /// How many bytes of memory the body owns, which are freed with it.
    pub(crate) fn owned_bytes(&self) -> usize {
        match &self.0 {
            Kind::OwnedText(text) => text.capacity(),
            Kind::OwnedBytes(bytes) => bytes.capacity(),
            Kind::Shared(bytes) if bytes.is_unique() => bytes.len(),
            _ => 0,
        }
    }

    /// Whether the body is not in memory, or its destructor may be code of the program.
    #[inline]
    pub(crate) fn is_special(&self) -> bool {
        match &self.0 {
            // A `Bytes::from_owner` looks like any other.
            Kind::Streamed(_) | Kind::Shared(_) => true,
            Kind::Error(error) => error.cause.is_some(),
            _ => false,
        }
    }

    #[inline]
    pub(crate) fn is_streamed(&self) -> bool {
        matches!(self.0, Kind::Streamed(_))
    }

    /// The text of an error, if the body is one.
    #[inline]
    pub(crate) fn error_text(&self) -> Option<&ErrorText> {
        match &self.0 {
            Kind::Error(error) => Some(error),
            _ => None,
        }
    }

    /// The body that is not in memory, or the body back.
    pub(crate) fn into_streamed(self) -> Result<Streamed, Self> {
        match self.0 {
            Kind::Streamed(streamed) => Ok(*streamed),
            in_memory => Err(Self(in_memory)),
        }
    }

    /// Announces the length of a streamed body.
    ///
    /// # Panics
    ///
    /// If it is known already.
    #[track_caller]
    pub(crate) fn announce(&mut self, bytes: u64) {
        if let Kind::Streamed(streamed) = &mut self.0
            && let Streamed::Writer(length, _) = &mut **streamed
        {
            *length = Some(bytes);
            return;
        }
        panic!(
            "straightline: `content_length` of a response whose body has a length: it is for \
             `Response::stream` and `reader`"
        );
    }
}

impl Streamed {
    /// The body's length, if it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Writer(length, _) => *length,
            Self::File(part, _) => Some(part.end - part.start),
            Self::Fed(_) | Self::Upgrade(_) => None,
        }
    }
}

impl From<&'static str> for ResponseBody {
    fn from(text: &'static str) -> Self {
        Self(Kind::Text(text))
    }
}

impl From<String> for ResponseBody {
    fn from(text: String) -> Self {
        Self(Kind::OwnedText(text))
    }
}

impl From<&'static [u8]> for ResponseBody {
    fn from(bytes: &'static [u8]) -> Self {
        Self(Kind::Bytes(bytes))
    }
}

impl<const N: usize> From<&'static [u8; N]> for ResponseBody {
    fn from(bytes: &'static [u8; N]) -> Self {
        Self(Kind::Bytes(bytes))
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Kind::OwnedBytes(bytes))
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self(Kind::Shared(bytes))
    }
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Streamed(streamed) => match **streamed {
                Streamed::Writer(..) => "stream",
                Streamed::File(..) => "file",
                Streamed::Fed(_) => "fed",
                Streamed::Upgrade(_) => "upgrade",
            },
            _ => "in memory",
        };
        f.debug_struct("ResponseBody").field("kind", &kind).field("length", &self.length()).finish()
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
