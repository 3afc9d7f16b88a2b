//! The certificate for the peers that use rustls. All have AWS-LC, as straightline here.

use std::io;
use std::path::Path;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::compare::folder;

/// The configuration of a server with TLS 1.3, and with session tickets as rustls has them by
/// default.
pub(super) fn config(folder: &Path) -> io::Result<ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(folder::certificate(folder))
        .and_then(Iterator::collect)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(folder::key(folder)).map_err(io::Error::other)?;
    ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(io::Error::other)
}
