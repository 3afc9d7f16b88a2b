//! The protocol core, as the fuzz targets, the benchmark of the head parser and the table of cases
//! call it.

use crate::proto::{BodyLength, ChunkedDecoder, ChunkedNext, Gap, Head, HeadParser, Headers};
use crate::{Limits, Method, Refusal, RefusalKind};

/// A head parser and the head that it fills.
#[derive(Debug, Default)]
pub struct Parser {
    gap: Gap,
    of_heads: HeadParser,
    head: Head,
}

impl Parser {
    /// How many bytes, which follow those that were passed over before, are of empty lines before
    /// a head.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        // What is refused is no answer to the request before.
        self.gap.skip(bytes).inspect_err(|_| self.head.method = Method::GET)
    }

    /// Parses all that has come of a head so far, without empty lines before it; true when it is
    /// complete.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<bool, Refusal> {
        self.of_heads.parse(bytes, limits, &mut self.head)
    }

    /// Of the head that was parsed last.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// Where the target is in the bytes.
    pub fn target<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.head.target.0 as usize..self.head.target.1 as usize]
    }

    /// 0 or 1.
    pub fn minor(&self) -> u8 {
        self.head.minor
    }

    /// The header fields.
    pub fn headers<'b>(&'b self, bytes: &'b [u8]) -> Headers<'b> {
        Headers::new(bytes, &self.head.fields)
    }

    /// How many bytes the head takes.
    pub fn end(&self) -> usize {
        self.head.end
    }

    /// How long the body is; `None` if it is chunked.
    pub fn content_length(&self) -> Option<u64> {
        match self.head.body {
            BodyLength::Known(bytes) => Some(bytes),
            BodyLength::Chunked => None,
        }
    }

    /// Whether another request may follow.
    pub fn keep_alive(&self) -> bool {
        self.head.keep_alive
    }
}

/// A decoder of chunked bodies.
#[derive(Debug)]
pub struct Chunked(ChunkedDecoder);

/// What follows the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// So many bytes of data.
    Data(u64),
    /// The body is complete.
    End,
    /// It depends on bytes that have not come.
    More,
}

impl Default for Chunked {
    fn default() -> Self {
        Self(ChunkedDecoder::new())
    }
}

impl Chunked {
    /// How many of the bytes, which follow those that were used up before, are framing, and what
    /// comes then.
    ///
    /// # Errors
    ///
    /// Why the body is refused, and at which of the bytes.
    pub fn next(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<(usize, Chunk), (RefusalKind, usize)> {
        let (framing, next) = self.0.next(bytes, limits)?;
        let chunk = match next {
            ChunkedNext::Data(count) => Chunk::Data(count),
            ChunkedNext::End => Chunk::End,
            ChunkedNext::More => Chunk::More,
        };
        Ok((framing, chunk))
    }

    /// So many bytes of the chunk's data were taken.
    pub fn took(&mut self, count: u64) {
        self.0.took(count);
    }

    /// The trailer fields, once the body is complete.
    pub fn trailers(&self) -> Headers<'_> {
        let (lines, fields) = self.0.trailers();
        Headers::new(lines, fields)
    }
}
