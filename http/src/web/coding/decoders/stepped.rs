//! A decoder that goes from bytes to bytes, as a reader that knows its end.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

/// Decodes some bytes at a time.
pub(super) trait Step {
    /// Decodes some of `input` into `output`. An error says that the input is malformed.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Progress>;
}

/// What a step has done.
pub(super) struct Progress {
    pub(super) consumed: usize,
    pub(super) produced: usize,
    /// The last byte was produced.
    pub(super) is_end: bool,
}

/// A decoder and its input. The input has to end where the decoder does.
pub(super) struct Stepped<'r, S> {
    source: BufReader<Box<dyn Read + 'r>>,
    decoder: S,
    is_ended: bool,
}

impl<'r, S> Stepped<'r, S> {
    pub(super) fn new(source: BufReader<Box<dyn Read + 'r>>, decoder: S) -> Self {
        Self { source, decoder, is_ended: false }
    }
}

impl<S: Step> Read for Stepped<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let input = self.source.fill_buf()?;
            let is_input_empty = input.is_empty();
            if self.is_ended {
                return if is_input_empty { Ok(0) } else { Err(ErrorKind::InvalidData.into()) };
            }
            let Progress { consumed, produced, is_end } = self.decoder.step(input, buffer)?;
            self.source.consume(consumed);
            self.is_ended = is_end;
            if produced > 0 {
                return Ok(produced);
            }
            if consumed == 0 && !is_end {
                let kind =
                    if is_input_empty { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData };
                return Err(kind.into());
            }
        }
    }
}
