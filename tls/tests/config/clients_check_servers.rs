//! Clients check the certificates of servers, and both check versions and protocols.

use std::io::ErrorKind;
use std::process::Command;

use rcgen::{BasicConstraints, IsCa};
use straightline_net::MemoryStream;
use straightline_sched as sched;
use straightline_tls::{
    HandshakeError, HandshakeFailure, TlsConfigErrorKind, TlsConnector, TlsProvider, TlsVersion,
};

use crate::common::{Authority, Folder, Side, client, data, meet, server};

#[track_caller]
fn failure(side: Side) -> HandshakeFailure {
    let error = side.unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<HandshakeError>());
    inner.unwrap_or_else(|| panic!("{error:?}")).failure()
}

#[test]
fn a_name_or_an_address_of_the_certificate_is_accepted_and_another_one_is_not() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let names = ["a.test", "127.0.0.1", "::1"];
        let config = server(provider, &authority.issue(&names)).build().unwrap();
        let connector = client(provider, &authority).build().unwrap();
        for name in names {
            let (server, client) = meet(&config, &connector, name);
            assert!(server.is_ok() && client.is_ok(), "{name}: {client:?}");
        }
        for name in ["b.test", "sub.a.test", "127.0.0.2", "::2"] {
            let (server, client) = meet(&config, &connector, name);
            assert_eq!(failure(client), HandshakeFailure::BadCertificate, "{name}");
            assert_eq!(failure(server), HandshakeFailure::Alert, "{name}");
        }
    }
}

#[test]
fn a_server_of_another_authority_is_refused() {
    for &provider in TlsProvider::offered() {
        let config = server(provider, &Authority::new("root").issue(&["a.test"])).build().unwrap();
        let connector = client(provider, &Authority::new("stranger")).build().unwrap();
        let (_, client) = meet(&config, &connector, "a.test");
        assert_eq!(failure(client), HandshakeFailure::BadCertificate);
    }
}

#[test]
fn an_authoritys_certificate_is_refused_for_a_server_and_the_error_says_so() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let pair = authority.issue_with(&["a.test"], |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        });
        let config = server(provider, &pair).build().unwrap();
        let connector = client(provider, &authority).build().unwrap();
        let error = meet(&config, &connector, "a.test").1.unwrap_err();
        assert!(error.to_string().contains("it is an authority's (CA:TRUE)"), "{error}");
    }
}

#[test]
fn what_is_no_name_is_refused_before_the_handshake() {
    let authority = Authority::new("root");
    let connector = client(TlsProvider::default(), &authority).build().unwrap();
    sched::run(move || {
        for name in ["", "a b", "-", "a..b", "300.1.1.1:443", "https://a.test"] {
            let (one, _other) = MemoryStream::pair(1024);
            let error = connector.connect(name, one).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
            assert!(error.to_string().contains("no name of a server"), "{error}");
        }
    });
}

#[test]
fn the_versions_must_meet() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let pair = authority.issue(&["a.test"]);
        let connector = client(provider, &authority).build().unwrap();
        for min in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let config = server(provider, &pair).min_version(min).build().unwrap();
            let (server, _) = meet(&config, &connector, "a.test");
            assert_eq!(server.unwrap().version(), TlsVersion::Tls13.as_str());
        }
    }
}

#[test]
fn the_protocols_must_meet_if_there_are_any() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let pair = authority.issue(&["a.test"]);
        let config = server(provider, &pair).build().unwrap();
        let silent = server(provider, &pair).alpn([""; 0]).build().unwrap();
        let offering = |protocols: &[&str]| {
            client(provider, &authority).alpn(protocols.iter().copied()).build().unwrap()
        };
        let (both, none) = (offering(&["h2", "http/1.1"]), offering(&[]));
        let (agreed, _) = meet(&config, &both, "a.test");
        assert_eq!(agreed.unwrap().alpn(), Some(&b"http/1.1"[..]));
        let (agreed, _) = meet(&config, &none, "a.test");
        assert_eq!(agreed.unwrap().alpn(), None);
        let (agreed, _) = meet(&silent, &both, "a.test");
        assert_eq!(agreed.unwrap().alpn(), None);
        let (server, _) = meet(&config, &offering(&["h2"]), "a.test");
        assert_eq!(failure(server), HandshakeFailure::NoSharedProtocol);
    }
}

#[test]
fn a_revoked_server_is_refused() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let serial = rcgen::SerialNumber::from(7);
        let pair =
            authority.issue_with(&["a.test"], |params| params.serial_number = Some(serial.clone()));
        let config = server(provider, &pair).build().unwrap();
        let trusting = client(provider, &authority);
        let connector = trusting.revocation_pem(authority.revoke(&serial, 4000)).build().unwrap();
        let (_, client) = meet(&config, &connector, "a.test");
        assert_eq!(failure(client), HandshakeFailure::BadCertificate);
    }
}

/// The environment belongs to the process, so each case is a process of its own.
#[test]
fn the_roots_of_the_platform_are_those_that_the_environment_names() {
    const CASE: &str = "STRAIGHTLINE_TLS_TEST_CASE";
    let authority = Authority::new("root");
    let Some(case) = std::env::var_os(CASE) else {
        let folder = Folder::new();
        let roots = folder.write("roots.pem", authority.pem());
        let none = folder.write("none.pem", "# nothing\n");
        for (case, file) in [("some", &roots), ("some", &data("rsa.pem")), ("none", &none)] {
            let name = "the_roots_of_the_platform_are_those_that_the_environment_names";
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", &format!("clients_check_servers::{name}")]);
            child.env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", file).env(CASE, case);
            let output = child.output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && text.contains("1 passed"), "{text}");
        }
        return;
    };
    let result = TlsConnector::builder().platform_roots().build();
    if case == "some" {
        assert_eq!(result.unwrap().warnings(), []);
        return;
    }
    let error = result.unwrap_err();
    assert_eq!(error.kind(), TlsConfigErrorKind::NoCertificate);
    let text = error.to_string();
    assert!(text.starts_with("the platform's certificate store: has no root"), "{text}");
    assert!(text.contains("ca-certificates"), "{text}");
}

#[test]
fn bad_files_of_a_client_are_named() {
    let error = TlsConnector::builder().roots_file("/no/roots.pem").build().unwrap_err();
    assert_eq!(error.kind(), TlsConfigErrorKind::Unreadable);
    assert!(error.to_string().starts_with("/no/roots.pem: "), "{error}");
    let error = TlsConnector::builder()
        .roots_file(data("rsa.pem"))
        .certificate_files(data("prime256v1.pem"), data("rsa_pkcs1.key"))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), TlsConfigErrorKind::KeyMismatch);
}
