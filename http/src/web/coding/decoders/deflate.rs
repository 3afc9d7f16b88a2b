//! `deflate`: the format of zlib (RFC 9110 section 8.4.1.2). Bare deflate data, which some senders
//! mean, is malformed.

use std::io::{self, ErrorKind};

use flate2::{Decompress, FlushDecompress, Status};

use super::stepped::{Progress, Step};

pub(super) struct Deflate(Decompress);

impl Deflate {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }
}

impl Step for Deflate {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Progress> {
        let (before_in, before_out) = (self.0.total_in(), self.0.total_out());
        let status = self
            .0
            .decompress(input, output, FlushDecompress::None)
            .map_err(|_| ErrorKind::InvalidData)?;
        let count = |total, before| usize::try_from(total - before).unwrap_or_default();
        Ok(Progress {
            consumed: count(self.0.total_in(), before_in),
            produced: count(self.0.total_out(), before_out),
            is_end: status == Status::StreamEnd,
        })
    }
}
