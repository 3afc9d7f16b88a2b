//! Reads responses as a strict client does: a response is whole, or an error.
//!
//! The rules for the end of a body are those of RFC 9112 section 6.3. A body that ends before its
//! length or without its last chunk is an error, and so is a response whose length could be read in
//! two ways: no test should take such a response for a good one.

use std::io::{self, ErrorKind, Read};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

/// A response that was received whole.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: HeaderMap,
    /// Another request may follow on the connection.
    pub(super) keeps_connection: bool,
}

/// Reads from `source` and keeps what belongs to later responses.
pub(super) struct ResponseReader<R> {
    source: R,
    buffer: Vec<u8>,
    /// The most bytes of a body.
    body_bytes_max: usize,
    /// How many bytes have been received.
    received: u64,
}

/// How the end of a body is found.
#[derive(Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl<R: Read> ResponseReader<R> {
    pub(super) fn new(source: R, body_bytes_max: usize) -> Self {
        Self { source, buffer: Vec::new(), body_bytes_max, received: 0 }
    }

    /// Whether a byte of a response has arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.received > 0
    }

    /// Reads the response to a request with `method`, and passes over interim responses.
    pub(super) fn read(&mut self, method: &Method) -> io::Result<Received> {
        let mut response = loop {
            let response = self.read_head()?;
            let is_interim = response.status.is_informational();
            if !is_interim || response.status == StatusCode::SWITCHING_PROTOCOLS {
                break response;
            }
        };
        let framing = framing(method, &response)?;
        let keeps = framing != Framing::UntilClose && persists(&response);
        response.keeps_connection = keeps && response.status != StatusCode::SWITCHING_PROTOCOLS;
        match framing {
            Framing::Length(length) => self.read_length(length, &mut response)?,
            Framing::Chunked => self.read_chunks(&mut response)?,
            Framing::UntilClose => while self.fill(&response)? {},
        }
        if framing == Framing::UntilClose {
            response.body = std::mem::take(&mut self.buffer);
        } else if response.keeps_connection && !self.buffer.is_empty() {
            let message = format!("{} bytes behind the response", self.buffer.len());
            return Err(invalid(&message));
        }
        Ok(response)
    }

    fn read_head(&mut self) -> io::Result<Received> {
        loop {
            if let Some(end) = end_of_fields(&self.buffer) {
                let head: Vec<u8> = self.buffer.drain(..end).collect();
                return parse_head(&head);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("a head that is too long"));
            }
            if !self.fill_some()? {
                let message = match self.buffer.len() {
                    0 => "the connection ended without a response".to_owned(),
                    count => format!("the connection ended after {count} bytes of a head"),
                };
                return Err(io::Error::new(ErrorKind::UnexpectedEof, message));
            }
        }
    }

    fn read_length(&mut self, length: u64, response: &mut Received) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| self.too_long())?;
        if length > self.body_bytes_max {
            return Err(self.too_long());
        }
        while self.buffer.len() < length {
            if !self.fill(response)? {
                return Err(truncated(response, self.buffer.len(), Some(length)));
            }
        }
        response.body = self.buffer.drain(..length).collect();
        Ok(())
    }

    fn read_chunks(&mut self, response: &mut Received) -> io::Result<()> {
        loop {
            let line = self.read_line(response)?;
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(size.trim_ascii()).ok().filter(|size| {
                !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let Some(size) = size else { return Err(invalid("a chunk without a size")) };
            if size == 0 {
                break;
            }
            if size > self.body_bytes_max - response.body.len() {
                return Err(self.too_long());
            }
            while self.buffer.len() < size + 2 {
                if !self.fill(response)? {
                    return Err(truncated(response, response.body.len(), None));
                }
            }
            if &self.buffer[size..size + 2] != b"\r\n" {
                return Err(invalid("a chunk that is longer than its size"));
            }
            response.body.extend(self.buffer.drain(..size + 2).take(size));
        }
        let mut fields = Vec::new();
        loop {
            let line = self.read_line(response)?;
            fields.extend_from_slice(&[&line[..], b"\r\n"].concat());
            if line.is_empty() {
                response.trailers = parse_fields(&fields)?;
                return Ok(());
            }
            if fields.len() > HEAD_BYTES_MAX {
                return Err(invalid("trailers that are too long"));
            }
        }
    }

    /// A line of the chunked coding, without its end.
    fn read_line(&mut self, response: &Received) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.drain(..end + 2).take(end).collect();
                return Ok(line);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("a line of a chunked body that is too long"));
            }
            if !self.fill(response)? {
                return Err(truncated(response, response.body.len(), None));
            }
        }
    }

    /// Receives more of a body; false at the end of the connection.
    fn fill(&mut self, response: &Received) -> io::Result<bool> {
        if self.buffer.len() > self.body_bytes_max.saturating_add(HEAD_BYTES_MAX) {
            return Err(self.too_long());
        }
        let received = response.body.len() + self.buffer.len();
        self.fill_some().map_err(|error| {
            let status = response.status.as_u16();
            let message = format!("a {status} broke after {received} bytes of its body: {error}");
            io::Error::new(error.kind(), message)
        })
    }

    /// Receives more; false at the end of the connection.
    fn fill_some(&mut self) -> io::Result<bool> {
        let mut piece = [0; PIECE_BYTES];
        loop {
            match self.source.read(&mut piece) {
                Ok(count) => {
                    self.buffer.extend_from_slice(&piece[..count]);
                    self.received += count as u64;
                    return Ok(count > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn too_long(&self) -> io::Error {
        invalid(&format!("a body of more than {} bytes", self.body_bytes_max))
    }
}

/// Where a head ends, with its empty line.
fn end_of_fields(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn parse_head(head: &[u8]) -> io::Result<Received> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    parsed.parse(head).map_err(|error| invalid(&format!("not a response: {error}")))?;
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or_else(|| invalid("not a status"))?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    Ok(Received {
        status,
        version,
        headers: to_map(parsed.headers)?,
        body: Vec::new(),
        trailers: HeaderMap::new(),
        keeps_connection: false,
    })
}

fn parse_fields(text: &[u8]) -> io::Result<HeaderMap> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    match httparse::parse_headers(text, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) => to_map(fields),
        _ => Err(invalid("not trailers")),
    }
}

fn to_map(fields: &[httparse::Header<'_>]) -> io::Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(invalid(&format!("not a header field: {}", field.name)));
        };
        map.append(name, value);
    }
    Ok(map)
}

/// RFC 9112 section 6.3.
fn framing(method: &Method, response: &Received) -> io::Result<Framing> {
    let status = response.status;
    let has_no_body = status.is_informational()
        || matches!(status.as_u16(), 204 | 304)
        || *method == Method::HEAD
        || (*method == Method::CONNECT && status.is_success());
    let codings = list(&response.headers, &header::TRANSFER_ENCODING);
    let mut lengths = list(&response.headers, &header::CONTENT_LENGTH);
    if !codings.is_empty() && !lengths.is_empty() {
        return Err(invalid("a response with both Transfer-Encoding and Content-Length"));
    }
    if has_no_body {
        return Ok(Framing::Length(0));
    }
    if let Some(last) = codings.last() {
        let is_chunked = codings.len() == 1 && last.eq_ignore_ascii_case("chunked");
        return if is_chunked { Ok(Framing::Chunked) } else { Err(invalid("a transfer coding")) };
    }
    lengths.dedup();
    match &lengths[..] {
        [] => Ok(Framing::UntilClose),
        [length] if length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).map_err(|_| invalid("not a length"))
        }
        _ => Err(invalid("a Content-Length that is not one number")),
    }
}

