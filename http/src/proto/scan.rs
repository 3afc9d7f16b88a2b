//! Finds where names and values end, 64 bytes of a head at a time.
//!
//! Vector instructions turn each block of the head into two masks with one bit for each byte. The
//! parser then finds the end of a name or a value by counting zeros. The blocks are most of the
//! work. The processor can work on them in parallel, because no block depends on another block or
//! on the place where a line begins; a search from one end to the next would depend on both.

use wide::u8x16;

use super::chars::{self, is_token};

/// Looks for the ends of header names and values, from front to back.
pub(super) struct Scanner<'b> {
    bytes: &'b [u8],
    /// Where the block of the masks begins; at most the length.
    block: usize,
    /// Control bytes, including the tab, and all positions behind the end.
    controls: u64,
    /// All bytes except letters, digits, hyphens and dots, and all positions behind the end.
    others: u64,
}

impl<'b> Scanner<'b> {
    pub(super) fn new(bytes: &'b [u8], from: usize) -> Self {
        let mut scanner = Self { bytes, block: from, controls: 0, others: 0 };
        scanner.load();
        scanner
    }

    /// The first position from `from` on without a token byte; the length if there is none.
    ///
    /// `from` must not lie before a position that was found before.
    #[inline]
    pub(super) fn token_end(&mut self, from: usize) -> usize {
        let mut at = from;
        loop {
            self.advance(at);
            at = loop {
                let others = self.others >> (at - self.block);
                if others != 0 {
                    break at + others.trailing_zeros() as usize;
                }
                at = self.block + BLOCK;
                self.advance(at);
            };
            match self.bytes.get(at) {
                Some(&byte) if is_token(byte) => at += 1,
                _ => return at,
            }
        }
    }

    /// The first position from `from` on whose byte a header value may not hold; the length if
    /// there is none.
    ///
    /// `from` must not lie before a position that was found before.
    #[inline]
    pub(super) fn value_end(&mut self, from: usize) -> usize {
        let mut at = from;
        loop {
            self.advance(at);
            at = loop {
                let controls = self.controls >> (at - self.block);
                if controls != 0 {
                    break at + controls.trailing_zeros() as usize;
                }
                at = self.block + BLOCK;
                self.advance(at);
            };
            match self.bytes.get(at) {
                Some(b'\t') => at += 1,
                _ => return at,
            }
        }
    }

    /// Loads the masks of the block that contains the position `at`.
    #[inline]
    fn advance(&mut self, at: usize) {
        while at >= self.block + BLOCK {
            self.block += BLOCK;
            self.load();
        }
    }

    #[inline]
    fn load(&mut self) {
        match self.bytes.get(self.block..).and_then(<[u8]>::first_chunk::<BLOCK>) {
            Some(block) => {
                (self.controls, self.others) = (0, 0);
                for (index, lane) in block.as_chunks().0.iter().enumerate() {
                    self.add_lane(index, lane);
                }
            }
            None => self.load_last(),
        }
    }

    /// Loads the masks of the last block, which is shorter.
    #[inline]
    fn load_last(&mut self) {
        let rest = self.bytes.get(self.block..).unwrap_or_default();
        let (lanes, tail) = rest.as_chunks();
        let behind = !0 << rest.len();
        (self.controls, self.others) = (behind, behind);
        for (index, lane) in lanes.iter().enumerate() {
            self.add_lane(index, lane);
        }
        if !tail.is_empty() {
            self.add_lane(lanes.len(), &padded(tail, self.bytes));
        }
    }

    #[inline]
    fn add_lane(&mut self, index: usize, lane: &[u8; LANE]) {
        let (controls, others) = masks(lane);
        self.controls |= controls << (index * LANE);
        self.others |= others << (index * LANE);
    }
}

/// For the request target that begins at `from`: where its path ends, and where the target ends.
/// The path ends at the first `?`; both end at the first byte that a target may not hold, or at the
/// length.
#[inline]
pub(super) fn target_ends(bytes: &[u8], from: usize) -> (usize, usize) {
    let (mut at, mut query) = (from, None);
    while let Some(lane) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let (ends, marks) = target_masks(lane);
        if query.is_none() && marks != 0 {
            query = Some(at + marks.trailing_zeros() as usize);
        }
        if ends != 0 {
            let end = at + ends.trailing_zeros() as usize;
            return (query.map_or(end, |query| query.min(end)), end);
        }
        at += LANE;
    }
    let end = chars::target_end(bytes, at);
    let mark = || bytes[at..end].iter().position(|&byte| byte == b'?').map(|mark| at + mark);
    (query.or_else(mark).unwrap_or(end), end)
}

