//! Requests that a program makes: for a test of a handler, or for a client of another protocol.
//!
//! A request is written as text, and read by the parser that reads requests of clients. So a made
//! request obeys the same rules.

use std::fmt;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Version, header};

use super::invalid_header::{checked, expect_valid};
use super::invalid_request::InvalidRequest;
use super::request::Request;
use crate::config::Peer;
use crate::proto::{HeadParser, Limits, RefusalKind};
use crate::wire::detached;

/// Makes a [`Request`], from [`Request::builder`].
///
/// The request has no client: [`Request::server`] is a server without an address and without
/// shards, and a timeout that the handler sets has no effect. A handler that
/// [spawns](crate::ServerHandle::spawn) on its server would panic: test it with a
/// [`LocalServer`](crate::LocalServer). A handler that does not wait runs in a plain test.
///
/// ```
/// use straightline::{BodyError, IntoResponse, Method, Request, StatusCode};
///
/// fn shout(request: &mut Request) -> Result<String, BodyError> {
///     let text = request.body().read_to_vec(1024)?;
///     Ok(String::from_utf8_lossy(&text).to_uppercase())
/// }
///
/// let mut request =
///     Request::builder().method(Method::POST).target("/shout").body("hello").build()?;
/// let response = shout(&mut request).into_response();
/// assert_eq!(response.status(), StatusCode::OK);
/// assert_eq!(response.body().as_bytes(), Some(&b"HELLO"[..]));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[must_use = "`build` makes the request"]
pub struct RequestBuilder {
    method: Method,
    target: String,
    version: Version,
    fields: Vec<(HeaderName, HeaderValue)>,
    peer: Peer,
    body: Body,
}

/// The body of a made request.
enum Body {
    Bytes(Bytes),
    Reader(Box<dyn Read>),
}

impl Request {
    /// Begins to make a request: a GET of `/` without a body, from a client on this machine.
    pub fn builder() -> RequestBuilder {
        RequestBuilder {
            method: Method::GET,
            target: "/".to_owned(),
            version: Version::HTTP_11,
            fields: Vec::new(),
            peer: Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            body: Body::Bytes(Bytes::new()),
        }
    }

    /// A request of the `http` crate, for a handler: a server of another protocol makes one from
    /// each of its requests. Its body is read from `body`; its client is the [`Peer`] among its
    /// extensions, if there is one.
    ///
    /// A `Host` field is added from the target if the request has none. Every version counts as
    /// HTTP/1.1, except for HTTP/1.0.
    ///
    /// # Errors
    ///
    /// If no client could send such a request in HTTP/1.1.
    ///
    /// ```
    /// use straightline::{Method, Request};
    ///
    /// let outside = http::Request::post("https://example.org/things?sort=name").body(())?;
    /// let request = Request::from_http(outside.into_parts().0, std::io::empty())?;
    /// assert_eq!(request.method(), Method::POST);
    /// assert_eq!((request.path(), request.query()), ("/things", Some("sort=name")));
    /// assert_eq!(request.host(), Some("example.org"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_http(
        head: http::request::Parts,
        body: impl Read + 'static,
    ) -> Result<Self, InvalidRequest> {
        let http::request::Parts { method, uri, version, headers, extensions, .. } = head;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let target = match uri.path_and_query() {
            Some(target) if method != Method::CONNECT => target.as_str(),
            _ => authority,
        };
        let mut builder = Self::builder().method(method).target(target).reader(body);
        if version == Version::HTTP_10 {
            builder.version = version;
        }
        builder.fields.extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        if !headers.contains_key(header::HOST)
            && !authority.is_empty()
            && let Ok(host) = HeaderValue::from_str(authority)
        {
            builder.fields.push((header::HOST, host));
        }
        if let Some(peer) = extensions.get::<Peer>() {
            builder.peer = peer.clone();
        }
        builder.build()
    }
}

impl RequestBuilder {
    /// The method. Default: GET.
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The request target: usually path and query, percent-encoded. Default: `/`.
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    /// HTTP/1.0 or HTTP/1.1, the default. [`build`](Self::build) refuses other versions.
    pub fn version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// The client's address. Default: 127.0.0.1, port 0.
    pub fn peer(mut self, peer: Peer) -> Self {
        self.peer = peer;
        self
    }

