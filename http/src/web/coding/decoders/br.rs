//! `br`: Brotli (RFC 7932), without its large windows.

use std::io::{self, ErrorKind};

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::stepped::{Progress, Step};

pub(super) struct Brotli(Box<State>);

type State = BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>;

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self(Box::new(State::new_strict(alloc(), alloc(), alloc())))
    }
}

impl Step for Brotli {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Progress> {
        let (mut input_left, mut consumed) = (input.len(), 0);
        let (mut output_left, mut produced, mut total) = (output.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut input_left,
            &mut consumed,
            input,
            &mut output_left,
            &mut produced,
            output,
            &mut total,
            &mut self.0,
        );
        match result {
            BrotliResult::ResultFailure => Err(ErrorKind::InvalidData.into()),
            BrotliResult::ResultSuccess => Ok(Progress { consumed, produced, is_end: true }),
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {
                Ok(Progress { consumed, produced, is_end: false })
            }
        }
    }
}
