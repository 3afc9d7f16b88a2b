//! The configuration of a server's TLS.

use std::sync::Arc;

use crate::handshake_limits::HandshakeLimits;

/// PLACEHOLDER
#[derive(Clone)]
pub struct TlsConfig(Arc<rustls::ServerConfig>, Arc<crate::handshakes::Handshakes>);

/// PLACEHOLDER
#[derive(Debug)]
pub struct TlsConfigBuilder;

/// PLACEHOLDER
#[derive(Debug)]
pub struct TlsConfigError;

/// PLACEHOLDER
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsProvider {
    MbedTls,
    AwsLc,
}

/// PLACEHOLDER
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    Tls12,
    Tls13,
}

impl TlsConfig {
    /// PLACEHOLDER
    pub fn builder() -> TlsConfigBuilder {
        TlsConfigBuilder
    }
    /// PLACEHOLDER: reads all files again
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        Ok(())
    }
    /// PLACEHOLDER
    pub fn provider(&self) -> TlsProvider {
        TlsProvider::MbedTls
    }
    pub(crate) fn current(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.0)
    }
    pub(crate) fn handshakes(&self) -> &Arc<crate::handshakes::Handshakes> {
        &self.1
    }
    pub(crate) fn limits(&self) -> HandshakeLimits {
        HandshakeLimits::default()
    }
}
