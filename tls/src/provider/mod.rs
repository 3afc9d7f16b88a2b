//! Who computes: the cryptography under the protocol.
//!
//! A feature of this crate offers a provider, and the configuration chooses one. Both providers
//! have lists of this crate's own, so that an update of a provider changes nothing silently.

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
/// Both have these cipher suites in this order, for TLS 1.3 and (with ECDHE) for 1.2: AES-128-GCM,
/// AES-256-GCM, `ChaCha20-Poly1305`. The groups of the key exchange are, in this order:
///
/// | provider | groups |
/// |---|---|
/// | `MbedTls` | X25519, P-256, P-384 |
/// | `AwsLc` | X25519MLKEM768, X25519, P-256, P-384 |
///
/// Among the suites the server's order decides, and among the groups the client's. There is no
/// finite-field Diffie-Hellman, neither as group nor as suite: a client that asks for it makes the
/// server compute for far longer than the client does, which is a denial of service.
///
/// # Randomness
///
/// Nonces, the random bytes of a hello and the keys of tickets come from the system, and in a
/// [simulation](straightline_sched::sim) from its seed. With `MbedTls` the keys of the exchange and
/// the signatures do too, so a simulated handshake is the same in each run. `AwsLc` draws these
/// from the system always: there the bytes of a simulated handshake differ from run to run. Their
/// number may differ too, since an ECDSA signature has 70 to 72 bytes.
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
    #[cfg_attr(
        all(feature = "mbedtls", feature = "aws-lc-rs"),
        expect(clippy::unnecessary_wraps, reason = "a program with one provider has an error")
    )]
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
        let (feature, feature_here) = match self.0 {
            TlsProvider::MbedTls => ("tls", "mbedtls"),
            TlsProvider::AwsLc => ("tls-aws-lc", "aws-lc-rs"),
        };
        write!(
            f,
            "the provider {} is not in this program: build with the feature `{feature}` of \
             straightline (`{feature_here}` of straightline-tls)",
            self.0
        )?;
        match TlsProvider::offered().first() {
            Some(offered) => write!(f, ", or choose {offered}"),
            None => f.write_str("; no provider is in this program"),
        }
    }
}

impl std::error::Error for ProviderNotOffered {}

#[cfg(test)]
mod tests {
    use rustls::crypto::KeyExchangeAlgorithm;
    use rustls::{NamedGroup, SupportedCipherSuite};
    use straightline_sched::sim;

    use super::*;

    #[test]
    fn no_provider_offers_a_finite_field() {
        for provider in TlsProvider::offered() {
            let crypto = provider.crypto().unwrap();
            for group in &crypto.kx_groups {
                let algorithm = group.name().key_exchange_algorithm();
                assert_eq!(algorithm, KeyExchangeAlgorithm::ECDHE, "{group:?}");
            }
            for suite in &crypto.cipher_suites {
                if let SupportedCipherSuite::Tls12(tls12) = suite {
                    assert_eq!(tls12.kx, KeyExchangeAlgorithm::ECDHE, "{suite:?}");
                }
            }
        }
    }

    #[test]
    fn all_providers_offer_the_same_suites_and_the_classical_groups() {
        for provider in TlsProvider::offered() {
            let crypto = provider.crypto().unwrap();
            let suites: Vec<String> =
                crypto.cipher_suites.iter().map(|suite| format!("{:?}", suite.suite())).collect();
            assert_eq!(suites, SUITES, "{provider}");
            let groups: Vec<NamedGroup> =
                crypto.kx_groups.iter().map(|group| group.name()).collect();
            let classical = [NamedGroup::X25519, NamedGroup::secp256r1, NamedGroup::secp384r1];
            match provider {
                TlsProvider::MbedTls => assert_eq!(groups, classical),
                TlsProvider::AwsLc => {
                    assert_eq!(groups[0], NamedGroup::X25519MLKEM768);
                    assert_eq!(groups[1..], classical);
                }
            }
        }
    }

    const SUITES: [&str; 9] = [
        "TLS13_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ];

    #[cfg(not(any(feature = "mbedtls", feature = "aws-lc-rs")))]
    #[test]
    fn a_program_without_a_provider_says_which_feature_it_needs() {
        let error = TlsProvider::default().crypto().unwrap_err().to_string();
        assert!(error.contains("feature `tls-aws-lc` of straightline "), "{error}");
        assert!(error.contains("no provider is in this program"), "{error}");
    }

    #[test]
    fn a_provider_is_made_once() {
        for provider in TlsProvider::offered() {
            assert!(Arc::ptr_eq(&provider.crypto().unwrap(), &provider.crypto().unwrap()));
        }
    }

    #[test]
    fn a_simulation_determines_random_bytes_and_the_system_does_not_repeat_them() {
        let draw = || {
            let mut bytes = [0; 37];
            for provider in TlsProvider::offered() {
                provider.crypto().unwrap().secure_random.fill(&mut bytes).unwrap();
            }
            bytes
        };
        if !TlsProvider::offered().is_empty() {
            assert_ne!(draw(), draw());
            assert_eq!(sim::run(7, draw), sim::run(7, draw));
            assert_ne!(sim::run(7, draw), sim::run(8, draw));
            assert_ne!(sim::run(7, draw), sim::run(7, move || (draw(), draw()).1));
        }
    }
}
