//! Reading answers: whole ones, half ones, and the ends of connections.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::time::Duration;

use straightline::net::TcpStream;
use straightline::sched;

use crate::body::Hash;

/// What came on a connection.
pub(crate) enum Reply {
    Whole(Answer),
    /// The connection ended before the first byte of an answer.
    Nothing(End),
    /// The connection ended within one.
    Half(End),
}

/// A whole response.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names are in lower case.
    fields: Vec<(String, String)>,
    /// The beginning of the body.
    pub(crate) body: Vec<u8>,
    /// How long the whole body is.
    pub(crate) body_bytes: u64,
    /// Of the whole body.
    pub(crate) body_hash: Hash,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Closed,
    Reset,
}

/// The bytes that came and were not yet taken.
#[derive(Default)]
pub(crate) struct Inbox {
    came: Vec<u8>,
    /// The end, once it came: the system tells of a reset only once.
    end: Option<End>,
    /// How long to wait before each read.
    pub(crate) pause: Duration,
}

/// Why an answer is not whole.
enum Stop {
    End(End),
    Error(io::Error),
}

#[derive(Debug, PartialEq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilTheEnd,
}

impl Inbox {
    /// Reads until there is an answer, or the connection ends.
    pub(crate) fn reply(&mut self, stream: &TcpStream) -> io::Result<Reply> {
        let mut begun = false;
        match self.answer(stream, &mut begun) {
            Ok(answer) => Ok(Reply::Whole(answer)),
            Err(Stop::End(end)) if begun || !self.came.is_empty() => Ok(Reply::Half(end)),
            Err(Stop::End(end)) => Ok(Reply::Nothing(end)),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// Reads once; the end, if that is what came.
    pub(crate) fn more(&mut self, mut stream: &TcpStream) -> io::Result<Option<End>> {
        if !self.pause.is_zero() {
            sched::sleep(self.pause);
        }
        if self.end.is_none() {
            let mut bytes = [0; READ_BYTES];
            match stream.read(&mut bytes) {
                Ok(0) => self.end = Some(End::Closed),
                Ok(count) => self.came.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    self.end = Some(End::Reset);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.end)
    }

    fn answer(&mut self, stream: &TcpStream, begun: &mut bool) -> Result<Answer, Stop> {
        let (mut answer, framing) = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            self.need(stream)?;
        };
        *begun = true;
        match framing {
            Framing::Length(bytes) => self.take(stream, bytes, &mut answer)?,
            Framing::Chunked => self.chunks(stream, &mut answer)?,
            Framing::UntilTheEnd => loop {
                let bytes = self.came.len();
                self.take(stream, bytes as u64, &mut answer)?;
                match self.need(stream) {
                    Err(Stop::End(End::Closed)) => break,
                    other => other?,
                }
            },
        }
        Ok(answer)
    }

    /// Takes a complete head, interim ones (RFC 9110, 15.2) apart, if there is one.
    fn head(&mut self) -> io::Result<Option<(Answer, Framing)>> {
        loop {
            let Some((length, head)) = parse(&self.came)? else {
                return Ok(None);
            };
            self.came.drain(..length);
            if head.0.status >= 200 {
                return Ok(Some(head));
            }
        }
    }

    /// Takes this much of a body.
    fn take(
        &mut self,
        stream: &TcpStream,
        mut bytes: u64,
        answer: &mut Answer,
    ) -> Result<(), Stop> {
        while bytes > 0 {
            if self.came.is_empty() {
                self.need(stream)?;
            }
            let count = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.came.len());
            answer.append(&self.came[..count]);
            self.came.drain(..count);
            bytes -= count as u64;
        }
        Ok(())
    }

    /// Takes a chunked body (RFC 9112, 7.1).
    fn chunks(&mut self, stream: &TcpStream, answer: &mut Answer) -> Result<(), Stop> {
        loop {
            let line = self.line(stream)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| wrong("a chunk", &line))?;
            if size == 0 {
                break;
            }
            self.take(stream, size, answer)?;
            let line = self.line(stream)?;
            if !line.is_empty() {
                return Err(wrong("the end of a chunk", &line).into());
            }
        }
        // The trailers.
        while !self.line(stream)?.is_empty() {}
        Ok(())
    }

