//! Reading responses: whole ones, cut ones, and the ends of connections.
//!
//! All programs of the project use this reader. The caller decides what to keep of a response
//! ([`FromReply`]): the benchmarks compare it with the expected one, and keep nothing; the trials
//! keep its head, the beginning of its body, and a hash. A response costs no allocation, because
//! the benchmarks would otherwise measure the reader.

use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Response, Status};

/// The bytes of a connection that have arrived and are not consumed yet.
#[derive(Debug, Default)]
pub struct ReplyReader {
    /// `bytes[start..end]` have arrived and are not consumed yet.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// How the connection has ended. It is kept, because the kernel reports a reset only once.
    ended: Option<End>,
}

/// What arrived on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<A> {
    /// A complete response.
    Whole(A),
    /// The connection ended before the first byte of a response.
    Nothing(End),
    /// The connection ended within a response.
    Half(End),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The peer closed it.
    Closed,
    /// The peer reset it.
    Reset,
}

/// A value that is made from a response while it arrives.
pub trait FromReply: Sized {
    /// Begins with the head.
    ///
    /// # Errors
    ///
    /// Why the response is not one that may come.
    fn from_head(head: &Head<'_>) -> io::Result<Self>;

    /// Takes the next bytes of the body.
    ///
    /// # Errors
    ///
    /// Why the response is not one that may come.
    fn add_body(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// The head of a response.
#[derive(Debug)]
pub struct Head<'b> {
    status: u16,
    fields: &'b [Header<'b>],
}

impl ReplyReader {
    /// Reads until a response is complete or the connection ends. Skips interim responses
    /// (RFC 9110, 15.2).
    ///
    /// # Errors
    ///
    /// `InvalidData` if the bytes are no response; the errors of `stream`, except for a reset; the
    /// errors of `A`.
    pub fn reply<A: FromReply>(&mut self, stream: &mut impl Read) -> io::Result<Reply<A>> {
        let mut has_begun = false;
        match self.answer(stream, &mut has_begun) {
            Ok(answer) => Ok(Reply::Whole(answer)),
            Err(Stop::End(end)) if has_begun || !self.is_empty() => Ok(Reply::Half(end)),
            Err(Stop::End(end)) => Ok(Reply::Nothing(end)),
            Err(Stop::Error(error)) => Err(error),
        }
    }

    /// Reads once, at most [`READ_BYTES`]; returns the connection's end if it has ended.
    ///
    /// # Errors
    ///
    /// The errors of `stream`, except for a reset.
    pub fn read_more(&mut self, stream: &mut impl Read) -> io::Result<Option<End>> {
        if self.ended.is_none() {
            match stream.read(self.room()) {
                Ok(0) => self.ended = Some(End::Closed),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    self.ended = Some(End::Reset);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.ended)
    }

    /// Whether all bytes that have arrived are consumed.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Forgets all bytes, for a new connection.
    pub fn clear(&mut self) {
        (self.start, self.end, self.ended) = (0, 0, None);
    }

    fn answer<A: FromReply>(
        &mut self,
        stream: &mut impl Read,
        has_begun: &mut bool,
    ) -> Result<A, Stop> {
        let (mut answer, framing) = loop {
            if let Some(head) = self.head()? {
                break head;
            }
            self.need(stream)?;
        };
        *has_begun = true;
        match framing {
            Framing::Length(bytes) => self.take(stream, bytes, &mut answer)?,
            Framing::Chunked => self.chunks(stream, &mut answer)?,
            Framing::UntilTheEnd => loop {
                let bytes = self.came().len();
                self.take(stream, bytes as u64, &mut answer)?;
                match self.need(stream) {
                    Err(Stop::End(End::Closed)) => break,
                    other => other?,
                }
            },
        }
        Ok(answer)
    }

    /// Takes a complete head, if one has arrived, and the interim ones before it.
    fn head<A: FromReply>(&mut self) -> io::Result<Option<(A, Framing)>> {
        while let Some(parsed) = parse(self.came())? {
            self.took(parsed.length);
            if parsed.answer.is_some() {
                return Ok(parsed.answer);
            }
        }
        if self.came().len() > HEAD_BYTES_MAX {
            return Err(wrong("a head", "without end"));
        }
        Ok(None)
    }

    /// Takes `bytes` bytes of a body.
    fn take(
        &mut self,
        stream: &mut impl Read,
        mut bytes: u64,
        answer: &mut impl FromReply,
    ) -> Result<(), Stop> {
        while bytes > 0 {
            if self.is_empty() {
                self.need(stream)?;
            }
            let count = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.came().len());
            answer.add_body(&self.came()[..count])?;
            self.took(count);
            bytes -= count as u64;
        }
        Ok(())
    }

    /// Takes a chunked body (RFC 9112, 7.1).
    fn chunks(&mut self, stream: &mut impl Read, answer: &mut impl FromReply) -> Result<(), Stop> {
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
    fn line(&mut self, stream: &mut impl Read) -> Result<String, Stop> {
        loop {
            let came = self.came();
            if let Some(end) = came.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&came[..end]).into_owned();
                self.took(end + 2);
                return Ok(line);
            }
            if came.len() > LINE_BYTES_MAX {
                return Err(wrong("a line", "without end").into());
            }
            self.need(stream)?;
        }
    }

    fn need(&mut self, stream: &mut impl Read) -> Result<(), Stop> {
        match self.read_more(stream)? {
            None => Ok(()),
            Some(end) => Err(Stop::End(end)),
        }
    }

