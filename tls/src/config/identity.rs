//! A certificate with its chain and its private key, read and checked.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use straightline_sched as sched;
use webpki::EndEntityCert;

use crate::config::dates::{Validity, validity};
use crate::config::error::{Place, TlsConfigError, TlsConfigErrorKind};
use crate::config::pem::{Section, labels, sections};
use crate::config::source::{Content, PEM_BYTES_MAX, Source};
use crate::config::warning::{Date, TlsWarning, TlsWarningKind};
use crate::provider::TlsProvider;

/// Where the parts of an identity are read from.
#[derive(Clone)]
pub(crate) struct IdentitySource {
    pub(crate) chain: Source,
    pub(crate) key: Source,
    pub(crate) ocsp: Option<Source>,
}

/// A certificate with its chain and its private key.
pub(crate) struct Identity {
    pub(crate) certified: Arc<CertifiedKey>,
    /// The DNS names, in lower case; one may begin with `*.`.
    pub(crate) names: Vec<Box<str>>,
    /// Until when the certificate is valid; `None` if its dates cannot be read.
    pub(crate) not_after: Option<SystemTime>,
    pub(crate) place: Place,
    pub(crate) warnings: Vec<TlsWarning>,
}

impl IdentitySource {
    pub(crate) fn new(chain: Source, key: Source) -> Self {
        Self { chain, key, ocsp: None }
    }

    /// Reads the files, and checks that they belong together.
    pub(crate) fn load(
        &self,
        provider: TlsProvider,
        crypto: &CryptoProvider,
    ) -> Result<Identity, TlsConfigError> {
        let chain_content = self.chain.read(PEM_BYTES_MAX)?;
        let key_content = self.key.read(PEM_BYTES_MAX)?;
        let chain = read_chain(&chain_content)?;
        let key = read_key(&key_content, provider, crypto)?;
        check_pair(&chain, &*key, &chain_content.place, &key_content.place)?;
        let leaf = parse(&chain[0], 1, &chain_content.place)?;
        let names: Vec<Box<str>> =
            leaf.valid_dns_names().map(|name| name.to_ascii_lowercase().into()).collect();
        let dates = validity(&chain[0]).ok();
        let mut kinds: Vec<TlsWarningKind> = dates.and_then(dated_warning).into_iter().collect();
        if names.is_empty() {
            kinds.push(TlsWarningKind::NoNames);
        }
        kinds.extend(broken_link(&chain));
        let mut warnings: Vec<TlsWarning> = kinds
            .into_iter()
            .map(|kind| TlsWarning::new(kind, &chain_content.place, &names))
            .collect();
        if key_content.is_readable_by_others {
            let kind = TlsWarningKind::KeyReadableByOthers;
            warnings.push(TlsWarning::new(kind, &key_content.place, &names));
        }
        let ocsp = self.ocsp.as_ref().map(read_ocsp).transpose()?;
        let mut certified = CertifiedKey::new(chain, key);
        certified.ocsp = ocsp;
        let certified = Arc::new(certified);
        let not_after = dates.map(|dates| dates.not_after);
        Ok(Identity { certified, names, not_after, place: chain_content.place, warnings })
    }
}

impl Identity {
    /// The warnings, without those that matter only for a server.
    pub(crate) fn warnings_of_client(&self) -> impl Iterator<Item = TlsWarning> {
        self.warnings.iter().filter(|warning| *warning.kind() != TlsWarningKind::NoNames).cloned()
    }
}

/// What is told of a certificate that was read.
pub(crate) struct Leaf {
    place: Place,
    names: Vec<Box<str>>,
    /// `None` if the dates cannot be read.
    pub(crate) not_after: Option<SystemTime>,
}

impl Leaf {
    pub(crate) fn of(identity: &Identity) -> Self {
        let Identity { place, names, not_after, .. } = identity;
        Self { place: place.clone(), names: names.clone(), not_after: *not_after }
    }
}

impl fmt::Display for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, names, not_after } = self;
        let names = if names.is_empty() { "no name".into() } else { names.join(", ") };
        write!(f, "{place}: for {names}")?;
        not_after.map_or(Ok(()), |at| write!(f, ", until {}", Date(at)))
    }
}

