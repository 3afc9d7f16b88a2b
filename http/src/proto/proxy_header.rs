//! The header by which a proxy tells a server who its client is: the PROXY protocol, versions 1
//! and 2.
//!
//! The header is the first thing on a connection. The parser gets all bytes so far, and keeps no
//! state: a header is short, so it is parsed anew when more has come. Bytes that cannot begin a
//! header are refused as early as possible. Additional data (TLVs) is passed over: nothing in it
//! decides who the client is.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::fmt;

/// A whole header: how many bytes it has, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProxyHeader {
    pub(crate) length: usize,
    pub(crate) source: ProxySource,
}

/// Who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProxySource {
    /// The proxy itself (a health check), or the proxy does not know: the address of the
    /// connection counts.
    Connection,
    Tcp(SocketAddr),
    /// A client of a Unix socket of the proxy.
    Unix,
}

/// Why the beginning of a connection is not a header of the PROXY protocol that the server takes:
/// see [`ServerBuilder::proxy_protocol`](crate::ServerBuilder::proxy_protocol) and
/// [`Event::ProxyHeaderRefused`](crate::Event::ProxyHeaderRefused).
///
/// The server takes both versions of the header, the text and the bytes. It is the first thing on
/// the connection, also in front of TLS, and may take as long as the head of a request
/// ([`Timeouts::head`](crate::Timeouts::head)); in front of TLS, it shares the time of the
/// handshake. From then on the client that it names is
/// [`Request::peer`](crate::Request::peer), in logs and events too, and is what
/// [`Capacity::connections_per_peer`](crate::Capacity::connections_per_peer) counts; the proxy
/// itself does not count. For a connection of the proxy's own, such as a health check (`LOCAL`,
/// `UNKNOWN`), the proxy stays the peer. Additional data (TLVs) is passed over.
///
/// A connection with a bad header is closed without an answer, and
/// [counted](crate::Counters::proxy_headers_refused). One that the proxy closes before it has sent
/// anything, as a probe does, is none of these.
///
/// ```
/// use straightline::ProxyHeaderError;
///
/// let text = ProxyHeaderError::Missing.to_string();
/// assert_eq!(text, "the connection does not begin with a PROXY header");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyHeaderError {
    /// The connection does not begin with a PROXY header.
    Missing,
    /// The header breaks the rules of the protocol.
    Malformed,
    /// The header is longer than any proxy makes it.
    TooLong,
    /// The header is of another version of the protocol, or of an unknown command.
    UnknownVersion,
    /// The proxy's client uses datagrams, so it cannot be a client of this server.
    Datagrams,
    /// The header did not arrive in time.
    Late,
    /// The connection ended in the header.
    Truncated,
}

impl ProxyHeader {
    /// The header at the beginning of `bytes`; `None` if it is not complete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, ProxyHeaderError> {
        if is_prefix(bytes, SIGNATURE) {
            return parse_binary(bytes);
        }
        if is_prefix(bytes, b"PROXY ") {
            return parse_text(bytes);
        }
        Err(ProxyHeaderError::Missing)
    }
}

/// Whether one of the two begins with the other.
fn is_prefix(bytes: &[u8], beginning: &[u8]) -> bool {
    bytes.iter().zip(beginning).all(|(one, other)| one == other)
}

/// Version 1: a line of text.
fn parse_text(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    let seen = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    let Some(at) = seen.iter().position(|&byte| byte == b'\r' || byte == b'\n') else {
        let is_full = seen.len() == TEXT_BYTES_MAX;
        return if is_full { Err(ProxyHeaderError::TooLong) } else { Ok(None) };
    };
    match seen.get(at..at + 2) {
        Some(b"\r\n") => {}
        None if seen[at] == b'\r' && bytes.len() < TEXT_BYTES_MAX => return Ok(None),
        _ => return Err(ProxyHeaderError::Malformed),
    }
    let line = str::from_utf8(&seen[..at]).map_err(|_| ProxyHeaderError::Malformed)?;
    let source = source_of_line(line).ok_or(ProxyHeaderError::Malformed)?;
    Ok(Some(ProxyHeader { length: at + 2, source }))
}

/// `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`, with single spaces.
fn source_of_line(line: &str) -> Option<ProxySource> {
    let mut parts = line.split(' ');
    let _proxy = parts.next()?;
    let protocol = parts.next()?;
    if protocol == "UNKNOWN" {
        return Some(ProxySource::Connection); // what follows does not count
    }
    let (source, destination) = (parts.next()?, parts.next()?);
    let (source_port, destination_port) = (port(parts.next()?)?, port(parts.next()?)?);
    let _ = destination_port;
    if parts.next().is_some() {
        return None;
    }
    let source = match protocol {
        "TCP4" => {
            let _: Ipv4Addr = destination.parse().ok()?;
            SocketAddr::from((source.parse::<Ipv4Addr>().ok()?, source_port))
        }
        "TCP6" => {
            let _: Ipv6Addr = destination.parse().ok()?;
            SocketAddr::from((source.parse::<Ipv6Addr>().ok()?, source_port))
        }
        _ => return None,
    };
    Some(ProxySource::Tcp(canonical(source)))
}