/// The bytes of a vector that a request target may not hold, and the question marks.
#[inline]
fn target_masks(lane: &[u8; LANE]) -> (u32, u32) {
    let bytes = u8x16::new(*lane);
    let visible = below(bytes, b'!', b'~' - b'!' + 1);
    // Two pairs that differ in one bit: " and #, < and >.
    let quote_or_hash = (bytes & u8x16::splat(!1)).simd_eq(u8x16::splat(b'"'));
    let angle = (bytes & u8x16::splat(!2)).simd_eq(u8x16::splat(b'<'));
    let ends = !visible | quote_or_hash | angle;
    (ends.to_bitmask(), bytes.simd_eq(u8x16::splat(b'?')).to_bitmask())
}

/// The tail of `bytes`, with zeros behind it.
#[inline]
fn padded(tail: &[u8], bytes: &[u8]) -> [u8; LANE] {
    if let Some(last) = bytes.last_chunk() {
        // A copy of exactly the tail would need a loop.
        return (u128::from_le_bytes(*last) >> (8 * (LANE - tail.len()))).to_le_bytes();
    }
    let mut lane = [0; LANE];
    lane[..tail.len()].copy_from_slice(tail);
    lane
}

/// The control bytes of a vector, and its bytes that are neither letters, digits, hyphens nor dots.
#[inline]
fn masks(lane: &[u8; LANE]) -> (u64, u64) {
    let bytes = u8x16::new(*lane);
    let control = below(bytes, 0, 0x20) | bytes.simd_eq(u8x16::splat(0x7f));
    let letter = below(bytes | u8x16::splat(0x20), b'a', 26);
    let digit_or_mark = below(bytes, b'-', 13);
    let slash = bytes.simd_eq(u8x16::splat(b'/'));
    let other = !(letter | digit_or_mark) | slash;
    (u64::from(control.to_bitmask()), u64::from(other.to_bitmask()))
}

/// For each byte, all bits if the byte is one of the `count` bytes from `first` on.
#[inline]
fn below(bytes: u8x16, first: u8, count: u8) -> u8x16 {
    let offset = bytes - u8x16::splat(first);
    offset.min(u8x16::splat(count - 1)).simd_eq(offset)
}

/// How many bytes a mask covers.
const BLOCK: usize = 64;

/// How many bytes a vector has.
const LANE: usize = 16;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn every_run_ends_where_a_plain_look_says(bytes: Vec<u8>, steps: Vec<u8>) -> bool {
            // Mostly bytes that do not end a run, so that some runs are long.
            let bytes: Vec<u8> = bytes
                .iter()
                .flat_map(|&byte| [&b"abcdefghijklmnopqrstuvwxyz-0123456789"[..], &[byte]].concat())
                .collect();
            let (mut at, mut scanner) = (0, Scanner::new(&bytes, 0));
            for step in steps {
                let (found, expected) = if step % 2 == 0 {
                    (scanner.token_end(at), chars::token_end(&bytes, at))
                } else {
                    (scanner.value_end(at), chars::value_end(&bytes, at))
                };
                if found != expected {
                    return false;
                }
                at = found + usize::from(step / 2 % 80);
                if at > bytes.len() {
                    break;
                }
            }
            true
        }
    }

    #[test]
    fn every_byte_is_seen_alike_in_each_position() {
        for byte in 0..=255 {
            for position in 0..200 {
                let mut bytes = [b'a'; 200];
                bytes[position] = byte;
                let mut scanner = Scanner::new(&bytes, 0);
                assert_eq!(scanner.token_end(0), chars::token_end(&bytes, 0), "{byte}");
                let mut scanner = Scanner::new(&bytes, 1);
                assert_eq!(scanner.value_end(1), chars::value_end(&bytes, 1), "{byte}");
                for mark in [0, 50, 100, 199] {
                    bytes[mark] = b'?';
                    let end = chars::target_end(&bytes, 2);
                    let path = bytes[2..end].iter().position(|&byte| byte == b'?');
                    assert_eq!(target_ends(&bytes, 2), (path.map_or(end, |at| at + 2), end));
                }
            }
        }
    }
}
