//! How the protocol core reads bytes: the answers that a server has to give, without a server.
//!
//! The handler of the model answers 200 to every request and sends the body back. An outcome is
//! written as in the corpus: first the statuses in order (that of a refusal is followed by its
//! [`RefusalKind`]), or `none`; then the state of the connection:
//!
//! - `open`: another request would be answered;
//! - `closed`: the server closes the connection, whatever the client does;
//! - `waits`: the bytes end inside of a request, and the server waits for the rest of it.

use std::fmt;

use straightline::internals::{Chunk, Chunked, Parser};
use straightline::{Limits, Method, RefusalKind};

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) answers: Vec<Owed>,
    pub(crate) end: End,
}

/// An answer that the server has to give.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) refusal: Option<RefusalKind>,
    /// The request is a HEAD, so the answer has no body.
    pub(crate) is_head: bool,
    /// The body of the request.
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Closed,
    WaitsInHead,
    WaitsInBody,
}

impl Owed {
    pub(crate) fn status(&self) -> u16 {
        self.refusal.map_or(200, |kind| kind.status().as_u16())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.answers.is_empty() {
            f.write_str("none ")?;
        }
        for answer in &self.answers {
            write!(f, "{} ", answer.status())?;
            if let Some(kind) = answer.refusal {
                write!(f, "{kind:?} ")?;
            }
        }
        f.write_str(match self.end {
            End::Open => "open",
            End::Closed => "closed",
            End::WaitsInHead | End::WaitsInBody => "waits",
        })
    }
}

/// The outcome of the bytes if `step` of them arrive at a time.
pub(crate) fn outcome(bytes: &[u8], limits: &Limits, step: usize) -> Outcome {
    let mut wire = Wire { bytes, step, have: step.min(bytes.len()), at: 0, limits };
    let mut parser = Parser::default();
    let mut answers = Vec::new();
    let end = loop {
        match wire.request(&mut parser) {
            Ok(Request::Complete(body)) => {
                assert_ne!(parser.method(), Method::CONNECT, "tunnels are tested elsewhere");
                answers.push(Owed { refusal: None, is_head: is_head(&parser), body });
                if !parser.keep_alive() || answers.len() as u64 >= limits.requests {
                    break End::Closed;
                }
            }
            Ok(Request::Ends(end)) => break end,
            Err(kind) => {
                let is_head = is_head(&parser);
                answers.push(Owed { refusal: Some(kind), is_head, body: Vec::new() });
                break End::Closed;
            }
        }
    };
    Outcome { answers, end }
}

enum Request {
    /// A whole request with this body.
    Complete(Vec<u8>),
    /// No request, or only a part of one.
    Ends(End),
}

/// The bytes of a client, of which some have arrived.
struct Wire<'b> {
    bytes: &'b [u8],
    step: usize,
    /// How many bytes have arrived.
    have: usize,
    /// How many bytes are used up.
    at: usize,
    limits: &'b Limits,
}

impl Wire<'_> {
    fn request(&mut self, parser: &mut Parser) -> Result<Request, RefusalKind> {
        let mut in_head = false;
        loop {
            if !in_head {
                let come = &self.bytes[self.at..self.have];
                self.at += parser.skip(come).map_err(|refusal| refusal.kind)?;
            }
            let come = &self.bytes[self.at..self.have];
            in_head = !come.is_empty();
            if in_head && parser.parse(come, self.limits).map_err(|refusal| refusal.kind)? {
                break;
            }
            if !self.more() {
                // Empty lines belong to no request, because perhaps no request follows them.
                return Ok(Request::Ends(if in_head { End::WaitsInHead } else { End::Open }));
            }
        }
        self.at += parser.end();
        let body = match parser.content_length() {
            Some(length) => self.known(length),
            None => self.chunked()?,
        };
        Ok(body.map_or(Request::Ends(End::WaitsInBody), Request::Complete))
    }

    fn known(&mut self, length: u64) -> Option<Vec<u8>> {
        let length = usize::try_from(length).expect("within the limit");
        while self.have - self.at < length {
            if !self.more() {
                return None;
            }
        }
        self.at += length;
        Some(self.bytes[self.at - length..self.at].to_vec())
    }

    fn chunked(&mut self) -> Result<Option<Vec<u8>>, RefusalKind> {
        let (mut decoder, mut body) = (Chunked::default(), Vec::new());
        loop {
            let come = &self.bytes[self.at..self.have];
            let (framing, next) = decoder.next(come, self.limits).map_err(|(kind, _)| kind)?;
            let data = &come[framing..];
            self.at += framing;
            match next {
                Chunk::End => return Ok(Some(body)),
                Chunk::Data(left) if !data.is_empty() => {
                    let count = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    body.extend_from_slice(&data[..count]);
                    decoder.took(count as u64);
                    self.at += count;
                }
                Chunk::Data(_) | Chunk::More => {
                    if !self.more() {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Lets more bytes arrive, if any are left.
    fn more(&mut self) -> bool {
        let had = self.have;
        self.have = (self.have + self.step).min(self.bytes.len());
        self.have > had
    }
}

fn is_head(parser: &Parser) -> bool {
    *parser.method() == Method::HEAD
}