/// The certificates of a chain, each of which can be parsed; at least one.
fn read_chain(content: &Content) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    let sections = sections(content)?;
    let mut chain = Vec::new();
    for section in &sections {
        match section.label {
            "CERTIFICATE" => {
                let certificate = section.decode(&content.place)?;
                chain.push(certificate);
                let last = &chain[chain.len() - 1];
                parse(last, chain.len(), &content.place)?;
            }
            // A file may have the chain and the key, and the parameters of curves and of old
            // servers.
            label if is_private_key(label) || label.ends_with(" PARAMETERS") => {}
            label => {
                let text = format!(
                    "line {} begins {}{label}, where a certificate is expected",
                    section.line,
                    article(label)
                );
                let kind = TlsConfigErrorKind::BadCertificate;
                return Err(TlsConfigError::new(kind, &content.place, text));
            }
        }
    }
    if chain.is_empty() {
        let text = format!("has no CERTIFICATE; it has {}", labels(&sections));
        return Err(TlsConfigError::new(TlsConfigErrorKind::NoCertificate, &content.place, text));
    }
    Ok(chain)
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['A', 'E', 'I', 'O', 'U', 'X']) { "an " } else { "a " }
}

fn parse<'a>(
    certificate: &'a CertificateDer<'_>,
    number: usize,
    place: &Place,
) -> Result<EndEntityCert<'a>, TlsConfigError> {
    EndEntityCert::try_from(certificate).map_err(|error| {
        let hint = match error {
            webpki::Error::UnsupportedCertVersion => {
                "; only certificates of version 3 have names, and clients refuse others"
            }
            _ => "",
        };
        let text = format!("certificate {number} of it cannot be read: {error}{hint}");
        TlsConfigError::new(TlsConfigErrorKind::BadCertificate, place, text).caused_by(error)
    })
}

/// The one private key of a file.
fn read_key(
    content: &Content,
    provider: TlsProvider,
    crypto: &CryptoProvider,
) -> Result<Arc<dyn SigningKey>, TlsConfigError> {
    let place = &content.place;
    let refuse = |kind, text: String| Err(TlsConfigError::new(kind, place, text));
    let sections = sections(content)?;
    let is_encrypted = |section: &&Section<'_>| {
        section.label == "ENCRYPTED PRIVATE KEY" || section.has_encryption_header()
    };
    if let Some(section) = sections.iter().find(is_encrypted) {
        return refuse(
            TlsConfigErrorKind::EncryptedKey,
            format!(
                "the private key in line {} is encrypted, and there is no way to give its \
                 password; `openssl pkey -in FILE -out NEW_FILE` writes it without",
                section.line
            ),
        );
    }
    let keys: Vec<&Section<'_>> =
        sections.iter().filter(|section| is_private_key(section.label)).collect();
    let section = match keys.as_slice() {
        [] => {
            let text = format!("has no PRIVATE KEY; it has {}", labels(&sections));
            return refuse(TlsConfigErrorKind::NoKey, text);
        }
        [section] => section,
        [first, second, ..] => {
            let text = format!(
                "has more than one private key, in the lines {} and {}; which one is meant?",
                first.line, second.line
            );
            return refuse(TlsConfigErrorKind::SeveralKeys, text);
        }
    };
    if section.label == "OPENSSH PRIVATE KEY" {
        let text = "has a private key of OpenSSH; `ssh-keygen -p -m PKCS8 -f FILE` converts it";
        return refuse(TlsConfigErrorKind::BadKey, text.to_owned());
    }
    let key: PrivateKeyDer<'static> = section.decode(place)?;
    crypto.key_provider.load_private_key(key).map_err(|error| {
        let text = format!(
            "the private key in line {} cannot be used: {error}; {provider} reads {}",
            section.line,
            provider.key_kinds()
        );
        TlsConfigError::new(TlsConfigErrorKind::BadKey, place, text).caused_by(error)
    })
}

