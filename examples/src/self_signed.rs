//! A certificate for tries, made at the start: for this machine's own names, signed with its own
//! key. Only the memory of the process has the key.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use p256::ecdsa::signature::Signer;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, PublicKeyData,
    SignatureAlgorithm, date_time_ymd,
};

/// A certificate and its key.
pub struct SelfSigned {
    /// The certificate in PEM.
    pub certificate_pem: String,
    /// The private key in PEM, PKCS #8.
    pub key_pem: String,
    /// The certificate in DER, of which a fingerprint is made.
    pub certificate_der: Vec<u8>,
}

/// Makes a certificate for `localhost`, 127.0.0.1 and `::1`, valid for 30 days.
///
/// # Errors
///
/// If the system has no random bytes.
pub fn self_signed() -> io::Result<SelfSigned> {
    make().map_err(|error| io::Error::other(format!("no self-signed certificate: {error}")))
}

fn make() -> Result<SelfSigned, Box<dyn Error>> {
    let key = Key::new()?;
    let mut params =
        CertificateParams::new(["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "straightline, self-signed");
    // The point's first bytes are as random as the key, so no two certificates have one number. The
    // first bit is that of the sign.
    let mut serial = key.point[1..17].to_vec();
    serial[0] &= 0x7f;
    params.serial_number = Some(serial.into());
    let now =
        date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    params.not_before = now - HOUR; // the clients' clocks may be slow
    params.not_after = now + 30 * 24 * HOUR;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok(SelfSigned {
        certificate_pem: certificate.pem(),
        key_pem: key.signing.to_pkcs8_pem(LineEnding::LF)?.to_string(),
        certificate_der: certificate.der().to_vec(),
    })
}

/// A key that signs for `rcgen`.
struct Key {
    signing: SigningKey,
    /// The public key, uncompressed (SEC 1, 2.3.3).
    point: Vec<u8>,
}

impl Key {
    fn new() -> Result<Self, Box<dyn Error>> {
        let signing = SigningKey::try_generate()
            .map_err(|error| format!("the system gave no random bytes: {error}"))?;
        let point = signing.verifying_key().to_sec1_point(false).as_bytes().to_vec();
        Ok(Self { signing, point })
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: DerSignature =
            self.signing.try_sign(message).map_err(|_| rcgen::Error::RemoteKeyError)?;
        Ok(signature.as_bytes().to_vec())
    }
}

const HOUR: Duration = Duration::from_secs(3600);