    fn came(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    fn took(&mut self, count: usize) {
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// The room for the next bytes: [`READ_BYTES`].
    fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() - self.end < READ_BYTES {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.bytes.len() - self.end < READ_BYTES {
                self.bytes.resize(self.end + READ_BYTES, 0);
            }
        }
        &mut self.bytes[self.end..self.end + READ_BYTES]
    }
}

impl Head<'_> {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The names and values of the fields.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|field| (field.name, field.value))
    }

    /// The value of a field, if it is text; the first one, if there are several.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        str::from_utf8(field.value).ok()
    }

    fn framing(&self) -> io::Result<Framing> {
        if matches!(self.status, 204 | 304) {
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

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Reset => "reset",
        })
    }
}

/// Why a response is not whole.
enum Stop {
    End(End),
    Error(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Error(error)
    }
}

/// Where a body ends.
enum Framing {
    Length(u64),
    Chunked,
    UntilTheEnd,
}

/// A complete head.
struct Parsed<A> {
    length: usize,
    /// The value made from it; `None` for an interim head.
    answer: Option<(A, Framing)>,
}

/// The head that `bytes` begin with, if it is complete.
fn parse<A: FromReply>(bytes: &[u8]) -> io::Result<Option<Parsed<A>>> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut response = Response::new(&mut []);
    let parser = ParserConfig::default();
    let length = match parser.parse_response_with_uninit_headers(&mut response, bytes, &mut fields)
    {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(wrong("a head", &error.to_string())),
    };
    let head = Head { status: response.code.unwrap_or_default(), fields: response.headers };
    let answer =
        if head.status < 200 { None } else { Some((A::from_head(&head)?, head.framing()?)) };
    Ok(Some(Parsed { length, answer }))
}

fn wrong(what: &str, seen: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("not {what}: {seen}"))
}

/// The most bytes of one read.
pub const READ_BYTES: usize = 8 * 1024;

/// More fields than any server of the project sends.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Longer than the chunk sizes and the trailers of the servers.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// Longer than the heads of the servers.
const FIELDS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole response.
    #[derive(Debug)]
    struct Answer {
        status: u16,
        retry_after: Option<String>,
        body: Vec<u8>,
    }

    impl FromReply for Answer {
        fn from_head(head: &Head<'_>) -> io::Result<Self> {
            let retry_after = head.field("retry-after").map(str::to_owned);
            Ok(Self { status: head.status(), retry_after, body: Vec::new() })
        }

        fn add_body(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.body.extend_from_slice(bytes);
            Ok(())
        }
    }

    /// A stream that gives at most `piece` bytes at a time, and then ends.
    struct Pieces<'b> {
        bytes: &'b [u8],
        piece: usize,
    }

    impl Read for Pieces<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let count = self.piece.min(to.len());
            self.bytes.read(&mut to[..count])
        }
    }

    fn reply_to(bytes: &[u8], piece: usize) -> io::Result<Reply<Answer>> {
        ReplyReader::default().reply(&mut Pieces { bytes, piece })
    }

    fn whole(bytes: &[u8], piece: usize) -> Answer {
        match reply_to(bytes, piece) {
            Ok(Reply::Whole(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    const CHUNKED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\
        Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2;x\r\nef\r\n0\r\nT: v\r\n\r\n";
    const COUNTED: &[u8] = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nRetry-After: 1\r\n\r\nno";

    #[test]
    fn whole_responses_are_read() {
        for piece in [1, 7, usize::MAX] {
            let answer = whole(CHUNKED, piece);
            assert_eq!((answer.status, &*answer.body), (200, &b"abcdef"[..]));
            let answer = whole(COUNTED, piece);
            assert_eq!((answer.status, answer.retry_after.as_deref()), (503, Some("1")));
            let answer = whole(b"HTTP/1.0 200 OK\r\n\r\nto the end", piece);
            assert_eq!(answer.body, b"to the end");
        }
    }

    #[test]
    fn responses_follow_one_another() {
        let bytes = [CHUNKED, COUNTED].concat().repeat(400);
        let (mut reader, mut stream) =
            (ReplyReader::default(), Pieces { bytes: &bytes, piece: 3_000 });
        for _ in 0..400 {
            for status in [200, 503] {
                let reply: Reply<Answer> = reader.reply(&mut stream).expect("a response");
                assert!(matches!(reply, Reply::Whole(answer) if answer.status == status));
            }
        }
        let reply: Reply<Answer> = reader.reply(&mut stream).expect("an end");
        assert!(matches!(reply, Reply::Nothing(End::Closed)) && reader.is_empty());
    }

    #[test]
    fn what_is_read_ahead_is_kept() {
        let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
        let bytes = [bytes, vec![b'x'; 100_000]].concat();
        let (mut reader, mut stream) =
            (ReplyReader::default(), Pieces { bytes: &bytes, piece: usize::MAX });
        for _ in 0..5 {
            assert_eq!(reader.read_more(&mut stream).expect("bytes"), None);
        }
        let reply: Reply<Answer> = reader.reply(&mut stream).expect("a response");
        assert!(
            matches!(reply, Reply::Whole(answer) if answer.body == bytes[bytes.len() - 100_000..])
        );
    }

    #[test]
    fn any_piece_of_a_response_is_half_of_one() {
        for bytes in [&CHUNKED[25..], COUNTED] {
            for end in 1..bytes.len() {
                let reply = reply_to(&bytes[..end], usize::MAX);
                assert!(matches!(reply, Ok(Reply::Half(End::Closed))), "{end}");
            }
        }
        assert!(matches!(reply_to(b"", 1), Ok(Reply::Nothing(End::Closed))));
    }

    #[test]
    fn what_is_no_response_is_an_error() {
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".to_vec(), vec![b'a'; 20_000]].concat();
        for bytes in [
            &b"SMTP\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            &endless,
        ] {
            assert!(reply_to(bytes, usize::MAX).is_err());
        }
    }
}
