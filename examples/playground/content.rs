//! Content that is compressed as the client accepts, or must not be.

use std::io::{self, Read, Write};
use std::time::Duration;

use straightline::sched;
use straightline::web::{EntityTag, RequestExt, Validators};
use straightline::{IntoResponse, Request, Response};
use straightline_examples::echo;

use crate::query::parameter;

/// Numbered lines, always the same, cut at `bytes` bytes.
pub(crate) fn text(request: &Request) -> Result<Response, Response> {
    let bytes = parameter(request, "bytes", 64 * 1024)?;
    let validators = Validators::new().with_etag(EntityTag::strong(format!("text-{bytes}")));
    if let Some(response) = request.check_conditions(&validators) {
        return Ok(response);
    }
    let lines = Lines { number: 0, line: Vec::new(), at: 0 };
    let response = Response::reader(lines.take(bytes)).content_length(bytes);
    Ok(validators.mark(response.content_type("text/plain; charset=utf-8")))
}

/// `line 0` and so on, each sent when it is written.
pub(crate) fn stream(request: &Request) -> Result<Response, Response> {
    let lines: u64 = parameter(request, "lines", 10)?;
    let pause = Duration::from_millis(parameter(request, "ms", 100)?);
    Ok(Response::stream(move |_, body| {
        for number in 0..lines {
            if number > 0 {
                sched::sleep(pause);
            }
            writeln!(body, "line {number}")?;
            body.flush()?;
        }
        Ok(())
    })
    .content_type("text/plain; charset=utf-8"))
}

/// The beginning of an image, and nothing behind it that could be seen.
pub(crate) fn png(request: &Request) -> Result<Response, Response> {
    let bytes = parameter(request, "bytes", 64 * 1024)?;
    let image = b"\x89PNG\r\n\x1a\n".chain(io::repeat(0)).take(bytes);
    Ok(Response::reader(image).content_length(bytes).content_type("image/png"))
}

/// The request's body without its content codings, sent back when it is known to be within the
/// bound.
pub(crate) fn decoded(request: &Request, bytes_max: u64) -> Result<Response, Response> {
    let body = request.decoded_body(bytes_max).map_err(IntoResponse::into_response)?;
    let bytes = { body }.read_to_vec().map_err(IntoResponse::into_response)?;
    Ok(echo(request).with_body(bytes))
}

/// Numbered lines without an end.
struct Lines {
    number: u64,
    line: Vec<u8>,
    /// How many bytes of the line were read.
    at: usize,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.at == self.line.len() {
                let number = self.number;
                self.line =
                    format!("{number:>10} the quick brown fox jumps over the lazy dog\n").into();
                (self.number, self.at) = (number + 1, 0);
            }
            let count = (buffer.len() - filled).min(self.line.len() - self.at);
            buffer[filled..filled + count].copy_from_slice(&self.line[self.at..self.at + count]);
            (filled, self.at) = (filled + count, self.at + count);
        }
        Ok(filled)
    }
}
