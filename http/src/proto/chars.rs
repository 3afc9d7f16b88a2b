//! Which bytes may stand where, and how far a run of them goes.

/// A method or header name: `token` of RFC 9110 section 5.6.2.
const TOKEN: u8 = 1;
/// A header value: visible ASCII, space, tab and `obs-text` (RFC 9110 section 5.5).
const VALUE: u8 = 2;
/// A request target. All visible ASCII but those bytes that every URL library encodes (`"`, `<`,
/// `>`) and `#`, which starts a fragment and never goes on the wire. RFC 3986 would also refuse
/// `[ ] \ ^ { | }` and the backtick; browsers send them as they are.
const TARGET: u8 = 4;
/// A registered name or IPv4 address in a `Host`, percent-encoded bytes included (RFC 3986
/// section 3.2.2).
const HOST: u8 = 8;
/// A request target up to its query.
const PATH: u8 = 16;

static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        #[allow(clippy::cast_possible_truncation)] // below 256
        let c = byte as u8;
        let mut class = 0;
        let alphanumeric = c.is_ascii_alphanumeric();
        if alphanumeric || is_in(c, b"!#$%&'*+-.^_`|~") {
            class |= TOKEN;
        }
        if c == b'\t' || (c >= b' ' && c != 0x7f) {
            class |= VALUE;
        }
        if c.is_ascii_graphic() && !is_in(c, b"\"<>#") {
            class |= TARGET;
            if c != b'?' {
                class |= PATH;
            }
        }
        if alphanumeric || is_in(c, b"-._~%!$&'()*+,;=") {
            class |= HOST;
        }
        classes[byte] = class;
        byte += 1;
    }
    classes
}

const fn is_in(byte: u8, set: &[u8]) -> bool {
    let mut i = 0;
    while i < set.len() {
        if set[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether the byte may stand in a token.
#[inline]
pub(super) fn is_token(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TOKEN != 0
}

/// The first position from `from` on that holds no token byte; the length if all do.
#[inline]
pub(super) fn token_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, TOKEN)
}

/// The first position from `from` on that may not stand in the path of a request target: its `?`,
/// or the target's end.
#[inline]
pub(super) fn path_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, PATH)
}

/// The first position from `from` on that may not stand in a request target.
#[inline]
pub(super) fn target_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, TARGET)
}

/// The first position that may not stand in the name of a `Host`.
#[inline]
pub(super) fn host_end(bytes: &[u8]) -> usize {
    run_end(bytes, 0, HOST)
}

/// The first position from `from` on that may not stand in a header value: its CR, in good heads.
#[inline]
pub(super) fn value_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    // Eight at a time, and straight to the first control byte among them.
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let controls = controls(u64::from_le_bytes(*chunk));
        if controls == 0 {
            at += 8;
            continue;
        }
        at += controls.trailing_zeros() as usize / 8;
        if bytes[at] != b'\t' {
            return at;
        }
        at += 1;
    }
    tail_end(bytes, at, VALUE)
}

/// Eight at a time over plain bytes, which are in every class that comes here; the table decides
/// about the others.
#[inline]
fn run_end(bytes: &[u8], from: usize, class: u8) -> usize {
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let others = not_plain(u64::from_le_bytes(*chunk));
        if others == 0 {
            at += 8;
            continue;
        }
        at += others.trailing_zeros() as usize / 8;
        if !is_of(bytes[at], class) {
            return at;
        }
        at += 1;
    }
    tail_end(bytes, at, class)
}

fn tail_end(bytes: &[u8], from: usize, class: u8) -> usize {
    let mut at = from;
    while let Some(&byte) = bytes.get(at)
        && is_of(byte, class)
    {
        at += 1;
    }
    at
}

#[inline]
fn is_of(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// The high bit of each of eight bytes that is neither a letter nor a digit nor a hyphen nor a dot.
///
/// For bytes without their high bit, adding `0x80 - n` reaches the high bit iff the byte is `n` or
/// more, and never the next byte.
#[inline]
fn not_plain(word: u64) -> u64 {
    let low = word & !HIGH;
    let at_least = |word: u64, n: u8| word + ONES * u64::from(0x80 - n);
    let lower = low | (ONES * 0x20);
    let letter = at_least(lower, b'a') & !at_least(lower, b'z' + 1);
    let digit_or_mark = at_least(low, b'-') & !at_least(low, b'9' + 1);
    let not_slash = at_least(low ^ (ONES * u64::from(b'/')), 1);
    !((letter | digit_or_mark) & not_slash & !word) & HIGH
}

/// The high bit of each of eight bytes that is below 0x20 or is 0x7f. The tab is among them: the
/// caller looks closer.
///
/// For each byte without its high bit, `x - 0x20` borrows iff x < 0x20, and `x + 1` reaches the
/// high bit iff x == 0x7f; bytes with the high bit set (`obs-text`) are masked out.
#[inline]
fn controls(word: u64) -> u64 {
    let low = word & !HIGH;
    // No borrow crosses from one byte to the next: the high bit is set before subtracting.
    let below_space = !((low | HIGH) - ONES * 0x20) & HIGH;
    let delete = (low + ONES) & HIGH;
    (below_space | delete) & !word
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    type End = fn(&[u8], usize) -> usize;

    const ALL: [(End, u8); 5] = [
        (token_end, TOKEN),
        (path_end, PATH),
        (target_end, TARGET),
        (|bytes, from| from + host_end(&bytes[from..]), HOST),
        (value_end, VALUE),
    ];

    fn ends_where_the_table_says(bytes: &[u8], from: usize) -> bool {
        ALL.iter().all(|&(end, class)| {
            let run = bytes[from..].iter().position(|&byte| !is_of(byte, class));
            end(bytes, from) == run.map_or(bytes.len(), |length| from + length)
        })
    }

    quickcheck! {
        fn every_run_ends_where_the_table_says(bytes: Vec<u8>, from: usize) -> bool {
            ends_where_the_table_says(&bytes, from % (bytes.len() + 1))
        }
    }

    #[test]
    fn every_byte_is_classified_alike_in_each_position_of_a_word() {
        for byte in 0..=255 {
            for position in 0..19 {
                let mut bytes = [b'a'; 19];
                bytes[position] = byte;
                assert!(ends_where_the_table_says(&bytes, 0), "{byte} at {position}");
            }
        }
    }
}
