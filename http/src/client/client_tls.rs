//! TLS to servers: the connector that the program sets, or one with the platform's roots.

use std::io;

#[cfg(feature = "_tls")]
use std::sync::OnceLock;
#[cfg(feature = "_tls")]
use straightline_sched::offload;
#[cfg(feature = "_tls")]
use straightline_tls::TlsConnector;
use ureq::Error;

#[cfg(feature = "_tls")]
use super::connect_error::ConnectError;
use super::pool::Stream;

/// Makes TLS connections, if the program has a feature with TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientTls {
    /// Empty until the first `https` call, if the program has set none.
    #[cfg(feature = "_tls")]
    connector: OnceLock<TlsConnector>,
}

#[cfg(feature = "_tls")]
impl ClientTls {
    pub(super) fn new(connector: TlsConnector) -> Self {
        Self { connector: connector.into() }
    }

    /// Whether there is TLS at all.
    #[allow(clippy::unnecessary_wraps)] // without TLS it is an error
    pub(super) fn check() -> Result<(), Error> {
        Ok(())
    }

    /// Runs a handshake over a stream with the server of that name.
    ///
    /// A yield point.
    pub(super) fn over(&self, host: &str, stream: Stream) -> Result<Stream, Error> {
        let failed = |error| ConnectError::of(host, error);
        let connector = self.connector().map_err(failed)?;
        Ok(Box::new(connector.connect(host, stream).map_err(failed)?))
    }

    /// The connector. To read the roots of the platform takes some milliseconds, so another thread
    /// does it. Two fibers may do it at the same time; the first one that ends counts.
    fn connector(&self) -> io::Result<&TlsConnector> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector);
        }
        let with_roots = || TlsConnector::builder().platform_roots().alpn(["http/1.1"]).build();
        let connector = offload(with_roots)?.map_err(io::Error::other)?;
        Ok(self.connector.get_or_init(|| connector))
    }
}

#[cfg(not(feature = "_tls"))]
impl ClientTls {
    /// Says that there is no TLS.
    pub(super) fn check() -> Result<(), Error> {
        let text = "`https` needs the feature `tls` or `tls-aws-lc` of straightline";
        Err(Error::Io(io::Error::new(io::ErrorKind::Unsupported, text)))
    }

    #[allow(clippy::unused_self)] // as with TLS
    pub(super) fn over(&self, _: &str, stream: Stream) -> Result<Stream, Error> {
        Self::check().map(|()| stream)
    }
}