/// The elements of a field that is a list.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter();
    let text = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let lines: Vec<String> = text.collect();
    lines.iter().flat_map(|line| line.split(',')).map(|part| part.trim().to_owned()).collect()
}

/// RFC 9112 section 9.3.
fn persists(response: &Received) -> bool {
    let options = list(&response.headers, &header::CONNECTION);
    let has = |name: &str| options.iter().any(|option| option.eq_ignore_ascii_case(name));
    if response.version == Version::HTTP_10 { has("keep-alive") } else { !has("close") }
}

fn truncated(response: &Received, received: usize, length: Option<usize>) -> io::Error {
    let status = response.status.as_u16();
    let of = length.map_or("an unknown number of".to_owned(), |length| length.to_string());
    let message = format!("a {status} ended after {received} of {of} bytes of its body");
    io::Error::new(ErrorKind::UnexpectedEof, message)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message.to_owned())
}

/// The most bytes of a head, of the trailers and of a line of a chunked body. Arbitrary: more than
/// browsers take.
const HEAD_BYTES_MAX: usize = 256 << 10;

/// The most fields of a head. Arbitrary: more than any server sends.
const FIELDS_MAX: usize = 256;

/// How many bytes are read at once. Arbitrary.
const PIECE_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads in pieces of `size` bytes.
    struct Pieces<'b>(&'b [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(count);
            buffer[..count].copy_from_slice(now);
            self.0 = later;
            Ok(count)
        }
    }

    fn read(method: &Method, text: &str, size: usize) -> Result<String, String> {
        let mut reader = ResponseReader::new(Pieces(text.as_bytes(), size), 100);
        let response = reader.read(method).map_err(|error| error.to_string())?;
        let trailers: Vec<_> = response.trailers.keys().map(HeaderName::as_str).collect();
        Ok(format!(
            "{} {} {:?} {}",
            response.status.as_u16(),
            String::from_utf8_lossy(&response.body),
            trailers,
            if response.keeps_connection { "keeps" } else { "closes" }
        ))
    }

    /// The answer is the same in whatever pieces the response arrives.
    fn read_in_pieces(method: &Method, text: &str) -> Result<String, String> {
        let whole = read(method, text, usize::MAX);
        for size in [1, 2, 3, 7] {
            let pieces = read(method, text, size);
            assert_eq!(pieces.is_ok(), whole.is_ok(), "{text:?} in pieces of {size}");
            if whole.is_ok() {
                assert_eq!(pieces, whole, "{text:?} in pieces of {size}");
            }
        }
        whole
    }

    #[test]
    fn a_whole_response_is_read_by_its_framing() {
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "200 hi [] keeps"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\nConnection: close\r\n\r\nhi",
                "200 hi [] closes",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nto the end", "200 to the end [] closes"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "200  [] closes"),
            ("HTTP/1.1 204 No Content\r\n\r\n", "204  [] keeps"),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304  [] keeps"),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
              HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                "200  [] keeps",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
              2;x=y\r\nhi\r\n3\r\n, a\r\n0\r\nSum: 5\r\n\r\n",
                "200 hi, a [\"sum\"] keeps",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read_in_pieces(&Method::GET, text).as_deref(), Ok(expected), "{text}");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
        assert_eq!(read_in_pieces(&Method::HEAD, head).as_deref(), Ok("200  [] keeps"));
    }

    #[test]
    fn a_response_that_is_cut_or_ambiguous_is_an_error() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let cases = [
            (String::new(), "the connection ended without a response"),
            ("HTTP/1.1 200 OK\r\nContent-".to_owned(), "ended after 25 bytes of a head"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi".to_owned(), "2 of 3 bytes"),
            (format!("{chunked}2\r\nhi\r\n"), "2 of an unknown number of bytes"),
            (format!("{chunked}2\r\nhi\r\n0\r\n"), "2 of an unknown number of bytes"),
            (format!("{chunked}2\r\nhi!\r\n0\r\n\r\n"), "longer than its size"),
            (format!("{chunked}-1\r\n\r\n"), "without a size"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhi".to_owned(),
                "not one number",
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                    .to_owned(),
                "both",
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n".to_owned(), "more than 100 bytes"),
            ("hello\r\n\r\n".to_owned(), "not a response"),
        ];
        for (text, expected) in &cases {
            let error = read_in_pieces(&Method::GET, text).expect_err(text);
            assert!(error.contains(expected), "{text:?}: {error}");
        }
        let body = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
        let error = read(&Method::HEAD, body, usize::MAX).expect_err("a body for HEAD");
        assert!(error.contains("2 bytes behind the response"), "{error}");
    }
}