fn is_private_key(label: &str) -> bool {
    label.ends_with("PRIVATE KEY")
}

/// Checks that the key belongs to the first certificate.
fn check_pair(
    chain: &[CertificateDer<'_>],
    key: &dyn SigningKey,
    chain_place: &Place,
    key_place: &Place,
) -> Result<(), TlsConfigError> {
    let public = key.public_key();
    let belongs = |certificate: &CertificateDer<'_>| {
        let certificate = EndEntityCert::try_from(certificate).ok();
        certificate.map(|certificate| certificate.subject_public_key_info()) == public
    };
    match chain.iter().position(belongs) {
        Some(0) => Ok(()),
        None => {
            let text = format!(
                "the private key of {key_place} does not belong to the certificate; either file is \
                 of another certificate, or only one of the two is new"
            );
            Err(TlsConfigError::new(TlsConfigErrorKind::KeyMismatch, chain_place, text))
        }
        Some(index) => {
            let number = index + 1;
            let text = format!(
                "the private key of {key_place} belongs to certificate {number} of the chain; the \
                 server's own certificate must be the first, and each other one the issuer of the \
                 one before"
            );
            Err(TlsConfigError::new(TlsConfigErrorKind::ChainOrder, chain_place, text))
        }
    }
}

fn dated_warning(valid: Validity) -> Option<TlsWarningKind> {
    let now = sched::system_time();
    if valid.not_after < now {
        return Some(TlsWarningKind::Expired { not_after: valid.not_after });
    }
    let not_before = valid.not_before;
    (not_before > now).then_some(TlsWarningKind::NotYetValid { not_before })
}

/// The first certificate that the next one has not issued.
fn broken_link(chain: &[CertificateDer<'_>]) -> Option<TlsWarningKind> {
    let is_issued_by = |pair: &[CertificateDer<'_>]| {
        let [lower, upper] = pair else { return true };
        let parsed = EndEntityCert::try_from(lower).and_then(|lower| {
            let upper = EndEntityCert::try_from(upper)?;
            Ok(lower.issuer() == upper.subject())
        });
        parsed.unwrap_or(true)
    };
    let index = chain.windows(2).position(|pair| !is_issued_by(pair))?;
    Some(TlsWarningKind::ChainBroken { number: index + 1 })
}

/// An OCSP response in DER, as `openssl ocsp -respout` writes it.
fn read_ocsp(source: &Source) -> Result<Vec<u8>, TlsConfigError> {
    let content = source.read(OCSP_BYTES_MAX)?;
    let refuse =
        |text: &str| Err(TlsConfigError::new(TlsConfigErrorKind::BadOcsp, &content.place, text));
    match content.bytes.as_slice() {
        [] => refuse("is empty; an OCSP response in DER is expected"),
        bytes if bytes.starts_with(b"-----BEGIN") => {
            refuse("is PEM; an OCSP response in DER is expected")
        }
        bytes => match ocsp_status(bytes) {
            Ok(0) => Ok(bytes.to_vec()),
            Ok(status) => refuse(&format!(
                "is an OCSP response without an answer: its status is {status} (RFC 6960, 4.2.1)"
            )),
            Err(error) => refuse(&format!("is no OCSP response in DER: {error}")),
        },
    }
}

/// The status of an OCSP response; 0 is a success (RFC 6960, 4.2.1).
fn ocsp_status(response: &[u8]) -> der::Result<u8> {
    use der::asn1::AnyRef;
    use der::{Decode, SliceReader, Tag, Tagged};

    let response = AnyRef::from_der(response)?;
    response.tag().assert_eq(Tag::Sequence)?;
    let status = AnyRef::decode(&mut SliceReader::new(response.value())?)?;
    status.tag().assert_eq(Tag::Enumerated)?;
    Ok(status.value().first().copied().unwrap_or(u8::MAX))
}

/// The most bytes of an OCSP response. RFC 6066, 8, has a length of 24 bits; real ones have some
/// thousand bytes, and each handshake sends all of them.
const OCSP_BYTES_MAX: u64 = 64 * 1024;
