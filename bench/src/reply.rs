//! The response that all servers give. Every other response is an error.

use std::io::{self, ErrorKind, Read};

use straightline_harness::{End, FromReply, Head, Reply, ReplyReader};

use crate::serve::BODY;

/// Waits for the expected response.
///
/// # Errors
///
/// `InvalidData` for any other response; `UnexpectedEof` if the connection ends.
pub(crate) fn read_expected(reader: &mut ReplyReader, stream: &mut impl Read) -> io::Result<()> {
    let (end, place) = match reader.reply(stream)? {
        Reply::Whole(Expected { .. }) => return Ok(()),
        Reply::Nothing(end) => (end, "before"),
        Reply::Half(end) => (end, "within"),
    };
    Err(io::Error::new(ErrorKind::UnexpectedEof, format!("{end} {place} a response")))
}

/// Makes sure that the server closes and sends nothing before it does.
pub(crate) fn read_end(reader: &mut ReplyReader, stream: &mut impl Read) -> io::Result<()> {
    match reader.reply(stream)? {
        Reply::Nothing(End::Closed) => Ok(()),
        Reply::Nothing(End::Reset) => Err(ErrorKind::ConnectionReset.into()),
        Reply::Whole(Expected { .. }) | Reply::Half(_) => Err(unasked()),
    }
}

pub(crate) fn unasked() -> io::Error {
    wrong("more responses than requests")
}

/// The expected response, as far as it has arrived.
struct Expected {
    /// The part of the body that is still missing.
    rest: &'static [u8],
}

impl FromReply for Expected {
    fn from_head(head: &Head<'_>) -> io::Result<Self> {
        if head.status() != 200 {
            return Err(wrong(&format!("status {}", head.status())));
        }
        let length = head.field("content-length").and_then(|length| length.parse::<usize>().ok());
        if length != Some(BODY.len()) {
            return Err(wrong(&format!("content length {length:?}")));
        }
        Ok(Self { rest: BODY.as_bytes() })
    }

    fn add_body(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => return Err(wrong(&format!("the body {:?}", String::from_utf8_lossy(bytes)))),
        }
        Ok(())
    }
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";

    fn read(bytes: &str) -> io::Result<()> {
        read_expected(&mut ReplyReader::default(), &mut bytes.as_bytes())
    }

    #[test]
    fn a_piece_of_a_response_is_none() {
        assert!(read(GOOD).is_ok());
        for end in 0..GOOD.len() {
            let error = read(&GOOD[..end]).expect_err("a piece");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{end}");
        }
    }

    #[test]
    fn other_responses_are_errors() {
        for (from, to) in [("200", "404"), ("13", "12"), ("World", "world"), ("HTTP", "SMTP")] {
            let error = read(&GOOD.replace(from, to)).expect_err(to);
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{to}");
        }
    }

    #[test]
    fn nothing_may_follow_the_last_response() {
        for (bytes, is_end) in [("", true), ("H", false), (GOOD, false)] {
            let result = read_end(&mut ReplyReader::default(), &mut bytes.as_bytes());
            assert_eq!(result.is_ok(), is_end, "{bytes}");
        }
    }
}
