//! TLS on straightline's fibers.

#![forbid(unsafe_code)]

mod asked_name;
mod buffer;
mod clock;
mod config;
mod connector;
mod handshake;
mod handshake_error;
mod handshake_limits;
mod handshakes;
mod info;
mod memory_budget;
mod provider;
mod pump;
mod read_write;
mod session;
mod stream;
mod tickets;
mod version;

pub use config::{
    ClientAuth, TlsConfig, TlsConfigBuilder, TlsConfigError, TlsConfigErrorKind, TlsSetting,
    TlsWarning, TlsWarningKind,
};
pub use connector::{TlsConnector, TlsConnectorBuilder};
pub use handshake_error::{HandshakeError, HandshakeFailure};
pub use handshake_limits::HandshakeLimits;
pub use info::TlsInfo;
pub use memory_budget::MemoryBudget;
pub use provider::{TlsProvider, UnknownTlsProvider};
pub use rustls::pki_types::CertificateDer;
pub use stream::TlsStream;
pub use version::TlsVersion;
