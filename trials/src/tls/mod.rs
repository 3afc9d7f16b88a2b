//! What the scenario `tls` needs: certificates, and clients that speak TLS.

mod client;
mod files;

pub(crate) use self::client::{TlsClient, connect_raw, hello};
pub(crate) use self::files::{Files, Pair, connector};

/// The name in the certificates.
pub(crate) const NAME: &str = "localhost";
