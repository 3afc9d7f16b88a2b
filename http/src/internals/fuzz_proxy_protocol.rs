//! PROXY headers: the same decision in one piece and in several, and never before the bytes that it
//! needs.

use crate::proto::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError};

/// Tries the beginning of a connection. The first byte chooses what stands in front of the rest, so
/// that the fuzzer need not find the signature.
///
/// # Panics
///
/// If a property does not hold.
pub fn fuzz_proxy_protocol(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let beginnings: [&[u8]; 4] = [b"", b"PROXY TCP4 ", b"PROXY TCP6 ", b"\r\n\r\n\0\r\nQUIT\n"];
    let bytes = [beginnings[usize::from(choice % 4)], rest].concat();
    let whole = ProxyHeader::parse(&bytes);
    if let Ok(Some(header)) = whole {
        assert!(header.length <= bytes.len() && header.length <= PROXY_HEADER_BYTES_MAX);
        assert_eq!(ProxyHeader::parse(&bytes[..header.length]), whole);
        assert_eq!(ProxyHeader::parse(&bytes[..header.length - 1]), Ok(None));
    }
    for end in 0..bytes.len() {
        let part = ProxyHeader::parse(&bytes[..end]);
        assert!(part == Ok(None) || part == whole, "{end}: {part:?} and {whole:?}");
    }
    // A header has a bound, so an endless one is refused.
    let endless = [&bytes[..], &[b'x'; PROXY_HEADER_BYTES_MAX]].concat();
    assert_ne!(ProxyHeader::parse(&endless), Ok(None));
    if !bytes.is_empty() && !b"P\r".contains(&bytes[0]) {
        assert_eq!(whole, Err(ProxyHeaderError::Missing));
    }
}
