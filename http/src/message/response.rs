//! The response that a handler returns.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::ops::Range;

use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::body_writer::BodyWriter;
use super::file_body;
use super::invalid_header::{InvalidHeader, allowed, checked, expect_valid};
use super::request::Request;
use super::response_body::{Cause, ResponseBody, Streamed};
use crate::proto::{Headers, ResponseHead};

/// A response: status, header fields and a body, which is in memory, or [written](Self::stream)
/// piece by piece, or [a file](Self::file).
///
/// Text gets `Content-Type: text/plain; charset=utf-8` and bytes `application/octet-stream`, unless
/// the handler sets another. The server adds `Date`, and `Content-Length` where it knows the
/// length: not for a [stream](Self::stream) whose [length](Self::content_length) is not announced.
/// The prepared 503 for clients that are rejected when they connect has no `Date`.
///
/// ```
/// use straightline::{IntoResponse, Response, StatusCode, header};
///
/// fn created(id: u32) -> impl IntoResponse {
///     Response::new(StatusCode::CREATED)
///         .header(header::LOCATION, format!("/things/{id}"))
///         .content_type("application/json")
///         .with_body(format!("{{\"id\":{id}}}"))
/// }
/// ```
#[must_use = "a response that the handler does not return is lost"]
pub struct Response {
    head: ResponseHead,
    body: ResponseBody,
}

impl Response {
    /// An empty response with `status`.
    pub fn new(status: StatusCode) -> Self {
        Self { head: ResponseHead::new(status), body: ResponseBody::empty() }
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
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Self::error(status, "Method Not Allowed\n".to_owned(), None)
            .header(header::ALLOW, names.join(", "))
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
        write: impl FnOnce(&mut Request, &mut BodyWriter<'_>) -> io::Result<()> + 'static,
    ) -> Self {
        Self::of(ResponseBody::stream(write))
    }

    /// A response (200) whose body is read from `reader` to its end, 64 KiB at a time, as a
    /// [`stream`](Self::stream) could do.
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
    /// waits meanwhile. So make a response of a rarely used file on a slow disk by
    /// [`reader`](Self::reader) with an [`fs::File`](straightline_sched::fs::File) instead.
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
        file_body::whole(file).map(Self::of)
    }

    /// A response (200) that is a part of a file, from the byte `part.start` up to `part.end`, as
    /// [`file`](Self::file) sends the whole. Answers to `Range` are made by
    /// [`web::Ranged`](crate::web::Ranged).
    ///
    /// If the file becomes shorter before all of the part is sent, the client sees that the body
    /// has ended early. If the file becomes longer, that changes nothing.
    ///
    /// # Errors
    ///
    /// As [`file`](Self::file); `InvalidInput` also if the part is not in the file.
    ///
    /// ```
    /// use std::fs::File;
    /// use std::io;
    /// use straightline::{Request, Response};
    ///
    /// /// The last KiB.
    /// fn tail(_: &mut Request) -> io::Result<Response> {
    ///     let file = File::open("some.log")?;
    ///     let length = file.metadata()?.len();
    ///     Response::file_part(file, length.saturating_sub(1024)..length)
    /// }
    /// ```
    pub fn file_part(file: File, part: Range<u64>) -> io::Result<Self> {
        file_body::part(file, part).map(Self::of)
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
    #[track_caller]
    pub fn content_length(mut self, bytes: u64) -> Self {
        self.body.announce(bytes);
        self
    }

    /// Sets the content type, in place of what text and bytes have by default.
    ///
    /// # Panics
    ///
    /// If it holds a byte that no header value may hold; that is a bug in the handler, and the
    /// client gets a 500.
    #[track_caller]
    pub fn content_type(mut self, content_type: &'static str) -> Self {
        assert!(
            HeaderValue::from_str(content_type).is_ok(),
            "straightline: {content_type:?} is no content type: no header value has such bytes"
        );
        self.remove_header(header::CONTENT_TYPE);
        self.head.content_type = Some(content_type);
        self
    }

    /// Sets a header field, in place of all fields of that name.
    ///
    /// # Panics
    ///
    /// If the name or the value is not valid (a value has a control byte), or the server writes the
    /// field itself: `Connection` (see [`close`](Self::close)), `Content-Length`, `Date`,
    /// `Transfer-Encoding`. These are bugs in the handler, and the client gets a 500. For a name or
    /// a value from outside there is [`try_set_header`](Self::try_set_header).
    ///
    /// ```
    /// use straightline::{Response, StatusCode, header};
    ///
    /// let response = Response::new(StatusCode::OK)
    ///     .header(header::CACHE_CONTROL, "no-store")
    ///     .append(header::SET_COOKIE, "a=1")
    ///     .append(header::SET_COOKIE, "b=2")
    ///     .header("x-count", 2);
    /// assert_eq!(response.headers().all("set-cookie").count(), 2);
    /// ```
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        expect_valid(self.try_set_header(name, value));
        self
    }

