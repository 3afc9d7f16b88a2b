//! The error for a request that a program cannot make or change.

use std::error::Error;
use std::fmt;

use http::Version;

use crate::proto::Refusal;

/// Why a request cannot be made.
///
/// ```
/// use straightline::Request;
///
/// let error = Request::builder().target("no slash").build().unwrap_err();
/// assert_eq!(error.to_string(), "not a request: malformed request target (byte 6)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRequest(Fault);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    Refused(Refusal),
    Version(Version),
    NoMemory,
}

impl InvalidRequest {
    pub(crate) fn refused(refusal: Refusal) -> Self {
        Self(Fault::Refused(refusal))
    }

    pub(crate) fn version(version: Version) -> Self {
        Self(Fault::Version(version))
    }

    pub(crate) fn no_memory() -> Self {
        Self(Fault::NoMemory)
    }
}

impl fmt::Display for InvalidRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Refused(refusal) => write!(f, "not a request: {refusal}"),
            Fault::Version(version) => {
                write!(f, "not a request: {version:?} is neither HTTP/1.0 nor HTTP/1.1")
            }
            Fault::NoMemory => f.write_str("no memory for the request"),
        }
    }
}

impl Error for InvalidRequest {}
