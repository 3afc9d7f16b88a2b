//! Certificates between the server and `openssl s_client`, in both directions.

use rcgen::date_time_ymd;
use straightline_tls::{ClientAuth, HandshakeFailure, TlsConfig, TlsProvider};

use crate::common::certificate::Certificates;
use crate::common::echo::{Served, config};
use crate::openssl::{TempFile, talk_once};

#[test]
fn a_name_is_chosen_and_checked() {
    let certificates = Certificates::shared();
    let root = TempFile::new(&certificates.root_pem);
    let (other_chain, other_key) = certificates.leaf(|params| {
        params.subject_alt_names =
            vec![rcgen::SanType::DnsName("other.example".try_into().expect("a name"))];
    });
    for &provider in TlsProvider::offered() {
        let config = TlsConfig::builder()
            .certificate_pem(&certificates.chain_pem, &certificates.key_pem)
            .certificate_pem(&other_chain, &other_key)
            .provider(provider)
            .build()
            .expect("a good configuration");
        let check = |name, expected| {
            let arguments = [
                "-CAfile",
                root.path(),
                "-verify_return_error",
                "-servername",
                name,
                "-verify_hostname",
                expected,
            ];
            talk_once(&config, &arguments)
        };
        for name in ["localhost", "other.example"] {
            let (told, (info, served)) = check(name, name);
            assert!(told.is_success, "{}", told.text);
            assert_eq!(served, Served::Closed);
            assert_eq!(info.expect("a handshake").server_name(), Some(name));
        }
        let (told, (_, served)) = check("localhost", "other.example");
        assert!(!told.is_success && told.text.contains("hostname mismatch"), "{}", told.text);
        assert_eq!(served, Served::Refused(HandshakeFailure::Alert));
    }
}

#[test]
fn an_expired_certificate_is_refused() {
    let certificates = Certificates::shared();
    let root = TempFile::new(&certificates.root_pem);
    let (chain, key) = certificates.leaf(|params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    for &provider in TlsProvider::offered() {
        let config = TlsConfig::builder()
            .certificate_pem(&chain, &key)
            .provider(provider)
            .build()
            .expect("it is only a warning");
        let arguments = ["-CAfile", root.path(), "-verify_return_error"];
        let (told, (_, served)) = talk_once(&config, &arguments);
        assert!(!told.is_success && told.text.contains("expired"), "{}", told.text);
        assert_eq!(served, Served::Refused(HandshakeFailure::Alert));
    }
}

#[test]
fn an_unknown_root_is_refused() {
    for &provider in TlsProvider::offered() {
        let (told, (_, served)) = talk_once(&config(provider), &["-verify_return_error"]);
        assert!(!told.is_success, "{}", told.text);
        assert_eq!(served, Served::Refused(HandshakeFailure::Alert));
    }
}

#[test]
fn a_clients_certificate_is_asked_for_and_checked() {
    let certificates = Certificates::shared();
    let (chain, key) = certificates.leaf(|params| {
        params.extended_key_usages.push(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    });
    let foreign_key = rcgen::KeyPair::generate().expect("a key");
    let foreign = rcgen::CertificateParams::new(vec!["mallory".to_owned()])
        .and_then(|params| params.self_signed(&foreign_key))
        .expect("a certificate of its own");
    let files = [&chain, &key, &foreign.pem(), &foreign_key.serialize_pem()]
        .map(|content| TempFile::new(content));
    let [chain, key, foreign, foreign_key] = files.each_ref().map(TempFile::path);
    for &provider in TlsProvider::offered() {
        for client_auth in [ClientAuth::Optional, ClientAuth::Required] {
            let config = TlsConfig::builder()
                .certificate_pem(&certificates.chain_pem, &certificates.key_pem)
                .client_auth(client_auth)
                .client_roots_pem(&certificates.root_pem)
                .provider(provider)
                .build()
                .expect("a good configuration");
            for version in ["-tls1_2", "-tls1_3"] {
                let good = [version, "-cert", chain, "-key", key];
                let (told, (info, served)) = talk_once(&config, &good);
                assert_eq!(served, Served::Closed, "{}", told.text);
                assert_eq!(info.expect("a handshake").peer_certificates().len(), 1);

                let unknown = [version, "-cert", foreign, "-key", foreign_key];
                let (told, (_, served)) = talk_once(&config, &unknown);
                assert_eq!(served, Served::Refused(HandshakeFailure::BadCertificate));
                assert!(told.text.contains("alert"), "{}", told.text);

                let (told, (info, served)) = talk_once(&config, &[version]);
                if client_auth == ClientAuth::Optional {
                    assert_eq!(served, Served::Closed, "{}", told.text);
                    assert!(info.expect("a handshake").peer_certificates().is_empty());
                } else {
                    assert_eq!(served, Served::Refused(HandshakeFailure::NoClientCertificate));
                    assert!(told.text.contains("alert"), "{}", told.text);
                }
            }
        }
    }
}
