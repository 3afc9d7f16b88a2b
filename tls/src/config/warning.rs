//! What is odd in a configuration that works.

use std::fmt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::config::error::Place;

/// Something in a configuration that is probably a mistake, and with which a server works all the
/// same. Its text names the file and the names of the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsWarning {
    kind: TlsWarningKind,
    place: Place,
    /// The DNS names of the certificate, if the warning is about one.
    names: Vec<Box<str>>,
}

/// The kinds of [`TlsWarning`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsWarningKind {
    /// The certificate is not valid any more, so that clients refuse it.
    Expired {
        /// Since when.
        not_after: SystemTime,
    },
    /// The certificate is not valid yet, so that clients refuse it. Often the clock is wrong.
    NotYetValid {
        /// From when on.
        not_before: SystemTime,
    },
    /// The certificate has no DNS name (as subject alternative name), so that no client that checks
    /// names accepts it for one (RFC 9525, 6.3).
    NoNames,
    /// An earlier certificate has that name too, and is chosen.
    NameTaken {
        /// The name.
        name: Box<str>,
    },
    /// A certificate of the chain is not issued by the one behind it (RFC 8446, 4.4.2). Most
    /// clients sort that out; some do not.
    ChainBroken {
        /// The number of that certificate in the chain, from 1.
        number: usize,
    },
    /// Other users of the machine may read the private key.
    KeyReadableByOthers,
    /// A part of the platform's roots could not be read, so some servers may be refused.
    RootsNotRead {
        /// Why.
        reason: Box<str>,
    },
    /// A newer revocation list should be there. Until it is, no client certificate is accepted that
    /// this list would have to tell about.
    RevocationListStale {
        /// Since when.
        next_update: SystemTime,
    },
}

impl TlsWarning {
    /// A warning about a certificate with these DNS names; none if it is not about one.
    pub(crate) fn new(kind: TlsWarningKind, place: &Place, names: &[Box<str>]) -> Self {
        Self { kind, place: place.clone(), names: names.to_vec() }
    }

    /// The kind. Not a yield point.
    pub fn kind(&self) -> &TlsWarningKind {
        &self.kind
    }

    /// The file; `None` if the bytes came from the program. Not a yield point.
    pub fn path(&self) -> Option<&Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Bytes(_) | Place::Platform => None,
        }
    }

    /// The DNS names of the certificate. Not a yield point.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }
}

impl fmt::Display for TlsWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        match &self.kind {
            TlsWarningKind::Expired { not_after } => {
                write!(f, "the certificate expired at {}", Date(*not_after))?;
            }
            TlsWarningKind::NotYetValid { not_before } => {
                write!(f, "the certificate is not valid before {}", Date(*not_before))?;
            }
            TlsWarningKind::NoNames => {
                f.write_str("the certificate has no DNS name as subject alternative name")?;
            }
            TlsWarningKind::NameTaken { name } => {
                write!(f, "an earlier certificate is chosen for {name}")?;
            }
            TlsWarningKind::ChainBroken { number } => {
                let next = number + 1;
                write!(f, "certificate {number} of the chain is not issued by certificate {next}")?;
            }
            TlsWarningKind::KeyReadableByOthers => {
                f.write_str("other users may read the private key: forbid it with `chmod go=`")?;
            }
            TlsWarningKind::RootsNotRead { reason } => {
                write!(f, "a part of it could not be read: {reason}")?;
            }
            TlsWarningKind::RevocationListStale { next_update } => {
                write!(f, "a newer revocation list is due since {}", Date(*next_update))?;
            }
        }
        match self.names.as_slice() {
            [] => Ok(()),
            names => write!(f, " (certificate for {})", names.join(", ")),
        }
    }
}

impl std::error::Error for TlsWarning {}

/// A time as ISO 8601 in UTC.
pub(super) struct Date(pub(super) SystemTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since_1970 = self.0.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = Duration::from_secs(since_1970.unwrap_or_default().as_secs());
        match der::DateTime::from_unix_duration(seconds) {
            Ok(date) => write!(f, "{date}"),
            Err(_) => write!(f, "{} s since 1970", seconds.as_secs()),
        }
    }
}