    /// Adds a header field; earlier fields of that name stay, as for `Set-Cookie`.
    ///
    /// # Panics
    ///
    /// As [`header`](Self::header).
    #[track_caller]
    pub fn append<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        self.append_header(name, value);
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

    /// Replaces the status.
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.head.status = status;
        self
    }

    /// Replaces the body.
    ///
    /// ```
    /// use straightline::{Response, StatusCode};
    ///
    /// let response = Response::new(StatusCode::CREATED).with_body("done\n");
    /// assert_eq!(response.headers().content_type(), Some("text/plain; charset=utf-8"));
    /// assert_eq!(response.body().as_bytes(), Some(&b"done\n"[..]));
    /// ```
    pub fn with_body(mut self, body: impl Into<ResponseBody>) -> Self {
        self.body = body.into();
        self
    }

    /// The status.
    #[inline]
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    /// Replaces the status.
    pub fn set_status(&mut self, status: StatusCode) {
        self.head.status = status;
    }

    /// The header fields, with the content type that the body has by default, and without the
    /// fields that the server adds: `Date`, `Content-Length` and others about this connection.
    pub fn headers(&self) -> Headers<'_> {
        Headers::made(self.effective_content_type(), &self.head.fields)
    }

    /// Sets a header field, in place of all fields of that name.
    ///
    /// # Panics
    ///
    /// As [`header`](Self::header).
    #[track_caller]
    pub fn set_header<N, V>(&mut self, name: N, value: V)
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        expect_valid(self.try_set_header(name, value));
    }

    /// As [`set_header`](Self::set_header), for names and values from outside.
    ///
    /// # Errors
    ///
    /// Where [`header`](Self::header) panics. The response stays as it is then.
    ///
    /// ```
    /// use straightline::{Request, Response, StatusCode, header};
    ///
    /// fn go(request: &mut Request) -> Result<Response, StatusCode> {
    ///     let place = request.query().unwrap_or("/");
    ///     let mut response = Response::new(StatusCode::SEE_OTHER);
    ///     response
    ///         .try_set_header(header::LOCATION, place)
    ///         .map_err(|_| StatusCode::BAD_REQUEST)?;
    ///     Ok(response)
    /// }
    /// ```
    pub fn try_set_header<N, V>(&mut self, name: N, value: V) -> Result<(), InvalidHeader>
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        let (name, value) = allowed(checked(name, value)?)?;
        self.remove_header(&name);
        self.head.fields.push((name, value));
        Ok(())
    }

    /// Adds a header field; earlier fields of that name stay.
    ///
    /// # Panics
    ///
    /// As [`header`](Self::header).
    #[track_caller]
    pub fn append_header<N, V>(&mut self, name: N, value: V)
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        expect_valid(self.try_append_header(name, value));
    }

    /// As [`append_header`](Self::append_header), for names and values from outside.
    ///
    /// # Errors
    ///
    /// Where [`header`](Self::header) panics. The response stays as it is then.
    pub fn try_append_header<N, V>(&mut self, name: N, value: V) -> Result<(), InvalidHeader>
    where
        N: TryInto<HeaderName>,
        N::Error: fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: fmt::Display,
    {
        self.head.fields.push(checked(name, value).and_then(allowed)?);
        Ok(())
    }

    /// Removes all header fields of that name. Text and bytes keep their default content type.
    pub fn remove_header(&mut self, name: impl AsRef<str>) {
        let name = name.as_ref();
        if self.head.content_type.is_some() && name.eq_ignore_ascii_case("content-type") {
            self.head.content_type = None;
        }
        self.head.fields.retain(|(other, _)| !other.as_str().eq_ignore_ascii_case(name));
    }

    /// The body.
    #[inline]
    pub fn body(&self) -> &ResponseBody {
        &self.body
    }

    /// Replaces the body.
    pub fn set_body(&mut self, body: impl Into<ResponseBody>) {
        self.body = body.into();
    }

    /// Takes the body out; the response has none then. A content type that the body had by default
    /// stays.
    pub fn take_body(&mut self) -> ResponseBody {
        self.head.content_type = self.effective_content_type();
        mem::take(&mut self.body)
    }

    /// The body of this response.
    pub fn into_body(self) -> ResponseBody {
        self.body
    }

    /// A response (200) with that body.
    #[inline]
    pub(crate) fn of(body: impl Into<ResponseBody>) -> Self {
        Self { head: ResponseHead::new(StatusCode::OK), body: body.into() }
    }

    pub(super) fn of_streamed(streamed: Streamed) -> Self {
        Self::of(ResponseBody::streamed(streamed))
    }

    /// The text of an error, which the program's own error responses may replace.
    pub(crate) fn error(status: StatusCode, text: String, cause: Option<Cause>) -> Self {
        let body = ResponseBody::error(text, cause);
        Self { head: ResponseHead::new(status), body }
    }

    /// A 500 for a handler that failed.
    pub(crate) fn failed(cause: Cause) -> Self {
        let text = "Internal Server Error\n".to_owned();
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, text, Some(cause))
    }

    /// This response with the status of `original`, and with its fields where it has none of that
    /// name.
    pub(crate) fn in_place_of(mut self, original: &Self) -> Self {
        self.head.status = original.head.status;
        self.head.close |= original.head.close;
        for (name, value) in &original.head.fields {
            if !self.head.fields.iter().any(|(other, _)| other == name) {
                self.head.fields.push((name.clone(), value.clone()));
            }
        }
        self
    }

    /// This response with those of the fields of whose name it has none.
    pub(crate) fn with_missing(mut self, fields: Vec<(HeaderName, HeaderValue)>) -> Self {
        let own = self.head.fields.len();
        for (name, value) in fields {
            if !self.head.fields[..own].iter().any(|(other, _)| *other == name) {
                self.head.fields.push((name, value));
            }
        }
        self
    }

    #[inline]
    pub(crate) fn head(&self) -> &ResponseHead {
        &self.head
    }

    /// Adds a field that only the server may write.
    pub(crate) fn push_field(&mut self, name: HeaderName, value: HeaderValue) {
        self.head.fields.push((name, value));
    }

    /// Adds fields of another server whose response this is. A `Date` among them stays.
    #[cfg(feature = "proxy")]
    pub(crate) fn push_foreign_fields(&mut self, fields: Vec<(HeaderName, HeaderValue)>) {
        self.head.has_date |= fields.iter().any(|(name, _)| *name == header::DATE);
        self.head.fields.extend(fields);
    }

    pub(crate) fn into_head(self) -> ResponseHead {
        self.head
    }

    /// Drops a response, which most often owns nothing: 25 instructions a request, measured.
    #[inline]
    pub(crate) fn drop_inlined(response: Option<Self>) {
        let Some(Self { head, body }) = response else { return };
        if head.fields.capacity() == 0 {
            mem::forget(head.fields);
        }
        body.drop_inlined();
    }

    /// The content type with which the response is sent.
    #[inline]
    pub(crate) fn effective_content_type(&self) -> Option<&'static str> {
        self.content_type_or(self.body.content_type())
    }

    /// The same, with that of its body.
    #[inline]
    pub(crate) fn content_type_or(&self, own: Option<&'static str>) -> Option<&'static str> {
        if self.head.content_type.is_some() {
            return self.head.content_type;
        }
        let is_set = !self.head.fields.is_empty()
            && self.head.fields.iter().any(|(name, _)| *name == header::CONTENT_TYPE);
        if is_set { None } else { own }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.head.status)
            .field("content_type", &self.head.content_type)
            .field("fields", &self.head.fields)
            .field("body", &self.body)
            .field("close", &self.head.close)
            .finish()
    }
}
