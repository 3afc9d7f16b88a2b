//! Finds where names, values and targets end, with vector instructions.
//!
//! The sets of bytes here are those of usual heads, and can be told apart in few instructions:
//! values of visible ASCII and spaces, names of letters and hyphens. The parser looks at all other
//! bytes one by one, so a set may be too small, and must not be too large.
//!
//! A line ends at a byte that is not in the set of values. The masks of these bytes are made for
//! 64 bytes of a head at a time, one bit for each byte, and the parser counts zeros. No block
//! depends on another block or on the place where a line begins, so the processor works on several
//! of them in parallel. A name is short and begins where a line begins: it is looked at from there,
//! 16 bytes at a time.

use wide::{i8x16, u8x16};

use super::chars;

/// Looks for the ends of header values, from front to back.
pub(super) struct Scanner<'b> {
    bytes: &'b [u8],
    /// Where the block of the mask begins.
    block: u32,
    /// All bytes except visible ASCII and spaces, and all positions behind the end.
    ends: u64,
}

impl<'b> Scanner<'b> {
    #[inline]
    pub(super) fn new(bytes: &'b [u8], from: u32) -> Self {
        Self { bytes, block: from, ends: block_ends(bytes, from) }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// The first position from `from` on whose byte is neither visible ASCII nor a space; the
    /// length if there is none.
    ///
    /// `from` must not lie before a position that was found before.
    #[inline]
    pub(super) fn value_end(&mut self, from: u32) -> u32 {
        let mut at = from;
        loop {
            if at - self.block < BLOCK {
                let ends = self.ends >> (at - self.block);
                if ends != 0 {
                    return at + ends.trailing_zeros();
                }
            }
            self.block += BLOCK;
            self.ends = block_ends(self.bytes, self.block);
            at = at.max(self.block);
        }
    }
}

/// The mask of the block that begins at `block`.
#[inline]
fn block_ends(bytes: &[u8], block: u32) -> u64 {
    match chunk_at(bytes, block) {
        Some(block) => !block_text(block),
        None => last_block_ends(bytes, block),
    }
}

/// As [`block_ends`], for the last block, which is shorter.
#[inline(never)]
fn last_block_ends(bytes: &[u8], block: u32) -> u64 {
    let rest = bytes.get(block as usize..).unwrap_or_default();
    // What is loaded begins before the rest, or twice in it: a loop would take longer.
    let text = if let Some(last) = bytes.last_chunk() {
        block_text(last).checked_shr(BLOCK - low_u32(rest.len())).unwrap_or(0)
    } else if let (Some(first), Some(last)) = (rest.first_chunk::<32>(), rest.last_chunk()) {
        half_text(first) | half_text(last) << (rest.len() - 2 * LANE)
    } else if let (Some(first), Some(last)) = (rest.first_chunk::<16>(), rest.last_chunk()) {
        u64::from(text(first)) | u64::from(text(last)) << (rest.len() - LANE)
    } else {
        u64::from(text(&padded(rest)))
    };
    !text
}

/// The visible ASCII bytes and spaces of a block.
#[inline]
fn block_text(block: &[u8; 4 * LANE]) -> u64 {
    let lanes = block.as_chunks().0;
    let masks = [0, 1, 2, 3].map(|index| u64::from(text(&lanes[index])));
    masks[0] | masks[1] << 16 | masks[2] << 32 | masks[3] << 48
}

#[inline]
fn half_text(half: &[u8; 2 * LANE]) -> u64 {
    let lanes = half.as_chunks().0;
    u64::from(text(&lanes[0]) | text(&lanes[1]) << LANE)
}

/// The first position from `from` on with a byte that is neither a letter nor a hyphen; the length
/// if there is none.
#[inline]
pub(super) fn name_end(bytes: &[u8], from: u32) -> u32 {
    let mut at = from;
    while let Some(lane) = chunk_at(bytes, at) {
        let length = letters(lane).trailing_ones();
        at += length;
        if length < low_u32(LANE) {
            return at;
        }
    }
    last_name_end(bytes, at)
}

/// As [`name_end`], for the last bytes, fewer than a vector has.
#[inline(never)]
fn last_name_end(bytes: &[u8], from: u32) -> u32 {
    let rest = bytes.get(from as usize..).unwrap_or_default();
    let letters = match bytes.last_chunk() {
        Some(last) => letters(last) >> (LANE - rest.len()),
        None => letters(&padded(rest)),
    };
    from + letters.trailing_ones()
}

/// Whether the bytes are the same. The time depends on their number alone, and not on what they
/// are.
#[inline]
pub(super) fn is_equal(bytes: &[u8], others: &[u8]) -> bool {
    if bytes.len() != others.len() {
        return false;
    }
    let (Some(last), Some(other_last)) = (bytes.last_chunk::<LANE>(), others.last_chunk()) else {
        return bytes.iter().zip(others).fold(0, |all, (byte, other)| all | (byte ^ other)) == 0;
    };
    let (blocks, rest) = bytes.as_chunks::<{ 4 * LANE }>();
    let (other_blocks, other_rest) = others.as_chunks::<{ 4 * LANE }>();
    // The last vector overlaps with the one before it.
    let mut all = difference(last, other_last);
    for (block, other) in blocks.iter().zip(other_blocks) {
        let (lanes, others) = (block.as_chunks().0, other.as_chunks().0);
        let [first, second, third, fourth] =
            [0, 1, 2, 3].map(|index| difference(&lanes[index], &others[index]));
        all |= (first | second) | (third | fourth);
    }
    for (lane, other) in rest.as_chunks().0.iter().zip(other_rest.as_chunks().0) {
        all |= difference(lane, other);
    }
    all.simd_eq(u8x16::splat(0)).to_bitmask() == u32::from(u16::MAX)
}

/// Zeros where the bytes are the same.
#[inline]
fn difference(lane: &[u8; LANE], other: &[u8; LANE]) -> u8x16 {
    u8x16::new(*lane) ^ u8x16::new(*other)
}

/// The bytes from `at` on, if there are so many.
#[inline]
pub(super) fn chunk_at<const N: usize>(bytes: &[u8], at: u32) -> Option<&[u8; N]> {
    let at = at as usize;
    bytes.get(at..at + N)?.first_chunk()
}

/// As [`target_ends`], for a target as nearly all clients send it; `None` for others, and for one
/// that does not end here.
#[inline]
pub(super) fn usual_target_ends(bytes: &[u8], from: u32) -> Option<(u32, u32)> {
    let (mut at, mut query) = (from, u32::MAX);
    loop {
        let lane = chunk_at(bytes, at)?;
        let (targets, marks) = usual_target_masks(lane);
        if marks != 0 {
            query = query.min(at + marks.trailing_zeros());
        }
        let length = targets.trailing_ones();
        at += length;
        if length < low_u32(LANE) {
            return Some((query.min(at), at));
        }
    }
}

#[inline]
fn usual_target_masks(lane: &[u8; LANE]) -> (u32, u32) {
    let bytes = u8x16::new(*lane);
    let angle = (bytes & u8x16::splat(!2)).simd_eq(u8x16::splat(b'<')).to_bitmask();
    (above(lane, b'#') & !angle, bytes.simd_eq(u8x16::splat(b'?')).to_bitmask())
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
    last_target_ends(bytes, at, query)
}

/// As [`target_ends`], for the last bytes.
#[cold]
fn last_target_ends(bytes: &[u8], from: usize, query: Option<usize>) -> (usize, usize) {
    let end = chars::target_end(bytes, from);
    let mark = || bytes[from..end].iter().position(|&byte| byte == b'?').map(|mark| from + mark);
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

/// The bytes, fewer than a vector has, with zeros behind them.
fn padded(bytes: &[u8]) -> [u8; LANE] {
    let mut lane = [0; LANE];
    lane[..bytes.len()].copy_from_slice(bytes);
    lane
}

/// The visible ASCII bytes and spaces of a vector.
#[inline]
fn text(lane: &[u8; LANE]) -> u32 {
    above(lane, b' ' - 1)
}

/// The ASCII bytes above `last`, except for the DEL.
#[inline]
fn above(lane: &[u8; LANE], last: u8) -> u32 {
    // As signed numbers, DEL and one is the smallest, and bytes beyond ASCII are below zero.
    let bytes = i8x16::from_ne_bytes(*lane) + i8x16::splat(1);
    bytes.simd_gt(i8x16::splat(last.cast_signed() + 1)).to_bitmask()
}

/// The letters and hyphens of a vector.
#[inline]
fn letters(lane: &[u8; LANE]) -> u32 {
    let bytes = u8x16::new(*lane);
    let letter = below(bytes | u8x16::splat(0x20), b'a', 26);
    (letter | bytes.simd_eq(u8x16::splat(b'-'))).to_bitmask()
}

/// For each byte, all bits if the byte is one of the `count` bytes from `first` on.
#[inline]
fn below(bytes: u8x16, first: u8, count: u8) -> u8x16 {
    let beyond = (bytes - u8x16::splat(first)).saturating_sub(u8x16::splat(count - 1));
    beyond.simd_eq(u8x16::splat(0))
}

#[allow(clippy::cast_possible_truncation)] // lengths below that of a block
fn low_u32(length: usize) -> u32 {
    length as u32
}

/// How many bytes a mask covers.
const BLOCK: u32 = 64;

/// How many bytes a vector has.
const LANE: usize = 16;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    /// What a plain look finds.
    fn plain_end(bytes: &[u8], from: u32, is_in: impl Fn(u8) -> bool) -> u32 {
        let run = bytes[from as usize..].iter().take_while(|&&byte| is_in(byte));
        from + u32::try_from(run.count()).unwrap()
    }

    fn plain_name_end(bytes: &[u8], from: u32) -> u32 {
        plain_end(bytes, from, |byte| byte.is_ascii_alphabetic() || byte == b'-')
    }

    fn plain_value_end(bytes: &[u8], from: u32) -> u32 {
        plain_end(bytes, from, |byte| byte.is_ascii_graphic() || byte == b' ')
    }

    fn plain_target_ends(bytes: &[u8], from: u32) -> (u32, u32) {
        let end = plain_end(bytes, from, |byte| {
            byte.is_ascii_graphic() && !b"!\"#<>".contains(&byte) // the parser looks twice at a `!`
        });
        (plain_end(&bytes[..end as usize], from, |byte| byte != b'?'), end)
    }

    quickcheck! {
        fn every_run_ends_where_a_plain_look_says(bytes: Vec<u8>, steps: Vec<u8>) -> bool {
            // Mostly bytes that do not end a run, so that some runs are long.
            let bytes: Vec<u8> = bytes
                .iter()
                .flat_map(|&byte| [&b"abcdefghijklmnopqrstuvwxyz-ABCDEFGHI"[..], &[byte]].concat())
                .collect();
            let (mut at, mut scanner) = (0, Scanner::new(&bytes, 0));
            for step in steps {
                let (found, expected) = if step % 2 == 0 {
                    (name_end(&bytes, at), plain_name_end(&bytes, at))
                } else {
                    (scanner.value_end(at), plain_value_end(&bytes, at))
                };
                if found != expected {
                    return false;
                }
                at = found + u32::from(step / 2 % 80);
                if at as usize > bytes.len() {
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
                for from in [0, 1, 130, 137, 190] {
                    assert_eq!(name_end(&bytes, from), plain_name_end(&bytes, from), "{byte}");
                    let found = Scanner::new(&bytes, from).value_end(from);
                    assert_eq!(found, plain_value_end(&bytes, from), "{byte}");
                }
                for mark in [0, 50, 100, 199] {
                    bytes[mark] = b'?';
                    let end = chars::target_end(&bytes, 2);
                    let path = bytes[2..end].iter().position(|&byte| byte == b'?');
                    assert_eq!(target_ends(&bytes, 2), (path.map_or(end, |at| at + 2), end));
                    let expected = plain_target_ends(&bytes, 2);
                    // The end must lie before the last vector.
                    let expected = (expected.1 < 194).then_some(expected);
                    assert_eq!(usual_target_ends(&bytes, 2), expected, "{byte}");
                }
            }
        }
    }

    #[test]
    fn every_byte_counts_for_what_is_equal() {
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).collect();
            let mut others = bytes.clone();
            assert!(is_equal(&bytes, &others), "{length}");
            assert!(!is_equal(&bytes, &[&bytes[..], &[0]].concat()), "{length}");
            for position in 0..bytes.len() {
                others[position] ^= 1 << (position % 8);
                assert!(!is_equal(&bytes, &others), "{position} of {length}");
                others[position] = bytes[position];
            }
        }
    }

    #[test]
    fn few_bytes_are_seen_alike() {
        for byte in 0..=255 {
            for length in 0..70_usize {
                let from = u32::try_from(length / 3).unwrap();
                for position in [0, length / 2, length.saturating_sub(1)] {
                    let mut bytes = vec![b'a'; length];
                    bytes.iter_mut().skip(position).take(1).for_each(|found| *found = byte);
                    assert_eq!(name_end(&bytes, from), plain_name_end(&bytes, from), "{byte}");
                    for block in [0, from] {
                        let found = Scanner::new(&bytes, block).value_end(from);
                        assert_eq!(found, plain_value_end(&bytes, from), "{byte} of {length}");
                    }
                }
            }
        }
    }
}