    /// Takes a line without its end.
    fn line(&mut self, stream: &TcpStream) -> Result<String, Stop> {
        loop {
            if let Some(end) = self.came.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.came[..end]).into_owned();
                self.came.drain(..end + 2);
                return Ok(line);
            }
            if self.came.len() > LINE_BYTES_MAX {
                return Err(wrong("a line", "without end").into());
            }
            self.need(stream)?;
        }
    }

    fn need(&mut self, stream: &TcpStream) -> Result<(), Stop> {
        match self.more(stream)? {
            None => Ok(()),
            Some(end) => Err(Stop::End(end)),
        }
    }
}

impl Answer {
    /// A field's value; the first, if there are several.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
    }

    fn append(&mut self, bytes: &[u8]) {
        self.body_bytes += bytes.len() as u64;
        self.body_hash.add(bytes);
        let room = BODY_KEPT_BYTES - self.body.len();
        self.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn framing(&self) -> io::Result<Framing> {
        if self.status < 200 || matches!(self.status, 204 | 304) {
            return Ok(Framing::Length(0));
        }
        if let Some(coding) = self.field("transfer-encoding") {
            let chunked = coding.eq_ignore_ascii_case("chunked");
            return chunked.then_some(Framing::Chunked).ok_or_else(|| wrong("a coding", coding));
        }
        let Some(length) = self.field("content-length") else {
            return Ok(Framing::UntilTheEnd);
        };
        length.parse().map(Framing::Length).map_err(|_| wrong("a length", length))
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Reset => "reset",
        })
    }
}

/// The head that `bytes` begin with, and its length, if it is complete.
fn parse(bytes: &[u8]) -> io::Result<Option<(usize, (Answer, Framing))>> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut head = httparse::Response::new(&mut fields);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(wrong("a head", &error.to_string())),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let answer = Answer {
        status: head.code.unwrap_or_default(),
        fields: head
            .headers
            .iter()
            .map(|field| (field.name.to_ascii_lowercase(), text(field.value)))
            .collect(),
        body: Vec::new(),
        body_bytes: 0,
        body_hash: Hash::default(),
    };
    let framing = answer.framing()?;
    Ok(Some((length, (answer, framing))))
}

fn wrong(what: &str, seen: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not {what}: {seen}"))
}

/// What one read brings at most: it has room on a fiber's stack.
pub(crate) const READ_BYTES: usize = 8 * 1024;

/// More than the server's sizes of chunks and its trailers.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// More than any answer has that is looked into, metrics included.
const BODY_KEPT_BYTES: usize = 64 * 1024;

/// More than the server sends.
const FIELDS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream as StdStream};

    use super::*;

    /// What a client makes of these bytes, when the connection is closed behind them.
    fn reply_to(bytes: &'static [u8]) -> io::Result<Reply> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(bytes).unwrap();
        drop(server);
        sched::run(move || Inbox::default().reply(&TcpStream::from_std(client)?)).unwrap()
    }

    const CHUNKED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\
        Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2;x\r\nef\r\n0\r\nT: v\r\n\r\n";
    const COUNTED: &[u8] = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\nno";

    #[test]
    fn whole_answers_are_read() {
        let Ok(Reply::Whole(answer)) = reply_to(CHUNKED) else { panic!("not whole") };
        assert_eq!((answer.status, &*answer.body, answer.body_bytes), (200, &b"abcdef"[..], 6));
        let Ok(Reply::Whole(answer)) = reply_to(COUNTED) else { panic!("not whole") };
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        let Ok(Reply::Whole(answer)) = reply_to(b"HTTP/1.0 200 OK\r\n\r\nto the end") else {
            panic!("not whole")
        };
        assert_eq!(answer.body, b"to the end");
    }

    #[test]
    fn any_piece_of_an_answer_is_half_of_one() {
        for whole in [&CHUNKED[25..], COUNTED] {
            for end in 1..whole.len() {
                assert!(matches!(reply_to(&whole[..end]), Ok(Reply::Half(End::Closed))), "{end}");
            }
        }
        assert!(matches!(reply_to(b""), Ok(Reply::Nothing(End::Closed))));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for bytes in [
            &b"SMTP\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        ] {
            assert!(reply_to(bytes).is_err());
        }
    }
}
