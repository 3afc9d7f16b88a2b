//! Settings that contradict each other are refused.

use std::time::Duration;

use straightline_tls::{
    ClientAuth, HandshakeLimits, TlsConfig, TlsConfigBuilder, TlsConfigErrorKind, TlsConnector,
    TlsProvider,
};

use crate::common::data;

/// Fails to build, for a reason that has these words.
#[track_caller]
fn fails(change: impl FnOnce(TlsConfigBuilder) -> TlsConfigBuilder, says: &str) {
    let builder =
        TlsConfig::builder().certificate_files(data("prime256v1.pem"), data("prime256v1.sec1.key"));
    let error = change(builder).build().unwrap_err();
    assert_eq!(error.kind(), TlsConfigErrorKind::Settings, "{error}");
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(error.path(), None);
}

#[test]
fn a_server_needs_a_certificate() {
    fails(|_| TlsConfig::builder(), "there is no certificate");
}

#[test]
fn an_ocsp_response_belongs_to_a_certificate() {
    fails(|_| TlsConfig::builder().ocsp_file("/no/such.ocsp"), "before any certificate");
    // Also if a certificate follows.
    let builder = TlsConfig::builder().ocsp_file("/no/such.ocsp");
    let builder = builder.certificate_files(data("prime256v1.pem"), data("prime256v1.sec1.key"));
    fails(|_| builder, "before any certificate");
}

#[test]
fn client_certificates_and_their_roots_need_each_other() {
    for auth in [ClientAuth::Optional, ClientAuth::Required] {
        fails(|builder| builder.client_auth(auth), "there are no roots");
    }
    fails(|builder| builder.client_roots_file(data("rsa.pem")), "not asked for any");
    fails(|builder| builder.client_revocation_files([data("rsa.pem")]), "not asked for any");
}

#[test]
fn values_out_of_range_are_refused() {
    fails(|builder| builder.ticket_lifetime(Duration::from_secs(1)), "at least 2 seconds");
    let eight_days = Duration::from_secs(8 * 24 * 60 * 60);
    fails(|builder| builder.ticket_lifetime(eight_days), "at most 7 days");
    fails(|builder| builder.alpn([""]), "1 to 255 bytes");
    fails(|builder| builder.alpn([vec![b'h'; 256]]), "1 to 255 bytes");
    let limits = HandshakeLimits::default();
    let never = limits.clone().with_running(0);
    fails(|builder| builder.handshake_limits(never), "no handshake could ever run");
    let late = limits.with_timeout(Duration::ZERO);
    fails(|builder| builder.handshake_limits(late), "too late");
}

#[test]
fn a_client_needs_roots() {
    let error = TlsConnector::builder().build().unwrap_err();
    assert_eq!(error.kind(), TlsConfigErrorKind::Settings);
    assert!(error.to_string().contains("trusts no root"), "{error}");
}

#[test]
fn a_provider_that_is_not_in_the_program_is_refused_by_name() {
    let absent = [TlsProvider::MbedTls, TlsProvider::AwsLc];
    for provider in absent.into_iter().filter(|one| !TlsProvider::offered().contains(one)) {
        let builder = TlsConfig::builder().provider(provider);
        let builder = builder.certificate_files(data("rsa.pem"), data("rsa_pkcs8.key"));
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), TlsConfigErrorKind::Provider);
        let text = error.to_string();
        assert!(text.contains(provider.as_str()) && text.contains("feature"), "{text}");
    }
}
