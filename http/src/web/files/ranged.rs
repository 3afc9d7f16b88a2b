//! A file or another source as a response: whole, or in the parts that the client asks for (RFC
//! 9110 section 14), after the conditions of the request.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;

use http::{HeaderValue, Method, StatusCode, header};
use straightline_sched as sched;

use super::entity_tag::EntityTag;
use super::range::{self, Asked};
use super::validators::Validators;
use crate::message::{
    BodyWriter, IntoResponse, Problem, Request, Response, ResponseBody, Streamed,
};

/// A file, or anything that can be read from any place, as a response: whole, or in the parts that
/// the client asks for with `Range` (RFC 9110 section 14).
///
/// [`respond`](Self::respond) evaluates the request's conditions and its `If-Range` with the
/// [`Validators`], so the response is one of these:
///
/// | status | when |
/// |---|---|
/// | 200 | no `Range`, or one that does not count (1) |
/// | 206 | a part, with `Content-Range`; several as `multipart/byteranges` |
/// | 304, 412 | by the conditions, see [`Validators`] |
/// | 416 | none of the parts exists |
///
/// (1) It is malformed, has another unit than `bytes`, names more than 100 parts, belongs to
/// another method than GET, or `If-Range` names another state.
///
/// Parts that overlap become one, so a response never has more than the length of the source, and
/// a head for each of at most 100 parts.
///
/// ```
/// use std::io::Cursor;
/// use straightline::web::Ranged;
/// use straightline::{Request, Response, StatusCode};
///
/// fn alphabet(request: &mut Request) -> std::io::Result<Response> {
///     let source = Cursor::new("abcdefghijklmnopqrstuvwxyz");
///     Ok(Ranged::new(source)?.with_content_type("text/plain").respond(request))
/// }
///
/// let mut request = Request::builder().header("range", "bytes=-3").build()?;
/// let response = alphabet(&mut request)?;
/// assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
/// assert_eq!(response.headers().get("content-range"), Some("bytes 23-25/26"));
/// let mut body = Vec::new();
/// response.into_body().write_to(&mut request, &mut body)?;
/// assert_eq!(body, b"xyz");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ranged {
    source: Source,
    length: u64,
    content_type: Cow<'static, str>,
    validators: Validators,
}

/// Where the bytes come from.
enum Source {
    File(File),
    Other(Box<dyn ReadSeek>),
}

/// What can be read from any place.
trait ReadSeek: Read + Seek {}

impl<T: Read + Seek> ReadSeek for T {}

impl Ranged {
    /// Any source, from its first byte to its present end.
    ///
    /// # Blocking
    ///
    /// A yield point if `seek` of the source is one.
    ///
    /// # Errors
    ///
    /// The error of `seek`.
    pub fn new(source: impl Read + Seek + 'static) -> io::Result<Self> {
        let mut source = source;
        let length = source.seek(SeekFrom::End(0))?;
        Ok(Self::of(Source::Other(Box::new(source)), length, Validators::new()))
    }

