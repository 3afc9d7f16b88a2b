//! `openssl s_client` agrees with the server: versions, ALPN, names, resumption.

use straightline_tls::{HandshakeFailure, TlsConfig, TlsProvider, TlsVersion};

use crate::common::certificate::Certificates;
use crate::common::echo::{Served, config};
use crate::openssl::{TempFile, talk, talk_once};

fn root() -> TempFile {
    TempFile::new(&Certificates::shared().root_pem)
}

#[test]
fn on_both_versions_and_each_of_their_ciphers() {
    let root = root();
    let trust = ["-CAfile", root.path(), "-verify_return_error"];
    for &provider in TlsProvider::offered() {
        let cases: [(&[&str], &str, &str); 6] = [
            (&["-tls1_3"], "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
            (
                &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
                "TLSv1.3",
                "TLS_AES_256_GCM_SHA384",
            ),
            (
                &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
                "TLSv1.3",
                "TLS_CHACHA20_POLY1305_SHA256",
            ),
            (&["-tls1_2"], "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
            (
                &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"],
                "TLSv1.2",
                "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            ),
            (
                &["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"],
                "TLSv1.2",
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            ),
        ];
        for (arguments, version, suite) in cases {
            let arguments = [&trust, arguments].concat();
            let (told, (info, served)) = talk_once(&config(provider), &arguments);
            assert!(told.is_success, "{}", told.text);
            assert!(told.text.contains("hello\n"), "{}", told.text);
            assert_eq!(served, Served::Closed);
            let info = info.expect("a handshake");
            assert_eq!((info.version(), info.cipher_suite()), (version, suite));
        }
    }
}

#[test]
fn on_each_group() {
    for &provider in TlsProvider::offered() {
        let cases = [
            ("-tls1_3", "X25519"),
            ("-tls1_3", "P-256"),
            ("-tls1_3", "P-384"),
            // In TLS 1.2 the list is also of the curves of certificates.
            ("-tls1_2", "X25519:P-256"),
            ("-tls1_2", "P-256"),
        ];
        for (version, group) in cases {
            let (told, (_, served)) = talk_once(&config(provider), &[version, "-groups", group]);
            assert_eq!(served, Served::Closed, "{}", told.text);
        }
        // The client offers a share that the server has not, and is asked for another.
        let retried = ["-tls1_3", "-groups", "P-521:P-256"];
        let (told, (_, served)) = talk_once(&config(provider), &retried);
        assert_eq!(served, Served::Closed, "{}", told.text);
    }
}

#[test]
fn on_no_old_version() {
    for &provider in TlsProvider::offered() {
        for version in ["-tls1", "-tls1_1"] {
            // OpenSSL speaks it at its lowest level of security only.
            let arguments = [version, "-cipher", "ALL:@SECLEVEL=0"];
            let (told, (_, served)) = talk_once(&config(provider), &arguments);
            assert!(!told.is_success && told.text.contains("alert"), "{}", told.text);
            assert!(told.text.contains("protocol version"), "{}", told.text);
            assert_eq!(served, Served::Refused(HandshakeFailure::Version));
        }
    }
}

#[test]
fn on_no_finite_field() {
    for &provider in TlsProvider::offered() {
        let cases: [&[&str]; 2] =
            [&["-tls1_3", "-groups", "ffdhe2048"], &["-tls1_2", "-cipher", "DHE:@SECLEVEL=0"]];
        for arguments in cases {
            let (told, (_, served)) = talk_once(&config(provider), arguments);
            assert!(!told.is_success, "{}", told.text);
            assert_eq!(served, Served::Refused(HandshakeFailure::NoSharedParameters));
        }
    }
}

fn with(
    provider: TlsProvider,
    change: impl Fn(straightline_tls::TlsConfigBuilder) -> straightline_tls::TlsConfigBuilder,
) -> TlsConfig {
    let certificates = Certificates::shared();
    let builder = TlsConfig::builder()
        .certificate_pem(&certificates.chain_pem, &certificates.key_pem)
        .provider(provider);
    change(builder).build().expect("a good configuration")
}

#[test]
fn on_a_least_version() {
    for &provider in TlsProvider::offered() {
        let config = with(provider, |builder| builder.min_version(TlsVersion::Tls13));
        let (told, (_, served)) = talk_once(&config, &["-tls1_2"]);
        assert!(told.text.contains("protocol version"), "{}", told.text);
        assert_eq!(served, Served::Refused(HandshakeFailure::Version));
        let (told, (_, served)) = talk_once(&config, &["-tls1_3"]);
        assert_eq!(served, Served::Closed, "{}", told.text);
    }
}

#[test]
fn on_an_application_protocol() {
    for &provider in TlsProvider::offered() {
        let config = with(provider, |builder| builder.alpn(["mine/2", "mine/1"]));
        for version in ["-tls1_2", "-tls1_3"] {
            let (told, (info, _)) = talk_once(&config, &[version, "-alpn", "mine/1,mine/2"]);
            assert!(told.text.contains("ALPN protocol: mine/2"), "{}", told.text);
            assert_eq!(info.expect("a handshake").alpn(), Some(&b"mine/2"[..]));
            let (told, (info, _)) = talk_once(&config, &[version]);
            assert!(told.text.contains("No ALPN negotiated"), "{}", told.text);
            assert_eq!(info.expect("a handshake").alpn(), None);
            let (told, (_, served)) = talk_once(&config, &[version, "-alpn", "other"]);
            assert!(told.text.contains("no application protocol"), "{}", told.text);
            assert_eq!(served, Served::Refused(HandshakeFailure::NoSharedProtocol));
        }
    }
}

#[test]
fn to_resume_a_session() {
    for &provider in TlsProvider::offered() {
        for version in ["-tls1_2", "-tls1_3"] {
            let session = TempFile::new("");
            let out = [version, "-sess_out", session.path()];
            let again = [version, "-sess_in", session.path()];
            let told = talk(&config(provider), &[&out, &again]);
            let infos = told.iter().map(|(_, (info, _))| info.as_ref().expect("a handshake"));
            let resumed: Vec<_> = infos.map(straightline_tls::TlsInfo::is_resumed).collect();
            assert_eq!(resumed, [false, true], "{version}: {}", told[1].0.text);
            assert!(told[1].0.text.contains("Reused, "), "{}", told[1].0.text);
        }
    }
}
