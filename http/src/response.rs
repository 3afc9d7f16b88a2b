//! The response that a handler returns.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use rustix::io::Errno;

use crate::body_error::BodyError;
use crate::payload::{Payload, Streamed};
use crate::proto::{ResponseHead, has_no_body};
use crate::request::Request;
use crate::wire::{BodyWriter, Upgraded};

/// A response: status, header fields and a body, which is in memory, or [written](Self::stream)
/// piece by piece, or [a file](Self::file).
///
/// Text gets `Content-Type: text/plain; charset=utf-8` and bytes `application/octet-stream`, unless
/// the handler sets another. The server adds `Date` and `Content-Length` to every response.
///
/// ```
/// use straightline::{IntoResponse, Response, StatusCode, header};
///
/// fn created(id: u32) -> impl IntoResponse {
///     Response::new(StatusCode::CREATED)
///         .header(header::LOCATION, format!("/things/{id}"))
///         .content_type("application/json")
///         .body(format!("{{\"id\":{id}}}"))
/// }
/// ```
pub struct Response {
    pub(crate) head: ResponseHead,
    pub(crate) body: Payload,
}

/// The types that a handler may return.
///
/// These are [`Response`] itself, text and bytes (200), a [`StatusCode`] (with its reason as the
/// body), a pair of a status and any of these types, and a `Result` of two of these types.
///
/// ```
/// use straightline::{IntoResponse, Request, StatusCode};
///
/// fn double(request: &mut Request) -> Result<String, impl IntoResponse> {
///     let number = request.query().and_then(|query| query.parse::<u32>().ok());
///     match number {
///         Some(number) => Ok(format!("{}\n", u64::from(number) * 2)),
///         None => Err((StatusCode::BAD_REQUEST, "a number, please\n")),
///     }
/// }
/// ```
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;
}

impl Response {
    /// An empty response with `status`.
    pub fn new(status: StatusCode) -> Self {
        Self { head: ResponseHead::new(status), body: Payload::Static(b"") }
    }

    /// A 405 with the `Allow` field that it must have (RFC 9110 section 15.5.6).
    ///
    /// ```
    /// use straightline::{Method, Request, Response};
    ///
    /// fn read_only(request: &mut Request) -> Result<&'static str, Response> {
    ///     match *request.method() {
    ///         Method::GET | Method::HEAD => Ok("here it is\n"),
    ///         _ => Err(Response::method_not_allowed(&[Method::GET, Method::HEAD])),
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    ///
    /// Never: a method is a token, and every token is a valid header value.
    pub fn method_not_allowed(allowed: &[Method]) -> Self {
        let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        StatusCode::METHOD_NOT_ALLOWED.into_response().header(header::ALLOW, names.join(", "))
    }

    /// A response (200) whose body a function writes, straight to the connection.
    ///
    /// The function runs when the handler has returned, on the same fiber. It gets the request
    /// back, so that it may read the request's body meanwhile, and a [`BodyWriter`]. If the length
    /// is known, set it with [`content_length`](Self::content_length). Otherwise the body is sent
    /// in chunks to HTTP/1.1 clients, and ends with the connection for HTTP/1.0 clients. For HEAD
    /// requests, and with a status that has no body, the function is not called.
    ///
    /// If the function fails (an error, a panic, fewer bytes than were announced) and nothing of
    /// the response has been sent, the client gets a 500 instead. Otherwise the connection ends in
    /// a way that tells the client that the body is not complete. (An HTTP/1.0 client on a Unix
    /// socket cannot notice it, unless the length was announced: Unix sockets have no reset.)
    ///
    /// ```
    /// use std::io::Write;
    /// use straightline::{Request, Response};
    ///
    /// fn numbers(_: &mut Request) -> Response {
    ///     Response::stream(|_, body| {
    ///         for n in 0..1_000_000 {
    ///             writeln!(body, "{n}")?;
    ///         }
    ///         Ok(())
    ///     })
    ///     .content_type("text/plain")
    /// }
    ///
    /// /// Sends the request's body back while it arrives.
    /// fn echo(_: &mut Request) -> Response {
    ///     Response::stream(|request, body| request.body().copy_to(body).map(drop))
    /// }
    /// ```
    pub fn stream(
        write: impl FnOnce(&mut Request, &mut BodyWriter) -> io::Result<()> + 'static,
    ) -> Self {
        Self::streamed(Streamed::Writer(None, Box::new(write)))
    }

