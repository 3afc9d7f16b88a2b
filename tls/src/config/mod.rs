//! The configuration of a server's TLS: what is read from files, and read again.

mod builder;
mod checks;
mod dates;
mod error;
mod identity;
mod listing;
mod names;
mod pem;
mod reloadable;
mod settings;
mod source;
mod trust;
mod warning;

pub use builder::TlsConfigBuilder;
pub use error::{TlsConfigError, TlsConfigErrorKind};
pub use listing::TlsSetting;
pub use reloadable::TlsConfig;
pub use settings::ClientAuth;
pub use warning::{TlsWarning, TlsWarningKind};

pub(crate) use checks::{check_alpn, check_limits};
pub(crate) use error::Place;
pub(crate) use identity::IdentitySource;
pub(crate) use source::Source;
pub(crate) use trust::{read_revocations, read_roots};
