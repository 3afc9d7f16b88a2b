//! The protocol core, as called by the fuzz targets, the benchmark of the head parser, and the
//! table of cases.

use crate::proto::{BodyLength, ChunkedDecoder, ChunkedNext, Gap, Head, HeadParser, Headers};
use crate::{Limits, Method, Refusal, RefusalKind};

/// A head parser, and the head that it fills.
#[derive(Debug, Default)]
pub struct Parser {
    gap: Gap,
    of_heads: HeadParser,
    head: Head,
}

impl Parser {
    /// How many of the bytes belong to empty lines before a head. `bytes` follow the bytes that
    /// earlier calls have skipped.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        // The refusal must not depend on the method of the request before.
        self.gap.skip(bytes).inspect_err(|_| self.head.method = Method::GET)
    }

    /// Parses all bytes of a head that have arrived, without the empty lines before it; true if the
    /// head is complete.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub fn parse(&mut self, bytes: &[u8], limits: &Limits) -> Result<bool, Refusal> {
        self.of_heads.parse(bytes, limits, &mut self.head)
    }

    /// The method of the head that was parsed last.
    pub fn method(&self) -> &Method {
        &self.head.method
    }

    /// The target, which is a part of the bytes.
    pub fn target<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.head.target.0 as usize..self.head.target.1 as usize]
    }

    /// The minor version: 0 or 1.
    pub fn minor(&self) -> u8 {
        self.head.minor
    }

    /// The header fields.
    pub fn headers<'b>(&'b self, bytes: &'b [u8]) -> Headers<'b> {
        Headers::received(bytes, &self.head.fields)
    }

    /// The length of the head.
    pub fn end(&self) -> usize {
        self.head.end
    }

    /// The length of the body; `None` if it is chunked.
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

/// What follows the bytes of the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// This many bytes of data.
    Data(u64),
    /// The body is complete.
    End,
    /// It depends on bytes that have not arrived.
    More,
}

impl Default for Chunked {
    fn default() -> Self {
        Self(ChunkedDecoder::new())
    }
}

impl Chunked {
    /// How many of the bytes are framing, and what follows it. `bytes` follow the bytes that
    /// earlier calls have used.
    ///
    /// # Errors
    ///
    /// The reason of the refusal, and the index of the refused byte.
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

    /// The caller took `count` bytes of the chunk's data.
    pub fn took(&mut self, count: u64) {
        self.0.took(count);
    }

    /// The trailer fields, once the body is complete.
    pub fn trailers(&mut self) -> Vec<(String, Vec<u8>)> {
        let trailers = self.0.take_trailers();
        let fields = trailers.iter().flat_map(|trailers| trailers.fields());
        fields.map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
    }
}
