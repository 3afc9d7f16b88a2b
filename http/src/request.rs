//! What a handler is given.

use std::fmt;
use std::io::{self, Read};
use std::rc::Rc;
use std::str;

use http::{Method, Version};

use crate::conn::{BodyIn, Buffers, Link};
use crate::proto::{Head, Headers};
use crate::server::Peer;

/// A request: its head, as a view into the connection's buffer, and its body, as a reader.
///
/// ```
/// use std::io::Read;
/// use straightline::{Request, StatusCode};
///
/// fn shout(request: &mut Request) -> Result<String, StatusCode> {
///     let mut text = String::new();
///     match request.body().read_to_string(&mut text) {
///         Ok(_) => Ok(text.to_uppercase()),
///         Err(_) => Err(StatusCode::BAD_REQUEST),
///     }
/// }
/// ```
pub struct Request {
    /// The parsed head, and its bytes as the first unread ones; the body follows them.
    pub(crate) buffers: Box<Buffers>,
    pub(crate) link: Rc<Link>,
    pub(crate) body: BodyIn,
}

impl Request {
    pub(crate) fn new(buffers: Box<Buffers>, link: Rc<Link>) -> Self {
        let body = BodyIn::new(&buffers.head);
        Self { buffers, link, body }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.head().method
    }

    /// The request target as the client sent it: usually path and query, `*` for a server-wide
    /// OPTIONS, a whole URL from clients that take this server for a proxy.
    pub fn target(&self) -> &str {
        self.text(self.head().target)
    }

    /// The path, still percent-encoded; it begins with `/` unless the target is `*`.
    ///
    /// ```
    /// # use straightline::Request;
    /// fn is_api(request: &Request) -> bool {
    ///     request.path().starts_with("/api/")
    /// }
    /// ```
    pub fn path(&self) -> &str {
        match self.text(self.head().path) {
            "" => "/", // an absolute target without a path
            path => path,
        }
    }

    /// The query, still percent-encoded and without its `?`; `None` if there is no `?`.
    pub fn query(&self) -> Option<&str> {
        let (start, end) = (self.head().path.1, self.head().target.1);
        (start < end).then(|| self.text((start + 1, end)))
    }

    /// HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        if self.head().minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
    }

    /// The header fields.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(self.buffers.input.unread(), &self.head().fields)
    }

    /// The trailer fields of a chunked body, once all of it was read; none before, and of other
    /// bodies. They are what the client says and no more: those that are about the message's length
    /// or destination are refused.
    ///
    /// ```
    /// use straightline::{Request, StatusCode};
    ///
    /// fn upload(request: &mut Request) -> Result<String, StatusCode> {
    ///     let bytes = request.body().read_to_vec().map_err(|_| StatusCode::BAD_REQUEST)?;
    ///     let checksum = request.trailers().get("checksum").unwrap_or("none");
    ///     Ok(format!("{} bytes, checksum {checksum}\n", bytes.len()))
    /// }
    /// ```
    pub fn trailers(&self) -> Headers<'_> {
        self.body.trailers()
    }

    /// Who sent it, as the socket says.
    ///
    /// ```
    /// # use straightline::{Peer, Request};
    /// fn is_local(request: &Request) -> bool {
    ///     match request.peer() {
    ///         Peer::Tcp(address) => address.ip().is_loopback(),
    ///         Peer::Unix => true,
    ///     }
    /// }
    /// ```
    pub fn peer(&self) -> &Peer {
        &self.link.peer
    }

    /// The body; empty if the request has none.
    pub fn body(&mut self) -> Body<'_> {
        Body { request: self }
    }

    fn head(&self) -> &Head {
        &self.buffers.head
    }

    pub(crate) fn read_body(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(&mut self.buffers.input, &self.link, &self.link.limits, buffer)
    }

    fn text(&self, (start, end): (u32, u32)) -> &str {
        let bytes = &self.buffers.input.unread()[start as usize..end as usize];
        // The parser let only visible ASCII into the target.
        str::from_utf8(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("target", &self.target())
            .field("version", &self.version())
            .field("headers", &self.headers())
            .field("remaining", &self.body.remaining())
            .finish_non_exhaustive()
    }
}

/// A request's body, read straight from the connection.
///
/// Nothing is buffered that the handler does not ask for: a client that sends more than is read is
/// held back by TCP. A client that waits with `Expect: 100-continue` is told to go on by the first
/// read. What a handler leaves unread is skipped up to a bound, beyond which the connection closes.
///
/// A read returns `UnexpectedEof` if the client ends the connection before the body's announced
/// length.
///
/// # Blocking
///
/// A read is a yield point where what was received with the head is used up: it first writes what
/// the client may be waiting for, then waits for more.
///
/// # Cancellation
///
/// A cancel or a deadline is raised before anything is read. A handler that sets a
/// [deadline](straightline_sched::deadline) around its reads may answer when that has passed, or
/// read on; what it leaves of the body is the server's to settle.
///
/// ```
/// use std::io::Read;
/// use std::time::Duration;
/// use straightline::{IntoResponse, Request, Response, StatusCode, sched};
///
/// fn first_kilobyte(request: &mut Request) -> Result<Vec<u8>, Response> {
///     let mut bytes = Vec::new();
///     let limit = Duration::from_secs(5);
///     match sched::deadline(limit, || request.body().take(1024).read_to_end(&mut bytes)) {
///         Ok(Ok(_)) => Ok(bytes),
///         Ok(Err(_)) => Err(StatusCode::BAD_REQUEST.into_response()),
///         Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response().close()),
///     }
/// }
/// ```
pub struct Body<'r> {
    request: &'r mut Request,
}

impl Body<'_> {
    /// How many bytes are still to be read; `None` as long as only the client knows (a chunked
    /// body). Not a yield point.
    pub fn remaining(&self) -> Option<u64> {
        self.request.body.remaining()
    }

    /// Reads all that remains. Its length is bounded by
    /// [`Limits::body_bytes`](crate::Limits::body_bytes).
    ///
    /// # Blocking
    ///
    /// A yield point, unless all of it was received with the head.
    ///
    /// # Cancellation
    ///
    /// As for [the body](Self#cancellation); what was read is dropped.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the client goes away; otherwise what the socket said.
    ///
    /// ```
    /// # use straightline::{Request, StatusCode};
    /// fn echo(request: &mut Request) -> Result<Vec<u8>, StatusCode> {
    ///     request.body().read_to_vec().map_err(|_| StatusCode::BAD_REQUEST)
    /// }
    /// ```
    pub fn read_to_vec(&mut self) -> io::Result<Vec<u8>> {
        // Announced is not sent: a large vector is only made when its bytes come.
        let announced = self.remaining().unwrap_or(0);
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(announced.min(RESERVE_MAX));
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Read for Body<'_> {
    /// A yield point, see [the body](Body#blocking).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.request.read_body(buffer)
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}

/// How much [`Body::read_to_vec`] reserves on the client's word alone. Arbitrary.
const RESERVE_MAX: usize = 64 * 1024;
