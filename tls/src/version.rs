//! The versions of the protocol.

use std::fmt;

/// A version of TLS. There are no older ones here: RFC 8996 forbids 1.0 and 1.1.
///
/// ```
/// use straightline_tls::TlsVersion;
///
/// assert!(TlsVersion::Tls13 > TlsVersion::Tls12);
/// assert_eq!(TlsVersion::Tls13.to_string(), "TLSv1.3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl TlsVersion {
    /// `TLSv1.2` or `TLSv1.3`. Not a yield point.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }

    /// This version and the later ones, for rustls.
    pub(crate) fn and_later(self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        static ALL: [&rustls::SupportedProtocolVersion; 2] =
            [&rustls::version::TLS12, &rustls::version::TLS13];
        match self {
            Self::Tls12 => &ALL,
            Self::Tls13 => &ALL[1..],
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
