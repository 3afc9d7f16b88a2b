//! The error of a call to an address that the client may not call.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::IpAddr;

use ureq::Error;

/// The server has only addresses that the client [refuses](super::ClientBuilder::refuse), so it has
/// seen nothing of the request. It is inside of an [`Error::Io`] of the kind `PermissionDenied`.
///
/// ```
/// use straightline::client::{Client, RefusedAddress};
/// use straightline::{Networks, sched};
///
/// sched::run(|| {
///     let client = Client::builder().refuse(Networks::not_public()).build();
///     let error = client.get("http://169.254.169.254/latest/meta-data").call().unwrap_err();
///     assert!(RefusedAddress::is_cause_of(&error));
/// });
/// ```
#[derive(Debug)]
pub struct RefusedAddress {
    /// Host and port, as the call has named them.
    to: String,
    address: IpAddr,
}

impl RefusedAddress {
    pub(super) fn of(to: &str, address: IpAddr) -> Error {
        let this = Self { to: to.to_owned(), address };
        Error::Io(io::Error::new(ErrorKind::PermissionDenied, this))
    }

    /// The address; the first, if the server has several. Not a yield point.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether a call failed because the client refuses the address. Not a yield point.
    pub fn is_cause_of(error: &Error) -> bool {
        match error {
            Error::Io(error) => {
                error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()).is_some()
            }
            _ => false,
        }
    }
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, address } = self;
        write!(f, "the client does not call {to}: it refuses the address {address}")
    }
}

impl std::error::Error for RefusedAddress {}