    /// Sets a header field, in place of all fields of that name. An HTTP/1.1 request without `Host`
    /// gets `localhost`.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        let (name, value) = expect_valid(checked(name, value));
        self.fields.retain(|(other, _)| *other != name);
        self.fields.push((name, value));
        self
    }

    /// Adds a header field; earlier fields of that name stay.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid.
    #[track_caller]
    pub fn append<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        self.fields.push(expect_valid(checked(name, value)));
        self
    }

    /// The body, in memory; sets `Content-Length`. Default: none.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::Bytes(body.into());
        self
    }

    /// A body that is read when the handler asks for it, up to its end.
    ///
    /// ```
    /// use std::io::Read;
    /// use straightline::{Method, Request};
    ///
    /// let zeros = std::io::repeat(0).take(1 << 20);
    /// let request = Request::builder().method(Method::PUT).reader(zeros).build()?;
    /// assert_eq!(request.body().copy_to(&mut std::io::sink())?, 1 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A reader that fails with [`BodyError::Disconnected`](crate::BodyError::Disconnected) is a
    /// body in whose middle the connection breaks:
    ///
    /// ```
    /// use std::io::{self, ErrorKind, Read};
    /// use straightline::{BodyError, Request};
    ///
    /// struct Break;
    ///
    /// impl Read for Break {
    ///     fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
    ///         Err(BodyError::Disconnected(ErrorKind::ConnectionReset).into())
    ///     }
    /// }
    ///
    /// let request = Request::builder().reader(b"half".chain(Break)).build()?;
    /// let error = request.body().read_to_vec(1024).unwrap_err();
    /// assert_eq!(error, BodyError::Disconnected(ErrorKind::ConnectionReset));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    pub fn reader(mut self, body: impl Read + 'static) -> Self {
        self.body = Body::Reader(Box::new(body));
        self
    }

    /// Makes the request. Not a yield point.
    ///
    /// # Errors
    ///
    /// If the server would refuse it from a client, for example because its target is malformed.
    pub fn build(self) -> Result<Request, InvalidRequest> {
        let Self { method, target, version, fields, peer, body } = self;
        let minor = match version {
            Version::HTTP_10 => 0,
            Version::HTTP_11 => 1,
            other => return Err(InvalidRequest::version(other)),
        };
        if let Some(at) = target.bytes().position(|byte| !byte.is_ascii_graphic()) {
            let at = method.as_str().len() + 1 + at;
            return Err(InvalidRequest::refused(RefusalKind::Target.at(at)));
        }
        // The body is not framed, so nothing may say that it is.
        if fields.iter().any(|(name, _)| *name == header::TRANSFER_ENCODING)
            && matches!(body, Body::Bytes(_))
        {
            return Err(InvalidRequest::refused(RefusalKind::FramingConflict.at(0)));
        }
        let mut text = format!("{method} {target} HTTP/1.{minor}\r\n").into_bytes();
        let is_set = |name: HeaderName| fields.iter().any(|(other, _)| *other == name);
        let mut put = |name: &HeaderName, value: &[u8]| {
            text.extend_from_slice(&[name.as_str().as_bytes(), b": ", value, b"\r\n"].concat());
        };
        if minor == 1 && !is_set(header::HOST) {
            put(&header::HOST, b"localhost");
        }
        let has_length = matches!(body, Body::Bytes(_));
        let kept = fields.iter().filter(|(name, _)| !has_length || name != header::CONTENT_LENGTH);
        kept.for_each(|(name, value)| put(name, value.as_bytes()));
        match &body {
            Body::Bytes(bytes) if !bytes.is_empty() || is_set(header::CONTENT_LENGTH) => {
                put(&header::CONTENT_LENGTH, bytes.len().to_string().as_bytes());
            }
            _ => {}
        }
        text.extend_from_slice(b"\r\n");
        let (link, mut buffers) = detached(peer);
        let limits =
            Limits { body_bytes: u64::MAX, head_bytes: MADE_BYTES_MAX, ..Limits::default() };
        let parsed = HeadParser::default().parse(&text, &limits, &mut buffers.head);
        match parsed {
            Ok(is_complete) => debug_assert!(is_complete, "the head ends with an empty line"),
            Err(refusal) => return Err(InvalidRequest::refused(refusal)),
        }
        let no_memory = |_| InvalidRequest::no_memory();
        buffers.input.push(&text).map_err(no_memory)?;
        match body {
            Body::Bytes(bytes) => {
                buffers.input.push(&bytes).map_err(no_memory)?;
                let mut request = Request::new(buffers, link);
                request.begin();
                Ok(request)
            }
            Body::Reader(reader) => Ok(Request::with_reader(buffers, link, reader)),
        }
    }
}

impl fmt::Debug for RequestBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// The most bytes of the head of a made request: far more than a client may send.
const MADE_BYTES_MAX: usize = 16 << 20;