/// A decimal number without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_zeros = text.len() > 1 && text.starts_with('0');
    text.parse().ok().filter(|_| is_number && !has_zeros)
}

/// Version 2: bytes.
fn parse_binary(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    // Each byte is checked as soon as it is there.
    let Some(&version_and_command) = bytes.get(SIGNATURE.len()) else { return Ok(None) };
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(ProxyHeaderError::UnknownVersion),
    };
    let Some(&family) = bytes.get(SIGNATURE.len() + 1) else { return Ok(None) };
    let address_bytes = match family {
        _ if is_local => 0, // it is ignored
        0x00 => 0,
        0x11 => 12,
        0x21 => 36,
        0x31 => 216,
        0x12 | 0x22 | 0x32 => return Err(ProxyHeaderError::Datagrams),
        _ => return Err(ProxyHeaderError::Malformed),
    };
    let Some(&[high, low]) = bytes.get(SIGNATURE.len() + 2..FIXED_BYTES) else { return Ok(None) };
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > REST_BYTES_MAX {
        return Err(ProxyHeaderError::TooLong);
    }
    if rest < address_bytes {
        return Err(ProxyHeaderError::Malformed);
    }
    let Some(rest) = bytes.get(FIXED_BYTES..FIXED_BYTES + rest) else { return Ok(None) };
    let source = match (family, rest) {
        _ if is_local => ProxySource::Connection,
        (0x11, &[a, b, c, d, _, _, _, _, high, low, ..]) => {
            let port = u16::from_be_bytes([high, low]);
            ProxySource::Tcp(SocketAddr::from(([a, b, c, d], port)))
        }
        (0x21, rest) => {
            let (Some(address), Some(&port)) = (rest.first_chunk::<16>(), rest[32..].first_chunk())
            else {
                return Err(ProxyHeaderError::Malformed);
            };
            let address = SocketAddr::from((*address, u16::from_be_bytes(port)));
            ProxySource::Tcp(canonical(address))
        }
        (0x31, _) => ProxySource::Unix,
        _ => ProxySource::Connection,
    };
    Ok(Some(ProxyHeader { length: FIXED_BYTES + rest.len(), source }))
}

/// An IPv4 address that is written as IPv6 is the IPv4 address, as everywhere in this server.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the connection does not begin with a PROXY header",
            Self::Malformed => "the PROXY header is malformed",
            Self::TooLong => "the PROXY header is too long",
            Self::UnknownVersion => "the PROXY header has an unknown version or command",
            Self::Datagrams => "the PROXY header is for datagrams",
            Self::Late => "the PROXY header took too long",
            Self::Truncated => "the connection ended in its PROXY header",
        })
    }
}

impl std::error::Error for ProxyHeaderError {}

/// The first bytes of version 2, which no other protocol begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes of version 2 in front of the addresses.
const FIXED_BYTES: usize = SIGNATURE.len() + 4;

/// The longest line of version 1, with its end, by the specification.
const TEXT_BYTES_MAX: usize = 107;

/// The most bytes of version 2 behind the fixed part. Arbitrary: addresses have at most 216, and
/// the additional data of known proxies (the names and the certificate of a TLS client) has some
/// hundred.
const REST_BYTES_MAX: usize = 4 << 10;

