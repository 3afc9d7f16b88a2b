//! Private keys of all formats are read.

use straightline_tls::{TlsConfig, TlsConfigErrorKind, TlsConnector, TlsProvider};

use crate::common::{data, meet};

#[test]
fn a_handshake_succeeds_with_each_format_of_key() {
    for &provider in TlsProvider::offered() {
        for (chain, key) in PAIRS {
            let (chain, key) = (data(chain), data(key));
            let config =
                TlsConfig::builder().provider(provider).certificate_files(&chain, &key).build();
            let config = config.unwrap_or_else(|error| panic!("{provider}: {error}"));
            let connector =
                TlsConnector::builder().provider(provider).roots_file(&chain).build().unwrap();
            let (server, client) = meet(&config, &connector, "localhost");
            server.unwrap_or_else(|error| panic!("{provider}, {}: {error}", key.display()));
            client.unwrap_or_else(|error| panic!("{provider}, {}: {error}", key.display()));
        }
    }
}

/// The handshake is not tried: rustls's client for mbedTLS does not verify signatures of P-521.
#[test]
fn a_key_of_p521_is_read() {
    for &provider in TlsProvider::offered() {
        for key in ["secp521r1.sec1.key", "secp521r1.pkcs8.key"] {
            let config = TlsConfig::builder()
                .provider(provider)
                .certificate_files(data("secp521r1.pem"), data(key));
            config.build().unwrap_or_else(|error| panic!("{provider}: {error}"));
        }
    }
}

#[test]
fn a_key_of_ed25519_is_read_or_refused_by_name() {
    for &provider in TlsProvider::offered() {
        let result = TlsConfig::builder()
            .provider(provider)
            .certificate_files(data("ed25519.pem"), data("ed25519.key"))
            .build();
        if provider == TlsProvider::AwsLc {
            result.unwrap();
            continue;
        }
        let error = result.unwrap_err();
        assert_eq!(error.kind(), TlsConfigErrorKind::BadKey);
        let text = error.to_string();
        assert!(text.contains("ed25519.key") && text.contains("mbedtls reads"), "{text}");
    }
}

#[test]
fn a_key_that_is_too_short_is_refused() {
    for &provider in TlsProvider::offered() {
        let builder = TlsConfig::builder().provider(provider);
        let builder = builder.certificate_files(data("rsa1024.pem"), data("rsa1024.key"));
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), TlsConfigErrorKind::BadKey, "{error}");
        assert_eq!(error.path(), Some(&*data("rsa1024.key")));
    }
}

#[test]
fn one_file_may_have_the_chain_and_the_key() {
    let folder = crate::common::Folder::new();
    let chain = std::fs::read(data("prime256v1.pem")).unwrap();
    let key = std::fs::read(data("prime256v1.sec1.key")).unwrap();
    for both in [[chain.clone(), key.clone()].concat(), [key, chain].concat()] {
        let path = folder.write("both.pem", both);
        TlsConfig::builder().certificate_files(&path, &path).build().unwrap();
    }
}

#[test]
fn text_around_a_certificate_is_allowed() {
    let builder = TlsConfig::builder();
    builder.certificate_files(data("with_text.pem"), data("prime256v1.sec1.key")).build().unwrap();
}

const PAIRS: [(&str, &str); 6] = [
    ("rsa.pem", "rsa_pkcs1.key"),
    ("rsa.pem", "rsa_pkcs8.key"),
    ("prime256v1.pem", "prime256v1.sec1.key"),
    ("prime256v1.pem", "prime256v1.pkcs8.key"),
    ("secp384r1.pem", "secp384r1.sec1.key"),
    ("secp384r1.pem", "secp384r1.pkcs8.key"),
];
