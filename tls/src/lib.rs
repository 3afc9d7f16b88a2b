//! TLS on straightline's fibers.

#![forbid(unsafe_code)]

mod asked_name;
mod buffer;
mod config;
mod handshake;
mod handshake_error;
mod handshake_limits;
mod handshakes;
mod info;
mod session;
mod stream;

pub use config::{TlsConfig, TlsConfigBuilder, TlsConfigError, TlsProvider, TlsVersion};
pub use handshake_error::{HandshakeError, HandshakeFailure};
pub use handshake_limits::HandshakeLimits;
pub use info::TlsInfo;
pub use rustls::pki_types::CertificateDer;
pub use stream::TlsStream;
