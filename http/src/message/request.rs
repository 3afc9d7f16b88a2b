//! The request that a handler gets.

use std::cell::{OnceCell, RefCell};
use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::rc::Rc;

use http::{Method, Version, header};
use straightline_sched::sync::FlagReader;
#[cfg(feature = "_tls")]
use straightline_tls::TlsInfo;

use super::body_limit::BodyLimit;
use super::extensions::Extensions;
use crate::body_error::BodyError;
use crate::config::Peer;
use crate::control::ServerHandle;
use crate::proto::{Head, Headers, Limits, Trailers};
use crate::text::ascii_text;
use crate::wire::{BodyIn, Buffers, Input, Link, Received, Unread};

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
    /// The buffers begin with the parsed head's bytes; the body follows them, unless the head is
    /// split off.
    pub(super) buffers: Box<Buffers>,
    link: Rc<Link>,
    body: RefCell<BodyIn>,
    /// The trailers of the body, once it was read to its end.
    trailers: OnceCell<Box<Trailers>>,
    /// The method that handlers see, if it is not the one of the client.
    pub(super) method: Option<Box<Method>>,
    /// The head is a copy, apart from what is received.
    is_split: bool,
    extensions: Extensions,
    /// How many bytes of the body may still be read, if the handler has bounded it.
    body_limit: Option<Box<BodyLimit>>,
}

impl Request {
    /// Before the first request [begins](Self::begin).
    #[inline]
    pub(crate) fn new(buffers: Box<Buffers>, link: Rc<Link>) -> Self {
        Self {
            buffers,
            link,
            body: RefCell::new(BodyIn::new()),
            trailers: OnceCell::new(),
            method: None,
            is_split: false,
            extensions: Extensions::default(),
            body_limit: None,
        }
    }

