//! Which bytes names, values, targets and hosts may hold, and where a run of such bytes ends.

/// A method or header name: `token` of RFC 9110 section 5.6.2.
const TOKEN: u8 = 1;
/// A header value: visible ASCII, space, tab and `obs-text` (RFC 9110 section 5.5).
const VALUE: u8 = 2;
/// A request target. All visible ASCII except the bytes that every URL library encodes (`"`, `<`,
/// `>`), and `#`, which starts a fragment and is never sent. RFC 3986 also forbids
/// `[ ] \ ^ { | }` and the backtick; browsers send them unencoded.
const TARGET: u8 = 4;
/// A registered name or IPv4 address in a `Host`, percent-encoded bytes included (RFC 3986
/// section 3.2.2). The comma is left out: no name has one, and two hosts in one field have one.
const HOST: u8 = 8;

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
        }
        if alphanumeric || is_in(c, b"-._~%!$&'()*+;=") {
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
pub(crate) fn is_token(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & TOKEN != 0
}

/// The first position from `from` on without a token byte; the length if there is none.
pub(super) fn token_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, TOKEN)
}

/// The first position from `from` on whose byte a request target may not hold.
pub(super) fn target_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, TARGET)
}

/// The first position whose byte the name of a `Host` may not hold.
pub(super) fn host_end(bytes: &[u8]) -> usize {
    run_end(bytes, 0, HOST)
}

/// The first position from `from` on whose byte a header value may not hold: its CR, in valid
/// heads.
pub(super) fn value_end(bytes: &[u8], from: usize) -> usize {
    run_end(bytes, from, VALUE)
}

#[inline]
fn run_end(bytes: &[u8], from: usize, class: u8) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a class.
    fn members(class: u8) -> Vec<u8> {
        (0..=255).filter(|&byte| is_of(byte, class)).collect()
    }

    #[test]
    fn the_classes_are_those_of_the_rfcs() {
        let visible = b'!'..=b'~';
        let is_delimiter = |byte: &u8| b"\"(),/:;<=>?@[\\]{}".contains(byte);
        let tokens: Vec<u8> = visible.clone().filter(|byte| !is_delimiter(byte)).collect();
        assert_eq!(members(TOKEN), tokens);
        let values: Vec<u8> = [b'\t'].into_iter().chain(b' '..=b'~').chain(0x80..=0xff).collect();
        assert_eq!(members(VALUE), values);
        let targets: Vec<u8> = visible.filter(|byte| !b"\"<>#".contains(byte)).collect();
        assert_eq!(members(TARGET), targets);
    }

    #[test]
    fn a_run_ends_at_the_first_other_byte_or_with_the_bytes() {
        assert_eq!(token_end(b"ab c", 0), 2);
        assert_eq!(token_end(b"ab c", 3), 4);
        assert_eq!(token_end(b"ab c", 2), 2);
        assert_eq!(token_end(b"", 0), 0);
    }
}
