//! Request bodies whose bytes follow from their position, so that an echo of the server can be
//! checked without keeping the body in memory.

use std::io::{self, Write};

/// A body to send.
#[derive(Clone, Copy)]
pub(crate) struct Body {
    pub(crate) bytes: u64,
    pub(crate) chunked: bool,
}

/// A hash of bytes, independent of how they are divided into pieces (FNV-1a).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(u64);

impl Body {
    /// The head of the request that carries it.
    pub(crate) fn head(&self, target: &str) -> String {
        let framing = if self.chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {}", self.bytes)
        };
        format!("POST {target} HTTP/1.1\r\nHost: trials\r\n{framing}\r\n\r\n")
    }

    pub(crate) fn write_to(&self, to: &mut impl Write) -> io::Result<()> {
        self.pieces(|piece| {
            if !self.chunked {
                return to.write_all(piece);
            }
            write!(to, "{:x}\r\n", piece.len())?;
            to.write_all(piece)?;
            to.write_all(b"\r\n")
        })?;
        to.write_all(if self.chunked { b"0\r\n\r\n" } else { b"" })
    }

    pub(crate) fn hash(&self) -> Hash {
        let mut hash = Hash::default();
        // Adding to a hash does not fail.
        let _ = self.pieces(|piece| {
            hash.add(piece);
            Ok(())
        });
        hash
    }

    fn pieces(&self, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        // A piece may begin anywhere in the first period.
        let period = usize::from(PERIOD);
        let pattern: Vec<u8> = (0..PERIOD).cycle().take(PIECE_BYTES + period).collect();
        let mut sent = 0;
        while sent < self.bytes {
            let left = usize::try_from(self.bytes - sent).unwrap_or(usize::MAX);
            let start = usize::try_from(sent % u64::from(PERIOD)).expect("below the period");
            let piece = &pattern[start..start + left.min(PIECE_BYTES)];
            each(piece)?;
            sent += piece.len() as u64;
        }
        Ok(())
    }
}

impl Hash {
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }
}

impl Default for Hash {
    fn default() -> Self {
        Self(FNV_OFFSET)
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// A prime: no size of a buffer is a multiple of it, so the hash shows if two pieces are exchanged.
const PERIOD: u8 = 251;

const PIECE_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_as_long_as_it_says() {
        for bytes in [0, 1, 250, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000] {
            let mut sent = Vec::new();
            let body = Body { bytes, chunked: false };
            body.write_to(&mut sent).unwrap();
            assert_eq!(sent.len() as u64, bytes);
            assert!(sent.iter().enumerate().all(|(at, &byte)| usize::from(byte) == at % 251));
            let mut hash = Hash::default();
            sent.chunks(7).for_each(|piece| hash.add(piece));
            assert_eq!(hash, body.hash());
        }
    }

    #[test]
    fn chunks_have_their_sizes_and_an_end() {
        let mut sent = Vec::new();
        Body { bytes: 3, chunked: true }.write_to(&mut sent).unwrap();
        assert_eq!(sent, b"3\r\n\x00\x01\x02\r\n0\r\n\r\n");
    }

    #[test]
    fn other_bytes_have_another_hash() {
        let mut swapped = Hash::default();
        swapped.add(&[1, 0, 2]);
        assert_ne!(swapped, Body { bytes: 3, chunked: false }.hash());
    }
}
