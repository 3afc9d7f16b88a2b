use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};

use super::TlsConfig;
use crate::provider::TlsProvider;

#[test]
fn smoke() {
    for &provider in TlsProvider::offered() {
        let key = KeyPair::generate().unwrap();
        let cert =
            CertificateParams::new(["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let config = TlsConfig::builder()
            .provider(provider)
            .certificate_pem(cert.pem(), key.serialize_pem())
            .build()
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider.crypto().unwrap())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client =
            ClientConnection::new(Arc::new(client), ServerName::try_from("localhost").unwrap())
                .unwrap();
        let mut server = ServerConnection::new(config.current()).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).unwrap();
            let mut input = bytes.as_slice();
            while !input.is_empty() {
                server.read_tls(&mut input).unwrap();
                server.process_new_packets().unwrap();
            }
            let mut bytes = Vec::new();
            server.write_tls(&mut bytes).unwrap();
            let mut input = bytes.as_slice();
            while !input.is_empty() {
                client.read_tls(&mut input).unwrap();
                client.process_new_packets().unwrap();
            }
        }
        eprintln!("{:?}", client.negotiated_cipher_suite());
    }
}
