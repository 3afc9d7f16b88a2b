//! ASCII bytes as text.
//!
//! Nearly all text of network protocols is short and ASCII. The standard library checks bytes for
//! UTF-8 one by one unless there are many of them, so for such text its check takes longer than all
//! the rest that is done with it.

/// The bytes as text, if all of them are ASCII. For the crates of this repository alone.
#[inline]
pub fn ascii_text(bytes: &[u8]) -> Option<&str> {
    if !is_ascii(bytes) {
        return None;
    }
    // SAFETY: `is_ascii` has looked at each of these bytes, and ASCII is UTF-8.
    Some(unsafe { str::from_utf8_unchecked(bytes) })
}

#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        // The two chunks overlap, or lie side by side: no byte is left out.
        (Some(first), Some(last)) if bytes.len() <= 2 * size_of::<u64>() => {
            (u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last)) & HIGH_BITS == 0
        }
        (Some(_), _) => bytes.is_ascii(),
        _ => bytes.iter().fold(0_u8, |all, byte| all | *byte).is_ascii(),
    }
}

const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_ascii_wherever_another_byte_stands() {
        for length in 0..100 {
            let mut bytes = vec![b'a'; length];
            assert_eq!(ascii_text(&bytes), str::from_utf8(&bytes).ok());
            for at in 0..length {
                for other in [0x00, 0x7f, 0x80, 0xc3, 0xff] {
                    bytes[at] = other;
                    let expected = str::from_utf8(&bytes).ok().filter(|_| other < 0x80);
                    assert_eq!(ascii_text(&bytes), expected, "{other} at {at} of {length}");
                }
                bytes[at] = b'b';
            }
        }
    }
}