/// The most bytes of a header.
pub(crate) const PROXY_HEADER_BYTES_MAX: usize = FIXED_BYTES + REST_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    fn tcp(address: &str) -> ProxySource {
        ProxySource::Tcp(address.parse().expect(address))
    }

    fn binary(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes();
        [SIGNATURE, &[version_and_command, family], &length, rest].concat()
    }

    #[test]
    fn both_versions_say_who_the_client_is() {
        let v6 = [&[0x20, 1, 0xd, 0xb8], &[0; 11][..], &[1], &[9; 16], &[0, 80, 1, 187]].concat();
        let with_tlv =
            [&[192, 0, 2, 1, 9, 9, 9, 9, 0xdc, 4, 1, 187][..], &[4, 0, 2, 0, 0]].concat();
        let cases: [(Vec<u8>, ProxySource); 11] = [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n".to_vec(), tcp("192.0.2.1:56324")),
            (b"PROXY TCP6 2001:db8::1 ::1 80 443\r\n".to_vec(), tcp("[2001:db8::1]:80")),
            (b"PROXY TCP6 ::ffff:1.2.3.4 ::1 80 443\r\n".to_vec(), tcp("1.2.3.4:80")),
            (b"PROXY UNKNOWN\r\n".to_vec(), ProxySource::Connection),
            (b"PROXY UNKNOWN ffff::1 what ever\r\n".to_vec(), ProxySource::Connection),
            (binary(0x21, 0x11, &with_tlv), tcp("192.0.2.1:56324")),
            (binary(0x21, 0x21, &v6), tcp("[2001:db8::1]:80")),
            (binary(0x21, 0x31, &[0; 216]), ProxySource::Unix),
            (binary(0x21, 0x00, &[1, 2, 3]), ProxySource::Connection),
            (binary(0x20, 0x11, &[]), ProxySource::Connection),
            (binary(0x20, 0xff, &[1]), ProxySource::Connection),
        ];
        for (header, source) in cases {
            let length = header.len();
            let expected = Ok(Some(ProxyHeader { length, source }));
            assert_eq!(ProxyHeader::parse(&header), expected);
            assert_eq!(ProxyHeader::parse(&[&header[..], b"GET /"].concat()), expected);
            for end in 0..length {
                assert_eq!(ProxyHeader::parse(&header[..end]), Ok(None), "{end} of {header:?}");
            }
        }
    }

    #[test]
    fn what_is_not_a_header_is_refused() {
        use ProxyHeaderError as E;
        let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
        let cases = [
            (b"GET / HTTP/1.1\r\n".to_vec(), E::Missing),
            (b"proxy TCP4".to_vec(), E::Missing),
            (b"\r\n\r\nGET".to_vec(), E::Missing),
            (line("TCP4 192.0.2.1 10.0.0.1 56324"), E::Malformed),
            (line("TCP4 192.0.2.1 10.0.0.1 1 2 3"), E::Malformed),
            (line("TCP4 192.0.2.1  10.0.0.1 1 2"), E::Malformed),
            (line("TCP4 192.0.2.1 10.0.0.1 65536 2"), E::Malformed),
            (line("TCP4 192.0.2.1 10.0.0.1 01 2"), E::Malformed),
            (line("TCP4 192.0.2.1 10.0.0.1 +1 2"), E::Malformed),
            (line("TCP4 192.0.2.01 10.0.0.1 1 2"), E::Malformed),
            (line("TCP4 ::1 ::1 1 2"), E::Malformed),
            (line("TCP6 1.2.3.4 ::1 1 2"), E::Malformed),
            (line("UDP4 192.0.2.1 10.0.0.1 1 2"), E::Malformed),
            (line(""), E::Malformed),
            (b"PROXY UNKNOWN\n".to_vec(), E::Malformed),
            (b"PROXY UNKNOWN\rX".to_vec(), E::Malformed),
            (line(&format!("UNKNOWN {}", "x".repeat(200))), E::TooLong),
            (binary(0x11, 0x11, &[0; 12]), E::UnknownVersion),
            (binary(0x22, 0x11, &[0; 12]), E::UnknownVersion),
            (binary(0x21, 0x12, &[0; 12]), E::Datagrams),
            (binary(0x21, 0x32, &[0; 216]), E::Datagrams),
            (binary(0x21, 0x13, &[0; 12]), E::Malformed),
            (binary(0x21, 0x41, &[0; 12]), E::Malformed),
            (binary(0x21, 0x11, &[0; 11]), E::Malformed),
            (binary(0x21, 0x21, &[0; 35]), E::Malformed),
            (binary(0x21, 0x11, &[0; REST_BYTES_MAX + 1]), E::TooLong),
        ];
        for (bytes, error) in cases {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert_eq!(ProxyHeader::parse(&bytes), Err(error), "{text:?}");
        }
        let longest = binary(0x21, 0x00, &[0; REST_BYTES_MAX]);
        assert_eq!(longest.len(), PROXY_HEADER_BYTES_MAX);
        assert!(ProxyHeader::parse(&longest).is_ok_and(|header| header.is_some()));
    }

    quickcheck! {
        fn more_bytes_change_no_decision(bytes: Vec<u8>, choice: u8) -> bool {
            let beginnings: [&[u8]; 6] = [
                b"", b"PROXY ", b"PROXY TCP4 1.2.3.4 ", SIGNATURE,
                b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0", b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x30",
            ];
            let bytes = [beginnings[usize::from(choice % 6)], &bytes].concat();
            let whole = ProxyHeader::parse(&bytes);
            (0..bytes.len()).all(|end| {
                let part = ProxyHeader::parse(&bytes[..end]);
                part == Ok(None) || part == whole
            })
        }
    }
}