    /// A file, with the time of its last change and an entity tag of this time and its length.
    /// Where possible, the system sends it without a copy through the program.
    ///
    /// Not a yield point.
    ///
    /// # Errors
    ///
    /// The system's error for the metadata; `InvalidInput` if it is not a regular file.
    pub fn file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self::regular(file, &metadata, ""))
    }

    /// A regular file. The files of different `kind` have different tags.
    pub(super) fn regular(file: File, metadata: &std::fs::Metadata, kind: &str) -> Self {
        let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
        let length = metadata.len();
        let tag = EntityTag::strong(format_args!("{seconds:x}.{nanoseconds:x}-{length:x}{kind}"));
        let mut validators = Validators::new().with_etag(tag);
        if let Ok(changed) = metadata.modified() {
            validators = validators.with_last_modified(changed);
        }
        Self::of(Source::File(file), length, validators)
    }

    /// See [`Validators::sharing_date`].
    pub(super) fn sharing_date(mut self) -> Self {
        self.validators = self.validators.sharing_date();
        self
    }

    fn of(source: Source, length: u64, validators: Validators) -> Self {
        Self { source, length, content_type: Cow::Borrowed(BYTES), validators }
    }

    /// The media type of the whole. Default: `application/octet-stream`.
    ///
    /// [`respond`](Self::respond) panics if it is not a header value.
    pub fn with_content_type(mut self, content_type: impl Into<Cow<'static, str>>) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// What identifies the present state, for the conditions of requests. Default: nothing for a
    /// source that is not a [`file`](Self::file).
    pub fn with_validators(mut self, validators: Validators) -> Self {
        self.validators = validators;
        self
    }

    /// The response to the request.
    ///
    /// The source is read while the response is sent. If it has fewer bytes by then than it had
    /// before, the client sees that the body has ended early; if it has more, that changes nothing.
    ///
    /// Not a yield point.
    pub fn respond(self, request: &Request) -> Response {
        self.validators.check(request).unwrap_or_else(|| self.perform(request))
    }

    /// The response if all conditions but `If-Range` hold.
    fn perform(self, request: &Request) -> Response {
        let asked = match asked_for(request, &self.validators) {
            Some(field) => range::parse(field, self.length),
            None => Asked::Whole,
        };
        let (validators, length) = (self.validators.clone(), self.length);
        let response = match asked {
            Asked::Whole => self.whole(),
            Asked::Parts(parts) => self.partial(parts),
            Asked::Unsatisfiable => Problem::new(StatusCode::RANGE_NOT_SATISFIABLE)
                .with_header(header::CONTENT_RANGE, format!("bytes */{length}"))
                .into_response(),
        };
        let mut response = validators.mark(response);
        response.append_header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        response
    }

    /// The whole, whatever the request asks for.
    pub(super) fn whole(self) -> Response {
        let body = self.source.into_body(0..self.length);
        typed(Response::of(body), self.content_type)
    }

    fn partial(self, mut parts: Vec<Range<u64>>) -> Response {
        if parts.len() > 1 {
            return self.multipart(parts);
        }
        let part = parts.pop().unwrap_or(0..self.length);
        let content_range = content_range(&part, self.length);
        let response = Response::of(self.source.into_body(part));
        typed(response, self.content_type)
            .with_status(StatusCode::PARTIAL_CONTENT)
            .append(header::CONTENT_RANGE, content_range)
    }

    /// Several parts (RFC 9110 section 14.6).
    fn multipart(self, parts: Vec<Range<u64>>) -> Response {
        let Self { source, length, content_type, .. } = self;
        // No source holds this line, because the source was there before the line was drawn.
        let boundary = format!("{:016x}{:016x}", sched::random_u64(), sched::random_u64());
        let mut line_end = "";
        let mut pieces = Vec::with_capacity(parts.len());
        for part in parts {
            let range = content_range(&part, length);
            let head = format!(
                "{line_end}--{boundary}\r\nContent-Type: {content_type}\r\n\
                 Content-Range: {range}\r\n\r\n"
            );
            pieces.push((head, part));
            line_end = "\r\n";
        }
        let end = format!("\r\n--{boundary}--\r\n");
        let of_piece =
            |(head, part): &(String, Range<u64>)| head.len() as u64 + (part.end - part.start);
        let total = pieces.iter().map(of_piece).sum::<u64>() + end.len() as u64;
        let mut source = source;
        let response = Response::stream(move |_, body| {
            for (head, part) in pieces {
                body.write_all(head.as_bytes())?;
                source.send(part, body)?;
            }
            body.write_all(end.as_bytes())
        });
        response
            .content_length(total)
            .with_status(StatusCode::PARTIAL_CONTENT)
            .append(header::CONTENT_TYPE, format!("multipart/byteranges; boundary={boundary}"))
    }
}

impl Source {
    fn into_body(self, part: Range<u64>) -> ResponseBody {
        match self {
            Self::File(file) => ResponseBody::streamed(Streamed::File(part, file)),
            Self::Other(_) => {
                let mut source = self;
                let length = part.end - part.start;
                let write =
                    move |_: &mut Request, body: &mut BodyWriter<'_>| source.send(part, body);
                ResponseBody::streamed(Streamed::Writer(Some(length), Box::new(write)))
            }
        }
    }

    fn send(&mut self, part: Range<u64>, body: &mut BodyWriter<'_>) -> io::Result<()> {
        match self {
            Self::File(file) => body.send_file(file, part),
            Self::Other(source) => {
                source.seek(SeekFrom::Start(part.start))?;
                let length = part.end - part.start;
                let mut rest = source.take(length);
                body.copy_from(&mut rest)?;
                match rest.limit() {
                    0 => Ok(()),
                    _ => Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the source became shorter",
                    )),
                }
            }
        }
    }
}

/// The `Range` field, if it counts: it is there once, the method is GET, and `If-Range` holds.
fn asked_for<'r>(request: &'r Request, validators: &Validators) -> Option<&'r [u8]> {
    let headers = request.headers();
    let mut fields = headers.all(header::RANGE);
    let field = fields.next()?;
    let counts = *request.method() == Method::GET
        && fields.next().is_none()
        && validators.match_if_range(headers);
    counts.then_some(field)
}

fn content_range(part: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", part.start, part.end - 1)
}

/// The response with that content type.
pub(super) fn typed(response: Response, content_type: Cow<'static, str>) -> Response {
    match content_type {
        Cow::Borrowed(content_type) => response.content_type(content_type),
        Cow::Owned(content_type) => response.append(header::CONTENT_TYPE, content_type),
    }
}

impl fmt::Debug for Ranged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ranged")
            .field("length", &self.length)
            .field("content_type", &self.content_type)
            .field("validators", &self.validators)
            .finish_non_exhaustive()
    }
}

const BYTES: &str = "application/octet-stream";