    /// The buffers hold the head of the next request. [`end`](Self::end) has ended the former one.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.body.get_mut().begin(&self.buffers.head);
    }

    /// The request is over: nothing of it is left but its head.
    #[inline]
    pub(crate) fn end(&mut self) {
        if self.is_split {
            self.buffers.join_head();
            self.is_split = false;
        }
        let has_more = self.body.get_mut().has_source()
            || self.trailers.get().is_some()
            || self.method.is_some()
            || !self.extensions.is_empty()
            || self.body_limit.is_some();
        if has_more {
            self.drop_more();
        }
    }

    /// Drops what few requests have. The extensions come last: their destructors are code of the
    /// program, which may unwind.
    #[cold]
    #[inline(never)]
    fn drop_more(&mut self) {
        self.body.get_mut().drop_source();
        self.trailers.take();
        self.method = None;
        self.body_limit = None;
        drop(mem::take(&mut self.extensions));
    }

    /// The buffers.
    #[inline]
    pub(crate) fn buffers(&mut self) -> &mut Buffers {
        &mut self.buffers
    }

    /// A request whose body comes from `reader`.
    pub(crate) fn with_reader(
        buffers: Box<Buffers>,
        link: Rc<Link>,
        reader: Box<dyn Read>,
    ) -> Self {
        let body = RefCell::new(BodyIn::from_reader(&buffers.head, reader));
        Self { body, ..Self::new(buffers, link) }
    }

    /// Sets the fiber's label to the request line, for lists of the fibers.
    #[inline]
    pub(crate) fn set_label(&self) {
        // The head begins with the method.
        let line = self.buffers.input.unread().get(..self.head().target.1 as usize);
        self.buffers.label.set(line.unwrap_or_default());
    }

    /// The method.
    pub fn method(&self) -> &Method {
        self.method.as_deref().unwrap_or(&self.head().method)
    }

    /// The request target as the client sent it: usually path and query; `*` for a server-wide
    /// OPTIONS, a whole URL from clients that use this server as a proxy, host and port for
    /// CONNECT.
    pub fn target(&self) -> &str {
        self.text(self.head().target)
    }

    /// The path, still percent-encoded; it begins with `/` unless the target is `*`, and is empty
    /// for CONNECT, which has none.
    ///
    /// ```
    /// # use straightline::Request;
    /// fn is_api(request: &Request) -> bool {
    ///     request.path().starts_with("/api/")
    /// }
    /// ```
    pub fn path(&self) -> &str {
        match self.text(self.head().path) {
            "" if self.method() != Method::CONNECT => "/", // an absolute target without a path
            path => path,
        }
    }

    /// As [`path`](Self::path), without a look at the bytes; empty also for an absolute target
    /// without a path.
    #[cfg(feature = "router")]
    #[inline]
    pub(crate) fn path_bytes(&self) -> &[u8] {
        let (start, end) = self.head().path;
        &self.buffers.input.unread()[start as usize..end as usize]
    }

    /// The query, still percent-encoded and without its `?`; `None` if there is no `?`.
    pub fn query(&self) -> Option<&str> {
        let (start, end) = (self.head().path.1, self.head().target.1);
        (start < end).then(|| self.text((start + 1, end)))
    }

    /// The requested host, with its port if there is one. It comes from an absolute target or a
    /// CONNECT target if the request has such a target, which takes precedence over the `Host`
    /// field (RFC 9112 section 3.2.2), and otherwise from that field. `None` only in HTTP/1.0.
    ///
    /// ```
    /// # use straightline::Request;
    /// fn is_internal(request: &Request) -> bool {
    ///     request.host().is_some_and(|host| host.ends_with(".internal"))
    /// }
    /// ```
    pub fn host(&self) -> Option<&str> {
        let head = self.head();
        if head.method == Method::CONNECT {
            return Some(self.target());
        }
        let before_path = self.text((head.target.0, head.path.0));
        match before_path.split_once("://") {
            Some((_scheme, authority)) => Some(authority),
            None => self.headers().get("host"),
        }
    }

    /// HTTP/1.0 or HTTP/1.1.
    pub fn version(&self) -> Version {
        if self.head().minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 }
    }

    /// The header fields.
    pub fn headers(&self) -> Headers<'_> {
        Headers::received(self.buffers.input.unread(), &self.head().fields)
    }

    /// The trailer fields of a chunked body, once the whole body was read; empty before that, and
    /// for other bodies. They are the client's claims, nothing more. A request with trailers about
    /// the message's length or destination is refused, and other trailers that belong in the head
    /// (RFC 9110 section 6.5.1) are left out here.
    ///
    /// ```
    /// use straightline::{BodyError, Request};
    ///
    /// fn upload(request: &mut Request) -> Result<String, BodyError> {
    ///     let bytes = request.body().read_to_vec(1 << 20)?;
    ///     let checksum = request.trailers().get("checksum").unwrap_or("none");
    ///     Ok(format!("{} bytes, checksum {checksum}\n", bytes.len()))
    /// }
    /// ```
    pub fn trailers(&self) -> Headers<'_> {
        self.trailers.get().map_or(Headers::received(&[], &[]), |trailers| trailers.fields())
    }

    /// The client's address, as the socket reports it.
    ///
    /// ```
    /// # use straightline::{Peer, Request};
    /// fn is_local(request: &Request) -> bool {
    ///     match request.peer() {
    ///         Peer::Tcp(address) => address.ip().is_loopback(),
    ///         Peer::Unix => true,
    ///         _ => false,
    ///     }
    /// }
    /// ```
    pub fn peer(&self) -> &Peer {
        self.link.peer()
    }

    /// What the TLS handshake of the connection agreed on, such as the client's certificates;
    /// `None` if the connection is not TLS. Not a yield point.
    ///
    /// ```
    /// # use straightline::Request;
    /// fn is_known(request: &Request) -> bool {
    ///     request.tls().is_some_and(|tls| !tls.peer_certificates().is_empty())
    /// }
    /// ```
    #[cfg(feature = "_tls")]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.link.tls()
    }

    /// What the handshake of the connection's stream agreed on, if the stream has such a
    /// [value](crate::Transport::info) and it is a `T`: for a [`Transport`](crate::Transport) of
    /// the program's own. Not a yield point.
    ///
    /// ```
    /// use straightline::Request;
    ///
    /// /// The value of a stream that comes through a proxy.
    /// struct Forwarded(std::net::IpAddr);
    ///
    /// fn client(request: &mut Request) -> String {
    ///     match request.transport_info::<Forwarded>() {
    ///         Some(Forwarded(address)) => format!("{address} by a proxy\n"),
    ///         None => format!("{}\n", request.peer()),
    ///     }
    /// }
    /// ```
    pub fn transport_info<T: 'static>(&self) -> Option<&T> {
        self.link.info()
    }

    /// Whether the client asks to switch to `protocol` on this connection, which
    /// [`Response::upgrade`](crate::Response::upgrade) does (RFC 9110 section 7.8).
    ///
    /// ```
    /// # use straightline::Request;
    /// fn is_websocket(request: &Request) -> bool {
    ///     request.asks_to_upgrade("websocket")
    /// }
    /// ```
    pub fn asks_to_upgrade(&self, protocol: &str) -> bool {
        let lists = |field: header::HeaderName, element: &str| {
            self.headers().list(field).any(|other| other.eq_ignore_ascii_case(element))
        };
        // In HTTP/1.0 the field must be ignored.
        self.version() == Version::HTTP_11
            && lists(header::CONNECTION, "upgrade")
            && lists(header::UPGRADE, protocol)
    }

    /// A copy of the head as the `http` crate's type, for other libraries. The client's address is
    /// among its extensions, as a [`Peer`].
    ///
    /// # Errors
    ///
    /// If `http::Uri`, which is stricter about a few bytes, does not accept the target.
    ///
    /// ```
    /// use straightline::{Request, StatusCode};
    ///
    /// fn host(request: &mut Request) -> Result<String, StatusCode> {
    ///     let parts = request.to_http().map_err(|_| StatusCode::BAD_REQUEST)?;
    ///     let host = parts.headers().get("host").and_then(|host| host.to_str().ok());
    ///     Ok(format!("{} of {host:?}\n", parts.uri().path()))
    /// }
    /// ```
    pub fn to_http(&self) -> Result<http::Request<()>, http::Error> {
        let mut request = http::Request::builder()
            .method(self.method().clone())
            .uri(self.target())
            .version(self.version())
            .extension(self.peer().clone());
        for (name, value) in self.headers() {
            request = request.header(name, value);
        }
        request.body(())
    }

    /// Bounds the body from now on: reads fail with [`BodyError::TooLong`] beyond `bytes_max`
    /// bytes, and at once if the client has announced more. The last call counts. The server's own
    /// [limit](crate::Limits::body_bytes) stays: it is the most that any handler may allow.
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::io;
    /// use straightline::{BodyError, Method, Request};
    ///
    /// let mut request = Request::builder().method(Method::POST).body("a long text").build()?;
    /// request.set_body_limit(4);
    /// let error = request.body().copy_to(&mut io::sink()).unwrap_err();
    /// assert_eq!(BodyError::of(&error), Some(BodyError::TooLong(4)));
    /// # Ok::<(), straightline::InvalidRequest>(())
    /// ```
    pub fn set_body_limit(&mut self, bytes_max: u64) {
        self.body_limit = Some(Box::new(BodyLimit::new(bytes_max)));
    }

    /// The bound in bytes that [`set_body_limit`](Self::set_body_limit) has set.
    ///
    /// Not a yield point.
    pub fn body_limit(&self) -> Option<u64> {
        self.body_limit.as_ref().map(|limit| limit.bytes_max())
    }

    /// What wrappers have attached to the request. Not a yield point.
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// As [`extensions`](Self::extensions), to add values and to change them.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        &mut self.extensions
    }

    /// A handle to the server of this request. Not a yield point.
    ///
    /// ```
    /// use straightline::{Request, StatusCode};
    ///
    /// fn readyz(request: &mut Request) -> StatusCode {
    ///     match request.server().is_ready() {
    ///         true => StatusCode::OK,
    ///         false => StatusCode::SERVICE_UNAVAILABLE, // a load balancer looks elsewhere
    ///     }
    /// }
    /// ```
    pub fn server(&self) -> ServerHandle {
        self.link.host.handle()
    }

    /// Set from the moment when the drain of this shard begins: something to
    /// [`select`](straightline_sched::sync::select) on, or to wait for. Requests that wait for
    /// events for long (long polls, event streams) end by it; a drain waits for requests that do
    /// not until the [drain timeout](crate::ServerBuilder::drain_timeout).
    ///
    /// Not a yield point.
    ///
    /// ```
    /// use std::time::Duration;
    /// use straightline::sched::sync::{after, broadcast, select};
    /// use straightline::{IntoResponse, Request, Response, StatusCode};
    ///
    /// /// Answers with the next piece of news. A client that gets a 204 asks again.
    /// fn poll(request: &Request, news: &broadcast::Receiver<String>) -> Response {
    ///     let draining = request.draining();
    ///     match select(&[news, &draining, &after(Duration::from_secs(30))]) {
    ///         Ok(0) => news.try_recv().unwrap_or_default().into_response(),
    ///         _ => StatusCode::NO_CONTENT.into_response(),
    ///     }
    /// }
    /// ```
    pub fn draining(&self) -> FlagReader {
        self.link.host.draining()
    }

    #[inline]
    pub(crate) fn head(&self) -> &Head {
        &self.buffers.head
    }

    pub(crate) fn link(&self) -> &Rc<Link> {
        &self.link
    }

    /// How many bytes of the body have not been read yet, if that is known.
    #[inline]
    pub(crate) fn remaining(&self) -> Option<u64> {
        // While another fiber reads, more may come.
        self.body.try_borrow().map_or(None, |body| body.remaining())
    }

    /// Keeps the head where it is while more is received, or while fields are added.
    ///
    /// # Errors
    ///
    /// The server's limit or the allocator has no memory left.
    pub(crate) fn split_head(&mut self) -> io::Result<()> {
        if !self.is_split {
            self.buffers.split_head()?;
            self.is_split = true;
        }
        Ok(())
    }

    /// Reads some bytes of the body; 0 is its end.
    pub(crate) fn read_body(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.body_limit {
            None => self.read_all_body(buffer),
            Some(limit) => {
                limit.read(self.remaining(), buffer, |buffer| self.read_all_body(buffer))
            }
        }
    }

    fn read_all_body(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Ok(mut body) = self.body.try_borrow_mut() else {
            return Err(BodyError::Busy.into());
        };
        let count = if self.is_split {
            let received = &mut self.buffers.received().borrow_mut();
            body.read(Received::Growing(received), &self.link, buffer)?
        } else {
            body.read(Received::Fixed(&self.buffers.input), &self.link, buffer)?
        };
        if let Some(trailers) = body.take_trailers() {
            let _ = self.trailers.set(Box::new(trailers));
        }
        Ok(count)
    }

    /// Skips the part of the body that is in the buffer; returns the part that is not.
    #[allow(clippy::inline_always)] // 23 instructions a request, measured
    #[inline(always)]
    pub(crate) fn pass_over_buffered(&mut self, limits: &Limits) -> Unread {
        let body = self.body.get_mut();
        if body.is_all_read() {
            return Unread::Nothing;
        }
        if self.is_split {
            body.pass_over_buffered(&self.buffers.received().borrow(), limits)
        } else {
            body.pass_over_buffered(&self.buffers.input, limits)
        }
    }

    /// Ends the request: consumes it from what was received, and returns the rest. The head is
    /// lost.
    #[inline]
    pub(crate) fn consume(&mut self) -> &mut Input {
        if self.is_split {
            self.buffers.join_head();
            self.is_split = false;
        }
        let input = &mut self.buffers.input;
        input.consume(self.body.get_mut().end());
        input
    }

    /// What was received behind the request so far.
    pub(crate) fn received_behind(&mut self) -> io::Result<Vec<u8>> {
        let end = self.body.get_mut().end();
        let copy = |input: &Input| {
            let behind = &input.unread()[end..];
            let mut copy = Vec::new();
            copy.try_reserve_exact(behind.len())?;
            copy.extend_from_slice(behind);
            Ok(copy)
        };
        if self.is_split {
            copy(&self.buffers.received().borrow())
        } else {
            copy(&self.buffers.input)
        }
    }

    /// How many bytes of the request were received and used: its head, and its body so far, with
    /// its framing.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.body.try_borrow().map_or(0, |body| body.received_bytes())
    }

    /// Where the body ends, as far as is known, from the first byte of the head.
    pub(crate) fn body_end(&mut self) -> usize {
        self.body.get_mut().end()
    }

    /// Frees the memory of everything that was received, except for the head. What follows the
    /// request is lost.
    pub(crate) fn keep_head(&mut self) {
        self.buffers.keep_head();
    }

    /// The connection's buffers, for its next request.
    #[inline]
    pub(crate) fn into_buffers(mut self) -> Box<Buffers> {
        if self.is_split {
            self.buffers.join_head();
        }
        self.buffers
    }

    fn text(&self, (start, end): (u32, u32)) -> &str {
        let bytes = &self.buffers.input.unread()[start as usize..end as usize];
        // The parser let only visible ASCII into the target.
        ascii_text(bytes).unwrap_or_default()
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("target", &self.target())
            .field("version", &self.version())
            .field("headers", &self.headers())
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
