//! Reading responses, and being strict about them.

use std::io::{self, ErrorKind, Read};

use straightline::net::TcpStream;

use crate::serve::BODY;

/// The bytes of a connection that came and are not yet a whole response.
pub(crate) struct Replies {
    /// `bytes[..filled]` is what came.
    bytes: Box<[u8]>,
    filled: usize,
}

impl Replies {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; BUFFER_BYTES].into(), filled: 0 }
    }

    /// Forgets what came, for a new connection.
    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Waits for responses and returns how many are complete: one at least.
    ///
    /// # Errors
    ///
    /// `InvalidData` for any response but the expected one, and for one longer than the buffer.
    pub(crate) fn read(&mut self, stream: &mut TcpStream) -> io::Result<usize> {
        loop {
            if self.filled == self.bytes.len() {
                return Err(wrong("a response without end"));
            }
            let count = stream.read(&mut self.bytes[self.filled..])?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.filled += count;
            let complete = self.take_complete()?;
            if complete > 0 {
                return Ok(complete);
            }
        }
    }

    /// Makes sure that the server closes and sends nothing before it does.
    pub(crate) fn read_end(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        if self.filled > 0 || stream.read(&mut self.bytes)? > 0 {
            return Err(wrong("more than one response"));
        }
        Ok(())
    }

    /// Consumes the complete responses and counts them.
    fn take_complete(&mut self) -> io::Result<usize> {
        let (mut start, mut count) = (0, 0);
        while let Some(length) = response_length(&self.bytes[start..self.filled])? {
            start += length;
            count += 1;
        }
        self.bytes.copy_within(start..self.filled, 0);
        self.filled -= start;
        Ok(count)
    }
}

/// The length of the response that `bytes` begin with, once it is complete and if it is right.
fn response_length(bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let head_end = match head.parse(bytes) {
        Ok(httparse::Status::Complete(end)) => end,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(wrong(&format!("not a response: {error}"))),
    };
    if head.code != Some(200) {
        return Err(wrong(&format!("status {:?}", head.code)));
    }
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(CONTENT_LENGTH));
    let length = length.and_then(|field| str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    if length != Some(BODY.len()) {
        return Err(wrong(&format!("content length {length:?}")));
    }
    let end = head_end + BODY.len();
    match bytes.get(head_end..end) {
        None => Ok(None),
        Some(body) if body == BODY.as_bytes() => Ok(Some(end)),
        Some(body) => Err(wrong(&format!("the body {:?}", String::from_utf8_lossy(body)))),
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

const CONTENT_LENGTH: &str = "content-length";

/// Header fields that a response may have. Arbitrary: the servers here send three.
const FIELDS_MAX: usize = 16;

/// A batch of pipelined responses, several times over.
const BUFFER_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";

    #[test]
    fn any_piece_of_a_response_is_incomplete() {
        for end in 0..GOOD.len() {
            assert!(matches!(response_length(&GOOD.as_bytes()[..end]), Ok(None)), "{end}");
        }
        let two = GOOD.repeat(2);
        assert!(
            matches!(response_length(two.as_bytes()), Ok(Some(length)) if length == GOOD.len())
        );
    }

    #[test]
    fn other_responses_are_errors() {
        for (from, to) in [("200", "404"), ("13", "12"), ("World", "world"), ("HTTP", "SMTP")] {
            assert!(response_length(GOOD.replace(from, to).as_bytes()).is_err(), "{to}");
        }
    }
}
