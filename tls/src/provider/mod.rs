//! Who computes: the cryptography under the protocol.
//!
//! A feature of this crate offers a provider, and the configuration chooses one. Both providers have
//! lists of this crate's own, so that an update of a provider changes nothing silently.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "mbedtls")]
mod mbed_tls;
mod random;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;

#[cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))]
pub(crate) use random::RANDOM;

/// The library that does the cryptography.
///
/// | | cipher suites of TLS 1.3 and (ECDHE only) 1.2, in this order | groups, in this order |
/// |---|---|---|
/// | `MbedTls` | AES-128-GCM, AES-256-GCM, `ChaCha20-Poly1305` | X25519, P-256, P-384 |
/// | `AwsLc` | AES-128-GCM, AES-256-GCM, `ChaCha20-Poly1305` | X25519MLKEM768, X25519, P-256, P-384 |
///
/// The server's order decides. There is no finite-field Diffie-Hellman, neither as group nor as
/// suite: it costs the server a hundred times what it costs the client, which is a denial of
/// service.
///
/// # Randomness
///
/// Nonces, the random bytes of a hello and the keys of tickets come from the system, and in a
/// [simulation](straightline_sched::sim) from its seed. With `MbedTls` the keys of the exchange and
/// the signatures do too, so a simulated handshake is the same in each run. `AwsLc` draws these from
/// the system always: there the bytes of a simulated handshake differ from run to run. Their number
/// may differ too, since an ECDSA signature has 70 to 72 bytes.
///
/// ```
/// use straightline_tls::TlsProvider;
///
/// for provider in TlsProvider::offered() {
///     println!("--tls-provider {provider}");
/// }
/// assert_eq!("aws-lc".parse(), Ok(TlsProvider::AwsLc));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsProvider {
    /// Mbed TLS 2.28, by the feature `mbedtls`. It is small, and slow: a handshake computes for
    /// milliseconds, so it runs outside of the shard.
    MbedTls,
    /// AWS-LC, by the feature `aws-lc-rs`.
    AwsLc,
}

/// The text is the name of no provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownTlsProvider;

/// The provider that a configuration asks for is not in this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProviderNotOffered(TlsProvider);

impl TlsProvider {
    /// The providers in this program, the default first; none without a feature that offers one.
    /// Not a yield point.
    pub fn offered() -> &'static [Self] {
        &[
            #[cfg(feature = "mbedtls")]
            Self::MbedTls,
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLc,
        ]
    }

    /// Its name in settings: `mbedtls` or `aws-lc`. Not a yield point.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MbedTls => "mbedtls",
            Self::AwsLc => "aws-lc",
        }
    }

    /// Whether its handshakes compute for so long that they have to leave the shard: some
    /// milliseconds, in place of a tenth of one.
    pub(crate) fn is_slow(self) -> bool {
        match self {
            Self::MbedTls => true,
            Self::AwsLc => false,
        }
    }

    /// The provider for rustls. There is one of each in the process.
    pub(crate) fn crypto(self) -> Result<Arc<CryptoProvider>, ProviderNotOffered> {
        match self {
            #[cfg(feature = "mbedtls")]
            Self::MbedTls => Ok(mbed_tls::provider()),
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLc => Ok(aws_lc::provider()),
            #[cfg(not(all(feature = "mbedtls", feature = "aws-lc-rs")))]
            provider => Err(ProviderNotOffered(provider)),
        }
    }

    /// What the provider can read as a private key.
    pub(crate) fn key_kinds(self) -> &'static str {
        match self {
            Self::MbedTls => "RSA and ECDSA (P-256, P-384, P-521)",
            Self::AwsLc => "RSA, ECDSA (P-256, P-384, P-521) and Ed25519",
        }
    }
}

/// Mbed TLS where it is offered, and else AWS-LC.
impl Default for TlsProvider {
    fn default() -> Self {
        Self::offered().first().copied().unwrap_or(Self::AwsLc)
    }
}

impl fmt::Display for TlsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TlsProvider {
    type Err = UnknownTlsProvider;

    fn from_str(name: &str) -> Result<Self, UnknownTlsProvider> {
        let all = [Self::MbedTls, Self::AwsLc];
        all.into_iter().find(|provider| provider.as_str() == name).ok_or(UnknownTlsProvider)
    }
}

impl fmt::Display for UnknownTlsProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a provider of cryptography for TLS; there are `mbedtls` and `aws-lc`")
    }
}

impl std::error::Error for UnknownTlsProvider {}

impl fmt::Display for ProviderNotOffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0;
        let feature = match self.0 {
            TlsProvider::MbedTls => "mbedtls",
            TlsProvider::AwsLc => "aws-lc-rs",
        };
        write!(
            f,
            "the provider {name} is not in this program: build with the feature `{feature}` of \
             straightline-tls"
        )?;
        match TlsProvider::offered().first() {
            Some(offered) => write!(f, ", or choose {offered}"),
            None => f.write_str("; no provider is in this program"),
        }
    }
}

impl std::error::Error for ProviderNotOffered {}
