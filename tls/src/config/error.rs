//! What is wrong with a configuration: in which file, what, and what helps.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a configuration cannot be built. Its text names the file, what is wrong in it, and what
/// helps where that is known.
///
/// ```
/// # #[cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))] {
/// use straightline_tls::{TlsConfig, TlsConfigErrorKind};
///
/// let error = TlsConfig::builder().certificate_files("/no/chain.pem", "/no/key.pem").build();
/// let error = error.unwrap_err();
/// assert_eq!(error.kind(), TlsConfigErrorKind::Unreadable);
/// assert_eq!(error.path().unwrap().to_str(), Some("/no/chain.pem"));
/// assert!(error.to_string().starts_with("/no/chain.pem: "));
/// # }
/// ```
#[derive(Debug)]
pub struct TlsConfigError {
    kind: TlsConfigErrorKind,
    place: Option<Place>,
    text: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The kinds of [`TlsConfigError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsConfigErrorKind {
    /// The provider is not in this program, or failed.
    Provider,
    /// Two settings contradict each other, or one is missing.
    Settings,
    /// A file is not there, may not be read, is not a file, or is too large.
    Unreadable,
    /// What was read is no PEM (RFC 7468).
    NotPem,
    /// No certificate.
    NoCertificate,
    /// A certificate that cannot be read, or that is unfit.
    BadCertificate,
    /// No private key.
    NoKey,
    /// More than one private key.
    SeveralKeys,
    /// The private key needs a password.
    EncryptedKey,
    /// A private key that cannot be read, or whose kind the provider does not have.
    BadKey,
    /// The private key belongs to another certificate.
    KeyMismatch,
    /// The private key belongs to a certificate of the chain that is not the first.
    ChainOrder,
    /// What is to be stapled is no OCSP response (RFC 6960), or one without an answer.
    BadOcsp,
    /// A revocation list (CRL, RFC 5280) that cannot be read, or none.
    BadRevocationList,
}

/// Where the bytes came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    /// Bytes that the program gave, as a noun with its article.
    Bytes(&'static str),
    /// What the platform says.
    Platform,
}

impl TlsConfigError {
    pub(crate) fn new(kind: TlsConfigErrorKind, place: &Place, text: impl Into<String>) -> Self {
        Self { kind, place: Some(place.clone()), text: text.into(), cause: None }
    }

    /// An error that belongs to no file.
    pub(crate) fn of_settings(text: impl Into<String>) -> Self {
        Self { kind: TlsConfigErrorKind::Settings, place: None, text: text.into(), cause: None }
    }

    pub(crate) fn of_provider(cause: impl Error + Send + Sync + 'static) -> Self {
        let kind = TlsConfigErrorKind::Provider;
        Self { kind, place: None, text: cause.to_string(), cause: None }.caused_by(cause)
    }

    /// With the error below this one. The text should have it already, since many programs print
    /// the text alone.
    pub(crate) fn caused_by(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }

    /// The kind. Not a yield point.
    pub fn kind(&self) -> TlsConfigErrorKind {
        self.kind
    }

    /// The file; `None` if the error belongs to no file. Not a yield point.
    pub fn path(&self) -> Option<&Path> {
        match self.place.as_ref()? {
            Place::File(path) => Some(path),
            Place::Bytes(_) | Place::Platform => None,
        }
    }
}

impl fmt::Display for TlsConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Error for TlsConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl From<TlsConfigError> for std::io::Error {
    fn from(error: TlsConfigError) -> Self {
        Self::new(std::io::ErrorKind::InvalidInput, error)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes(noun) => write!(f, "{noun} given as bytes"),
            Self::Platform => f.write_str("the platform's certificate store"),
        }
    }
}
