//! Bytes that arrive in pieces.

use std::io::{self, Read};

/// Returns bytes in pieces whose sizes follow from a step; all at once if the step is 0.
pub(super) struct InPieces {
    bytes: Vec<u8>,
    at: usize,
    step: usize,
    size: usize,
}

impl InPieces {
    pub(super) fn new(bytes: &[u8], step: u8) -> Self {
        let step = usize::from(step);
        Self { bytes: bytes.to_vec(), at: 0, step, size: step }
    }
}

impl Read for InPieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.size = if self.step == 0 { usize::MAX - 1 } else { (self.size * 5 + 1) % 37 };
        let left = &self.bytes[self.at..];
        let count = left.len().min(buffer.len()).min(self.size + 1);
        buffer[..count].copy_from_slice(&left[..count]);
        self.at += count;
        Ok(count)
    }
}
