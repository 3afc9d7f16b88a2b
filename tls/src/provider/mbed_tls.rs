//! Mbed TLS, by the provider of the `mbedtls` crate's maintainers.
//!
//! Three things are this crate's own:
//!
//! - The lists. The provider's offer finite-field groups and suites, and rustls takes a group by
//!   the client's order.
//! - The generator under keys and signatures ([`Generator`]), so that a simulation determines them.
//! - The keys ([`SigningKeys`]): the provider's has a lock around each signature, which lets one
//!   core sign at a time, and it does not tell its public key.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use mbedtls::hash::{MdInfo, Type as HashType};
use mbedtls::pk::Pk;
use mbedtls::rng::HmacDrbg;
use rustls::crypto::{CryptoProvider, KeyProvider, SupportedKxGroup};
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, OtherError, SignatureAlgorithm, SignatureScheme, SupportedCipherSuite};
use rustls_mbedcrypto_provider::kx::{
    EcdhKxGroupWrapper, SECP256R1_KX_GROUP, SECP384R1_KX_GROUP, X25519_KX_GROUP,
};
use rustls_mbedcrypto_provider::sign::MbedTlsPkSigningKeyWrapper;
use rustls_mbedcrypto_provider::{SUPPORTED_SIG_ALGS, cipher_suite};
use zeroize::Zeroizing;

use crate::provider::RANDOM;

/// The provider. There is one in the process.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| {
        Arc::new(CryptoProvider {
            cipher_suites: CIPHER_SUITES.to_vec(),
            kx_groups: groups(),
            signature_verification_algorithms: SUPPORTED_SIG_ALGS,
            secure_random: RANDOM,
            key_provider: &Keys,
        })
    }))
}

/// In the order of preference, ECDHE only. AES first, for the processors that have instructions for
/// it.
static CIPHER_SUITES: &[SupportedCipherSuite] = &[
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// In the order of preference, without the finite-field groups.
fn groups() -> Vec<&'static dyn SupportedKxGroup> {
    type Group = EcdhKxGroupWrapper<HmacDrbg>;
    static GROUPS: OnceLock<[Group; 3]> = OnceLock::new();
    let groups = GROUPS.get_or_init(|| {
        [X25519_KX_GROUP, SECP256R1_KX_GROUP, SECP384R1_KX_GROUP]
            .map(|group| group.with_rng_provider(generator))
    });
    groups.iter().map(|group| group as &dyn SupportedKxGroup).collect()
}

/// A generator for one key or one signature, seeded by [`RANDOM`].
fn generator() -> Option<HmacDrbg> {
    let hash: Option<MdInfo> = HashType::Sha256.into();
    let mut seed = Zeroizing::new([0; GENERATOR_SEED_BYTES]);
    RANDOM.fill(&mut *seed).ok()?;
    HmacDrbg::from_buf(hash?, &*seed).ok()
}

/// 256 bits, and half as many for the nonce (NIST SP 800-90A, 10.1.2).
const GENERATOR_SEED_BYTES: usize = 48;

#[derive(Debug)]
struct Keys;

impl KeyProvider for Keys {
    fn load_private_key(&self, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        let key = Zeroizing::new(key);
        let first = KeyCopy::load(&key)?;
        let mut public = Pk::from_private_key(key.secret_der(), None).map_err(other)?;
        if first.0.algorithm() == SignatureAlgorithm::RSA && public.len() < RSA_BITS_MIN {
            let text = format!("an RSA key has {RSA_BITS_MIN} bits or more, not {}", public.len());
            return Err(Error::General(text));
        }
        let public = SubjectPublicKeyInfoDer::from(public.write_public_der_vec().map_err(other)?);
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let others = (1..cores.min(COPIES_MAX)).map(|_| KeyCopy::load(&key));
        let copies = [Ok(first)].into_iter().chain(others).collect::<Result<_, _>>()?;
        Ok(Arc::new(SigningKeys { copies, next: AtomicUsize::new(0), public }))
    }
}

fn other(error: mbedtls::Error) -> Error {
    Error::Other(OtherError(Arc::new(error)))
}

/// The other provider has the same bound, and so have clients (CA/Browser Forum, Baseline
/// Requirements, 6.1.5).
const RSA_BITS_MIN: usize = 2048;

/// The most copies of one key. Arbitrary: beyond that, cores wait for each other a little.
const COPIES_MAX: usize = 16;

/// A private key, in as many copies as there are cores.
struct SigningKeys {
    /// At least one.
    copies: Box<[KeyCopy]>,
    /// Which copy signs next, counted up.
    next: AtomicUsize,
    public: SubjectPublicKeyInfoDer<'static>,
}

struct KeyCopy(MbedTlsPkSigningKeyWrapper<HmacDrbg>);

impl KeyCopy {
    fn load(key: &PrivateKeyDer<'static>) -> Result<Self, Error> {
        MbedTlsPkSigningKeyWrapper::new(key, generator).map(Self)
    }
}

impl SigningKey for SigningKeys {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.copies.len();
        self.copies[index].0.choose_scheme(offered)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.public.as_ref()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.copies[0].0.algorithm()
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKeys").field("copies", &self.copies.len()).finish_non_exhaustive()
    }
}