    /// A response (200) whose body is read from `reader` to its end, as a [`stream`](Self::stream)
    /// could do.
    ///
    /// ```
    /// use std::io;
    /// use straightline::{Request, Response, net::TcpStream};
    ///
    /// fn relay(_: &mut Request) -> io::Result<Response> {
    ///     Ok(Response::reader(TcpStream::connect("127.0.0.1:9000")?))
    /// }
    /// # fn handler(request: &mut Request) -> Result<Response, straightline::StatusCode> {
    /// #     relay(request).map_err(|_| straightline::StatusCode::BAD_GATEWAY)
    /// # }
    /// ```
    pub fn reader(reader: impl Read + 'static) -> Self {
        let mut reader = reader;
        Self::stream(move |_, body| body.copy_from(&mut reader))
    }

    /// A response (200) that is a file, from its beginning to its present length. Where possible,
    /// the system sends it without a copy through the program. A file whose size differs from what
    /// can be read, as in `/proc`, is read to its end, and its length is not announced.
    ///
    /// If a part of the file is not in memory, the system reads it from the disk, and the shard
    /// waits meanwhile. So read rarely used files on a slow disk with
    /// [`sched::offload`](straightline_sched::offload) instead.
    ///
    /// # Errors
    ///
    /// The system's error for the length of the file or for a read of one byte; `PermissionDenied`
    /// also if the file was not opened for reading; `InvalidInput` if it is not a regular file but
    /// a directory, a pipe or a device.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io;
    /// use straightline::{Request, Response, StatusCode};
    ///
    /// fn logo(_: &mut Request) -> Result<Response, StatusCode> {
    ///     let open = || Response::file(File::open("logo.png")?);
    ///     open().map(|file| file.content_type("image/png")).map_err(|error: io::Error| {
    ///         match error.kind() {
    ///             io::ErrorKind::NotFound => StatusCode::NOT_FOUND,
    ///             io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
    ///             _ => StatusCode::INTERNAL_SERVER_ERROR,
    ///         }
    ///     })
    /// }
    /// ```
    pub fn file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        // A file that cannot be read is an error here, and not only after the head was sent.
        let length = metadata.len();
        let probed_at = if length <= PROBED_WHOLE { length.saturating_sub(1) } else { 0 };
        let has_byte = file.read_at(&mut [0], probed_at).map_err(unreadable)? > 0;
        if has_byte == (length > 0) {
            return Ok(Self::streamed(Streamed::File(length, file)));
        }
        Ok(Self::reader(FromStart { file, at: 0 }))
    }

    /// Switches to another protocol, as the client has asked (RFC 9110 section 7.8): answers 101
    /// with `Upgrade: protocol`, and calls `run` with the connection, which ends when `run`
    /// returns.
    ///
    /// If the handler has not read the whole body of the request, the rest is read and dropped
    /// first. A client that has not asked for the protocol ([`Request::asks_to_upgrade`]) gets a
    /// 426 instead.
    ///
    /// # Panics
    ///
    /// If the protocol's name cannot be a header value; that is a bug in the handler, and the
    /// client gets a 500.
    ///
    /// ```
    /// use std::io::{self, Read, Write};
    /// use straightline::{Request, Response, Upgraded};
    ///
    /// fn chat(_: &mut Request) -> Response {
    ///     Response::upgrade("chat", |mut client: Upgraded| {
    ///         let mut message = [0; 1024];
    ///         loop {
    ///             match client.read(&mut message)? {
    ///                 0 => return Ok(()),
    ///                 count => client.write_all(&message[..count])?,
    ///             }
    ///         }
    ///     })
    /// }
    /// ```
    pub fn upgrade(protocol: &str, run: impl FnOnce(Upgraded) -> io::Result<()> + 'static) -> Self {
        let response = Self::streamed(Streamed::Upgrade(Box::new(run)));
        response.with_status(StatusCode::SWITCHING_PROTOCOLS).header(header::UPGRADE, protocol)
    }

    /// Accepts a CONNECT request (RFC 9110 section 9.3.6): answers 200 and calls `run` with the
    /// connection, which ends when `run` returns.
    ///
    /// This is an answer to CONNECT only, and the only successful one, because the client takes the
    /// bytes that follow for bytes from the other end of the tunnel. If the response does not fit
    /// the request, the client gets a 501 (another success for a CONNECT) or a 500 (a tunnel for
    /// another method).
    ///
    /// ```
    /// use std::io;
    /// use straightline::net::TcpStream;
    /// use straightline::{Method, Request, Response, StatusCode, sched};
    ///
    /// fn proxy(request: &mut Request) -> Result<Response, StatusCode> {
    ///     if request.method() != Method::CONNECT || request.target() != "example.org:443" {
    ///         return Err(StatusCode::FORBIDDEN);
    ///     }
    ///     let server =
    ///         TcpStream::connect(request.target()).map_err(|_| StatusCode::BAD_GATEWAY)?;
    ///     Ok(Response::tunnel(move |client| {
    ///         // Each direction until its end; then the other side learns that no more comes.
    ///         sched::scope(|scope| {
    ///             let up = scope.spawn(|| {
    ///                 io::copy(&mut &client, &mut &server)?;
    ///                 server.shutdown(std::net::Shutdown::Write)
    ///             });
    ///             io::copy(&mut &server, &mut &client)?;
    ///             client.shutdown_write()?;
    ///             up.join().unwrap_or(Ok(()))
    ///         })
    ///     }))
    /// }
    /// ```
    pub fn tunnel(run: impl FnOnce(Upgraded) -> io::Result<()> + 'static) -> Self {
        Self::streamed(Streamed::Upgrade(Box::new(run)))
    }

    /// Announces the length in bytes of a body that [`stream`](Self::stream) or
    /// [`reader`](Self::reader) sends: it is then sent with `Content-Length` and not in chunks. A
    /// body that turns out longer or shorter is an error.
    ///
    /// # Panics
    ///
    /// If the body is of another kind, whose length is known; that is a bug in the handler, and the
    /// client gets a 500.
    ///
    /// ```
    /// use std::io::{self, Read};
    /// use straightline::{Request, Response};
    ///
    /// fn zeros(_: &mut Request) -> Response {
    ///     Response::reader(io::repeat(0).take(1 << 30)).content_length(1 << 30)
    /// }
    /// ```
    pub fn content_length(mut self, bytes: u64) -> Self {
        if let Payload::Streamed(streamed) = &mut self.body
            && let Streamed::Writer(length, _) = &mut **streamed
        {
            *length = Some(bytes);
            return self;
        }
        panic!("the length of this body is already known");
    }

    /// Replaces the body. Text and bytes also set the content type, if none is set yet.
    pub fn body(mut self, body: impl IntoResponse) -> Self {
        let other = body.into_response();
        self.body = other.body;
        if !self.head.fields.iter().any(|(name, _)| *name == header::CONTENT_TYPE) {
            self.head.content_type = self.head.content_type.or(other.head.content_type);
        }
        self
    }

    /// Sets the content type.
    ///
    /// # Panics
    ///
    /// If it holds a byte that no header value may hold; that is a bug in the handler, and the
    /// client gets a 500.
    pub fn content_type(mut self, content_type: &'static str) -> Self {
        assert!(
            HeaderValue::from_str(content_type).is_ok(),
            "not a header value: {content_type:?}"
        );
        self.head.content_type = Some(content_type);
        self
    }

    /// Adds a header field; earlier fields of the same name stay.
    ///
    /// # Panics
    ///
    /// If the value cannot be a header value (it has a control byte), or the server writes the
    /// field itself: `Connection` (see [`close`](Self::close)), `Content-Length`, `Date`,
    /// `Transfer-Encoding`. Both are bugs in the handler, and the client gets a 500. Check a value
    /// from outside with [`HeaderValue::from_str`] first.
    pub fn header<V>(mut self, name: HeaderName, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        let own =
            [header::CONNECTION, header::CONTENT_LENGTH, header::DATE, header::TRANSFER_ENCODING];
        assert!(!own.contains(&name), "the server writes `{name}` itself");
        if name == header::CONTENT_TYPE {
            self.head.content_type = None;
        }
        match value.try_into() {
            Ok(value) => self.head.fields.push((name, value)),
            Err(error) => panic!("not a value for the header field `{name}`: {error}"),
        }
        self
    }

    /// Closes the connection after this response.
    ///
    /// ```
    /// use straightline::{IntoResponse, StatusCode};
    ///
    /// let goodbye = (StatusCode::SERVICE_UNAVAILABLE, "restarting\n").into_response().close();
    /// assert_eq!(goodbye.status(), StatusCode::SERVICE_UNAVAILABLE);
    /// ```
    pub fn close(mut self) -> Self {
        self.head.close = true;
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    fn with_status(mut self, status: StatusCode) -> Self {
        self.head.status = status;
        self
    }

    fn streamed(streamed: Streamed) -> Self {
        let body = Payload::Streamed(Box::new(streamed));
        Self { head: ResponseHead::new(StatusCode::OK), body }
    }

    fn with_body(content_type: &'static str, body: Payload) -> Self {
        let head = ResponseHead::new(StatusCode::OK);
        Self { head: ResponseHead { content_type: Some(content_type), ..head }, body }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.head.status)
            .field("content_type", &self.head.content_type)
            .field("fields", &self.head.fields)
            .field("body_bytes", &self.body.length())
            .field("close", &self.head.close)
            .finish()
    }
}

impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        Response::with_body(TEXT, Payload::Static(self.as_bytes()))
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        Response::with_body(TEXT, Payload::Owned(self.into_bytes()))
    }
}

impl IntoResponse for &'static [u8] {
    fn into_response(self) -> Response {
        Response::with_body(BYTES, Payload::Static(self))
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        Response::with_body(BYTES, Payload::Owned(self))
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        Response::with_body(BYTES, Payload::Shared(self))
    }
}

impl IntoResponse for StatusCode {
    /// The status, and its reason as one line of text where a body is allowed.
    fn into_response(self) -> Response {
        match self.canonical_reason() {
            Some(reason) if !(self.is_informational() || has_no_body(self)) => {
                format!("{reason}\n").into_response().with_status(self)
            }
            _ => Response::new(self),
        }
    }
}

impl<R: IntoResponse> IntoResponse for (StatusCode, R) {
    fn into_response(self) -> Response {
        self.1.into_response().with_status(self.0)
    }
}

impl<R: IntoResponse, E: IntoResponse> IntoResponse for Result<R, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(response) => response.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Refused(refusal) => refusal.kind.status(),
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Disconnected(_) | Self::NotText => StatusCode::BAD_REQUEST,
            Self::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
            Self::NoMemory => StatusCode::SERVICE_UNAVAILABLE,
            Self::Declined | Self::Busy => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let response = (status, format!("{self}\n")).into_response();
        match self {
            // There will be memory when other requests are done.
            Self::NoMemory => response.header(header::RETRY_AFTER, "1"),
            _ => response,
        }
    }
}

/// Reads a file from its start, independently of the file position, which other users may share.
struct FromStart {
    file: File,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, self.at).inspect(|&count| self.at += count as u64)
    }
}

/// The error for a file that cannot be read.
fn unreadable(error: io::Error) -> io::Error {
    if error.raw_os_error() == Some(Errno::BADF.raw_os_error()) {
        return io::Error::new(io::ErrorKind::PermissionDenied, "not opened for reading");
    }
    error
}

/// Up to this size, the last byte of the file must be readable; otherwise the size is wrong (for
/// all files in `/sys` it is a page). Arbitrary: the system reads as much at once.
const PROBED_WHOLE: u64 = 64 * 1024;

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
