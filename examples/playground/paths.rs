//! The paths of the playground, one for each feature.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};
use straightline::sched;
use straightline::web::middleware::Compression;
use straightline::{BodyError, IntoResponse, Method, Next, Request, Response, StatusCode, header};
use straightline_examples::{echo, metrics};

use crate::content;
use crate::query::parameter;

pub(crate) const PATHS: &str = "\
Paths:
  /, /hello      a line of text
  /echo          POST or PUT: the request's body, sent back while it arrives; a body with a
                 Content-Encoding is decoded first
  /upload        POST or PUT: the length of the request's body, and its SHA-256
  /reverse       POST or PUT: the request's body backwards, at most 64 MiB
  /big?bytes=N   N bytes (1048576), streamed
  /text?bytes=N  N bytes of text (65536), always the same, with an ETag, compressed if the client
                 accepts it
  /stream?lines=N&ms=M  N lines (10), one each M milliseconds (100), likewise
  /png?bytes=N   N bytes of an image (65536), which is not compressed
  /nocontent     204
  /slow?ms=N     a line of text, after N milliseconds (1000)
  /headers       the request's head as JSON
  /block?ms=N    blocks a thread of the offload pool for N milliseconds (1000)
  /spin?ms=N     computes for N milliseconds (1000) without yielding
  /hang          computes for ever without yielding
  /recurse?depth=N  calls itself N times (10), a kilobyte of stack each
  /panic         panics
  /healthz       200 as long as the server responds
  /readyz        200, and 503 once a stop has begun
  /metrics       the metrics in Prometheus' text format";

/// The handler of all paths. A body of `/echo` with a content coding may be decoded to
/// `decoded_bytes_max` bytes.
pub(crate) fn handler(decoded_bytes_max: u64) -> impl Fn(&mut Request) -> Response {
    let compress = Compression::new().middleware();
    move |request| {
        let is_compressed = ["/text", "/stream", "/png", "/nocontent"].contains(&request.path());
        let answer = |request: &mut Request| answer(request, decoded_bytes_max);
        if is_compressed { compress(request, Next::new(&answer)) } else { answer(request) }
    }
}

fn answer(request: &mut Request, decoded_bytes_max: u64) -> Response {
    let allowed: &[Method] = match request.path() {
        "/" | "/hello" | "/big" | "/slow" | "/headers" | "/block" | "/spin" | "/hang"
        | "/recurse" | "/panic" | "/text" | "/stream" | "/png" | "/nocontent" | "/healthz"
        | "/readyz" | "/metrics" => &[Method::GET, Method::HEAD],
        "/echo" | "/upload" | "/reverse" => &[Method::POST, Method::PUT],
        // The methods of the server as a whole.
        "*" => {
            let all = "GET, HEAD, POST, PUT, OPTIONS";
            return Response::new(StatusCode::NO_CONTENT).header(header::ALLOW, all);
        }
        _ if request.method() == Method::CONNECT => {
            return StatusCode::NOT_IMPLEMENTED.into_response();
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    if !allowed.contains(request.method()) {
        return Response::method_not_allowed(allowed);
    }
    match request.path() {
        "/echo" if request.headers().contains(header::CONTENT_ENCODING) => {
            content::decoded(request, decoded_bytes_max).into_response()
        }
        "/echo" => echo(request),
        "/text" => content::text(request).into_response(),
        "/stream" => content::stream(request).into_response(),
        "/png" => content::png(request).into_response(),
        "/nocontent" => StatusCode::NO_CONTENT.into_response(),
        "/upload" => upload(request).into_response(),
        "/reverse" => reverse(request).into_response(),
        "/big" => big(request).into_response(),
        "/slow" => slow(request).into_response(),
        "/headers" => headers(request),
        "/block" => block(request).into_response(),
        "/spin" => spin(request).into_response(),
        "/hang" => loop {
            std::hint::spin_loop();
        },
        "/recurse" => recurse(request).into_response(),
        "/panic" => panic!("as you wish"),
        "/healthz" => "alive\n".into_response(),
        "/metrics" => metrics(request),
        "/readyz" if request.server().is_ready() => "ready\n".into_response(),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response(),
        _ => "Hello, World!\n".into_response(),
    }
}

/// Holds the whole body in memory, because its last byte is the first one of the response.
fn reverse(request: &mut Request) -> Result<Vec<u8>, BodyError> {
    let mut bytes = request.body().read_to_vec(REVERSED_BYTES_MAX)?;
    bytes.reverse();
    Ok(bytes)
}

fn upload(request: &mut Request) -> Result<Response, Response> {
    let mut hash = Sha256::new();
    let bytes = request.body().copy_to(&mut hash).map_err(|error| match BodyError::of(&error) {
        Some(error) => error.into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    })?;
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(as_json(&json!({ "bytes": bytes, "sha256": sha256 })))
}

fn big(request: &Request) -> Result<Response, Response> {
    let bytes = parameter(request, "bytes", 1 << 20)?;
    Ok(Response::stream(move |_, body| {
        let piece = vec![b'x'; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            let count = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            body.write_all(&piece[..count])?;
            left -= count as u64;
        }
        Ok(())
    })
    .content_type("application/octet-stream"))
}

fn slow(request: &Request) -> Result<String, Response> {
    let time = Duration::from_millis(parameter(request, "ms", 1_000)?);
    sched::sleep(time);
    Ok(format!("that took {time:?}\n"))
}

fn block(request: &Request) -> Result<String, Response> {
    let time = Duration::from_millis(parameter(request, "ms", 1_000)?);
    match sched::offload(move || std::thread::sleep(time)) {
        Ok(()) => Ok(format!("that blocked a thread for {time:?}\n")),
        Err(error) => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()),
    }
}

fn spin(request: &Request) -> Result<String, Response> {
    let time = Duration::from_millis(parameter(request, "ms", 1_000)?);
    let begin = Instant::now();
    while begin.elapsed() < time {
        std::hint::spin_loop();
    }
    Ok(format!("that kept the thread for {time:?}\n"))
}

fn recurse(request: &Request) -> Result<String, Response> {
    #[inline(never)]
    fn descend(depth: u64) -> u64 {
        let frame = [depth; 120];
        let below = if depth == 0 { 0 } else { 1 + descend(depth - 1) };
        below + black_box(&frame)[0] - depth
    }
    let depth = parameter(request, "depth", 10)?;
    Ok(format!("{} calls deep\n", descend(depth)))
}

fn headers(request: &Request) -> Response {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers = request.headers();
    let fields: Vec<_> = headers.iter().map(|(name, value)| (name, text(value))).collect();
    as_json(&json!({
        "method": request.method().as_str(),
        "target": request.target(),
        "path": request.path(),
        "query": request.query(),
        "version": format!("{:?}", request.version()),
        "headers": fields,
    }))
}

fn as_json(value: &serde_json::Value) -> Response {
    format!("{value}\n").into_response().content_type("application/json")
}

/// The most bytes that `/reverse` holds in memory for a client.
const REVERSED_BYTES_MAX: u64 = 64 << 20;
