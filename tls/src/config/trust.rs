//! Whom this side trusts: root certificates, and lists of what they have revoked.

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use straightline_sched as sched;

use crate::config::dates::next_update;
use crate::config::error::{TlsConfigError, TlsConfigErrorKind};
use crate::config::pem::{labels, sections};
use crate::config::source::{PEM_BYTES_MAX, REVOCATION_BYTES_MAX, Source};
use crate::config::warning::{TlsWarning, TlsWarningKind};

/// The root certificates of all sources. Each source must have at least one.
pub(crate) fn read_roots(sources: &[Source]) -> Result<RootCertStore, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    for source in sources {
        let content = source.read(PEM_BYTES_MAX)?;
        let sections = sections(&content)?;
        let mut count = 0;
        for section in sections.iter().filter(|section| section.label == "CERTIFICATE") {
            let certificate: CertificateDer<'static> = section.decode(&content.place)?;
            roots.add(certificate).map_err(|error| {
                let line = section.line;
                let text = format!("the certificate in line {line} cannot be a root: {error}");
                let kind = TlsConfigErrorKind::BadCertificate;
                TlsConfigError::new(kind, &content.place, text).caused_by(error)
            })?;
            count += 1;
        }
        if count == 0 {
            let text = format!("has no root CERTIFICATE; it has {}", labels(&sections));
            let kind = TlsConfigErrorKind::NoCertificate;
            return Err(TlsConfigError::new(kind, &content.place, text));
        }
    }
    Ok(roots)
}

/// The revocation lists of all sources, and what is odd about them. Each source must have at least
/// one.
pub(crate) fn read_revocations(
    sources: &[Source],
) -> Result<(Vec<CertificateRevocationListDer<'static>>, Vec<TlsWarning>), TlsConfigError> {
    let (mut lists, mut warnings) = (Vec::new(), Vec::new());
    for source in sources {
        let content = source.read(REVOCATION_BYTES_MAX)?;
        let sections = sections(&content)?;
        let before = lists.len();
        for section in sections.iter().filter(|section| section.label == "X509 CRL") {
            let list: CertificateRevocationListDer<'static> = section.decode(&content.place)?;
            if let Err(error) = webpki::BorrowedCertRevocationList::from_der(&list) {
                let line = section.line;
                let text = format!("the revocation list in line {line} cannot be read: {error}");
                let kind = TlsConfigErrorKind::BadRevocationList;
                return Err(TlsConfigError::new(kind, &content.place, text).caused_by(error));
            }
            if let Ok(Some(next_update)) = next_update(&list)
                && next_update < sched::system_time()
            {
                let kind = TlsWarningKind::RevocationListStale { next_update };
                warnings.push(TlsWarning::new(kind, &content.place, &[]));
            }
            lists.push(list);
        }
        if lists.len() == before {
            let text = format!("has no X509 CRL; it has {}", labels(&sections));
            let kind = TlsConfigErrorKind::BadRevocationList;
            return Err(TlsConfigError::new(kind, &content.place, text));
        }
    }
    Ok((lists, warnings))
}
