//! Compresses responses, as a wrapper.

use std::fmt;
use std::mem;
use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode, header};
use straightline_sched::checkpoint;

use super::compressed_writer::CompressedWriter;
use super::compressible::is_compressible_type;
use super::encoder::{Coding, Encoder, Levels};
use crate::conn::Next;
use crate::message::{Request, Response, ResponseBody};
use crate::web::negotiation::AcceptedEncodings;

/// Compresses responses on the fly (RFC 9110 section 8.4.1), for
/// [`ServerBuilder::wrap`](crate::ServerBuilder::wrap) and
/// [`Router::wrap`](crate::web::Router::wrap).
///
/// Compressed are bodies of at least [`min_bytes`](Self::min_bytes), or of unknown length, of the
/// types that [`types`](Self::types) accepts, in the coding that the client likes best; among
/// equals in the first of [`codings`](Self::codings). Left as they are: responses with a
/// `Content-Encoding` or a digest, parts of a resource (206), those with
/// `Cache-Control: no-transform`, and the errors that the server itself makes.
///
/// | what | becomes |
/// |---|---|
/// | `Vary` | has `accept-encoding`, whether the body is compressed or not |
/// | a strong `ETag` | weak, `W/"..."`; a 304 for that weak tag has it too |
/// | `Accept-Ranges` | is removed |
/// | `Content-Length` | that of the compressed body up to 64 KiB of content, otherwise none |
/// | a HEAD | has the header fields of the GET |
/// | a flush, and a wait of the handler | sends what was written so far, as without compression |
/// | trailers | follow the body |
/// | a body that fails | ends without the coding's end, and does not look whole |
///
/// Bodies up to 64 KiB are compressed in memory, and sent as they are if they do not become
/// smaller. All others are compressed while they are sent, in constant memory. Compression gives
/// the thread back as a [`checkpoint`](crate::sched::checkpoint) does, about every millisecond.
///
/// Text that a third party can choose must not be compressed together with a secret, because the
/// length tells about the secret (BREACH). A page with a token against forged requests masks the
/// token differently in each response.
///
/// ```
/// use straightline::web::middleware::Compression;
/// use straightline::{IntoResponse, Next, Request};
///
/// let compress = Compression::new().min_bytes(500).middleware();
///
/// let text = |_: &mut Request| "all the same\n".repeat(100).into_response();
/// let mut request = Request::builder().header("accept-encoding", "gzip, *;q=0.5").build()?;
/// let response = compress(&mut request, Next::new(&text));
/// assert_eq!(response.headers().get("content-encoding"), Some("gzip"));
/// assert_eq!(response.headers().get("vary"), Some("accept-encoding"));
/// assert!(response.body().length() < Some(100));
/// # Ok::<(), straightline::InvalidRequest>(())
/// ```
#[derive(Clone)]
#[must_use = "`middleware` makes the function for `wrap`"]
pub struct Compression {
    min_bytes: u64,
    codings: Vec<Coding>,
    levels: Levels,
    is_type: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl Compression {
    /// Compression with all codings that the program has.
    pub fn new() -> Self {
        Self {
            min_bytes: MIN_BYTES,
            codings: Coding::ALL.to_vec(),
            levels: Levels::default(),
            is_type: Arc::new(is_compressible_type),
        }
    }

    /// From which length on bodies are compressed. Default: 1,024 bytes. Arbitrary: less fits into
    /// the packet of the head.
    pub fn min_bytes(mut self, bytes: u64) -> Self {
        self.min_bytes = bytes;
        self
    }

    /// The codings, in the order in which the server prefers them. Default: [`Coding::ALL`].
    pub fn codings(mut self, codings: impl IntoIterator<Item = Coding>) -> Self {
        self.codings = codings.into_iter().collect();
        self
    }

    /// Which media types are compressed: a function from the type, without parameters and in small
    /// letters. Default: `text/*`, JSON, XML, JavaScript, WebAssembly, SVG, fonts that are not
    /// compressed, and the like; not images, sound, films and archives, which are.
    pub fn types(mut self, is_type: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.is_type = Arc::new(is_type);
        self
    }

    /// The level of `gzip`, 1 (fast) to 9 (small). Default: 4.
    ///
    /// # Panics
    ///
    /// If there is no such level.
    #[cfg(feature = "gzip")]
    #[track_caller]
    pub fn gzip_level(mut self, level: u32) -> Self {
        assert!((1..=9).contains(&level), "straightline: gzip has the levels 1 to 9, not {level}");
        self.levels.gzip = level;
        self
    }

    /// The quality of `br`, 0 (fast) to 11 (small, and a hundred times as slow). Default: 3.
    ///
    /// # Panics
    ///
    /// If there is no such quality.
    #[cfg(feature = "brotli")]
    #[track_caller]
    pub fn brotli_quality(mut self, quality: u32) -> Self {
        assert!(quality <= 11, "straightline: brotli has the qualities 0 to 11, not {quality}");
        self.levels.brotli = quality;
        self
    }

    /// The level of `zstd`, 1 (fast) to 19 (small). Default: 3.
    ///
    /// # Panics
    ///
    /// If there is no such level.
    #[cfg(feature = "zstd")]
    #[track_caller]
    pub fn zstd_level(mut self, level: i32) -> Self {
        assert!(
            (1..=19).contains(&level),
            "straightline: zstd has the levels 1 to 19, not {level}"
        );
        self.levels.zstd = level;
        self
    }

    /// The wrapper. It is a yield point if the handler is one, and if it compresses a body in
    /// memory.
    pub fn middleware(
        self,
    ) -> impl Fn(&mut Request, Next<'_>) -> Response + Clone + Send + Sync + 'static {
        move |request, next| {
            let response = next.run(request);
            self.compress(request, response)
        }
    }

    fn compress(&self, request: &mut Request, mut response: Response) -> Response {
        if response.status() == StatusCode::NOT_MODIFIED {
            mark_not_modified(request, &mut response);
            return response;
        }
        if !self.is_compressible(&response) {
            return response;
        }
        add_vary(&mut response);
        let Some(coding) = self.choose(request) else { return response };
        if !request.link().try_hold(coding.state_bytes(self.levels)) {
            return response;
        }
        let body = response.take_body();
        let body = match body.as_bytes() {
            Some(bytes) if bytes.len() <= IN_MEMORY_BYTES_MAX => {
                let Some(compressed) = compress_in_memory(bytes, coding, self.levels) else {
                    response.set_body(body);
                    return response;
                };
                compressed.into()
            }
            _ => compress_streamed(body, coding, self.levels),
        };
        response.set_body(body);
        response.set_header(header::CONTENT_ENCODING, coding.name());
        response.remove_header(header::ACCEPT_RANGES);
        weaken_etag(&mut response);
        response
    }

    /// The coding that the client likes best, if it likes one better than none.
    fn choose(&self, request: &Request) -> Option<Coding> {
        let accepted = AcceptedEncodings::of(request.headers());
        let names: Vec<_> = self.codings.iter().map(|coding| coding.name()).collect();
        let choices = [&names[..], &["identity"]].concat();
        let chosen = accepted.preferred(&choices)?;
        self.codings.iter().copied().find(|coding| coding.name() == chosen)
    }

    /// Whether the response would be compressed for a client that accepts it.
    fn is_compressible(&self, response: &Response) -> bool {
        let (status, headers, body) = (response.status(), response.headers(), response.body());
        let has_content = !status.is_informational()
            && ![StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::PARTIAL_CONTENT]
                .contains(&status)
            && !body.is_upgrade();
        let is_fixed = DIGESTS.iter().any(|name| headers.contains(name))
            || headers.contains(header::CONTENT_ENCODING)
            || headers.contains(header::CONTENT_RANGE)
            || headers
                .list(header::CACHE_CONTROL)
                .any(|directive| directive.eq_ignore_ascii_case("no-transform"));
        // The server may replace the text of an error, and reports what is behind it.
        let is_error_of_server = body.error_text().is_some();
        let is_long = body.length().is_none_or(|bytes| bytes >= self.min_bytes);
        if !has_content || is_fixed || is_error_of_server || !is_long {
            return false;
        }
        let content_type = headers.content_type().unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim_ascii();
        (self.is_type)(&media_type.to_ascii_lowercase())
    }
}

impl Default for Compression {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compression")
            .field("min_bytes", &self.min_bytes)
            .field("codings", &self.codings)
            .field("levels", &self.levels)
            .finish_non_exhaustive()
    }
}

/// The compressed body; `None` if it is not smaller, or could not be compressed.
fn compress_in_memory(bytes: &[u8], coding: Coding, levels: Levels) -> Option<Vec<u8>> {
    let mut encoder = Encoder::new(coding, levels).ok()?;
    for piece in bytes.chunks(PIECE_BYTES) {
        checkpoint();
        encoder.put(piece).ok()?;
    }
    encoder.finish().ok()?;
    let compressed = mem::take(encoder.output());
    (compressed.len() < bytes.len()).then_some(compressed)
}

/// The body, compressed while it is sent.
fn compress_streamed(body: ResponseBody, coding: Coding, levels: Levels) -> ResponseBody {
    ResponseBody::stream(move |request, writer| {
        let mut compressed = CompressedWriter::new(writer, Encoder::new(coding, levels)?);
        let trailers = body.write_to(request, &mut compressed)?;
        compressed.finish()?;
        let mut last = None;
        for (name, value) in trailers {
            // Further values of a field come without its name.
            last = name.or(last);
            if let Some(name) = &last {
                writer.trailer(name.clone(), value)?;
            }
        }
        Ok(())
    })
}

/// Adds `accept-encoding` to `Vary` (RFC 9110 section 12.5.5).
fn add_vary(response: &mut Response) {
    let is_there = response
        .headers()
        .list(header::VARY)
        .any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"));
    if !is_there {
        response.append_header(header::VARY, "accept-encoding");
    }
}

/// The fields of a 304 are those of the response that the client has (RFC 9110 section 15.4.5): a
/// client that asked with the weak tag of a compressed one gets that tag.
fn mark_not_modified(request: &Request, response: &mut Response) {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return;
    }
    add_vary(response);
    let Some(tag) = response.headers().get(header::ETAG).filter(|tag| is_strong(tag)) else {
        return;
    };
    let weak = format!("W/{tag}");
    let asked = request.headers().all(header::IF_NONE_MATCH);
    if asked.into_iter().any(|field| memchr::memmem::find(field, weak.as_bytes()).is_some()) {
        weaken_etag(response);
    }
}

/// A strong tag is one for the same bytes (RFC 9110 section 8.8.1), and these are others.
fn weaken_etag(response: &mut Response) {
    let Some(tag) = response.headers().get_bytes(header::ETAG) else { return };
    if tag.starts_with(b"\"") {
        let weak = HeaderValue::from_bytes(&[b"W/", tag].concat());
        match weak {
            Ok(weak) => response.set_header(header::ETAG, weak),
            Err(_) => response.remove_header(header::ETAG),
        }
    }
}

fn is_strong(tag: &str) -> bool {
    tag.starts_with('"')
}

/// Digests of the content or of the representation, which another coding would make wrong
/// (RFC 9530).
const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// From which length on bodies are compressed. Arbitrary, see [`Compression::min_bytes`].
const MIN_BYTES: u64 = 1_024;

/// Bodies up to this length are compressed in memory. Arbitrary: a fraction of a millisecond of
/// computing.
const IN_MEMORY_BYTES_MAX: usize = 64 * 1_024;

/// How many bytes are compressed between two checkpoints. Arbitrary: a fraction of a millisecond.
const PIECE_BYTES: usize = 4 * 1_024;
