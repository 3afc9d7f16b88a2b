//! Sessions are resumed with tickets, as long as nothing changed that they were checked with.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ProducesTickets;
use straightline_net::MemoryStream;
use straightline_sched as sched;
use straightline_tls::{ClientAuth, TlsConfig, TlsConnector, TlsProvider};

use crate::common::{Authority, client, meet, server};

/// Whether a connection resumes a session; both sides must say the same.
#[track_caller]
fn resumes(config: &TlsConfig, connector: &TlsConnector) -> bool {
    let (server, client) = meet(config, connector, "a.test");
    let (server, client) = (server.unwrap(), client.unwrap());
    assert_eq!(server.is_resumed(), client.is_resumed());
    server.is_resumed()
}

#[test]
fn a_second_connection_resumes_the_session_also_after_a_reload() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let config = server(provider, &authority.issue(&["a.test"])).build().unwrap();
        let connector = client(provider, &authority).build().unwrap();
        assert!(!resumes(&config, &connector));
        assert!(resumes(&config, &connector));
        config.reload().unwrap();
        assert!(resumes(&config, &connector));
    }
}

#[test]
fn without_tickets_no_session_is_resumed() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let builder = server(provider, &authority.issue(&["a.test"]));
        let config = builder.session_tickets(false).build().unwrap();
        let connector = client(provider, &authority).build().unwrap();
        assert!(!resumes(&config, &connector));
        assert!(!resumes(&config, &connector));
    }
}

#[test]
fn tickets_of_another_configuration_are_not_accepted() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let pair = authority.issue(&["a.test"]);
        let (one, other) = (server(provider, &pair), server(provider, &pair));
        let connector = client(provider, &authority).build().unwrap();
        assert!(!resumes(&one.build().unwrap(), &connector));
        assert!(!resumes(&other.build().unwrap(), &connector));
    }
}

#[test]
fn a_reload_ends_the_sessions_of_clients_with_certificates() {
    for &provider in TlsProvider::offered() {
        let authority = Authority::new("root");
        let config = server(provider, &authority.issue(&["a.test"]))
            .client_auth(ClientAuth::Required)
            .client_roots_pem(authority.pem())
            .build()
            .unwrap();
        let pair = authority.issue(&["client.test"]);
        let trusting = client(provider, &authority);
        let connector = trusting.certificate_pem(pair.chain, pair.key).build().unwrap();
        assert!(!resumes(&config, &connector));
        assert!(resumes(&config, &connector));
        config.reload().unwrap();
        assert!(!resumes(&config, &connector));
        assert!(resumes(&config, &connector));
    }
}

/// Tickets of a foreign server, nearly as large as a message may be.
#[derive(Debug)]
struct Large;

impl ProducesTickets for Large {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        60
    }

    fn encrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        Some(vec![7; 60_000])
    }

    fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

#[test]
fn a_client_takes_large_tickets() {
    let authority = Authority::new("root");
    let pair = authority.issue(&["a.test"]);
    for &provider in TlsProvider::offered() {
        let connector = client(provider, &authority).build().unwrap();
        let chain = vec![CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(crypto)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        config.ticketer = Arc::new(Large);
        sched::run(move || {
            let (near, far) = MemoryStream::pair(400_000);
            let server = sched::spawn(move || {
                let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                let mut stream = rustls::StreamOwned::new(session, far);
                stream.write_all(b"hello").unwrap();
                stream.flush().unwrap();
            });
            let mut stream = connector.connect("a.test", near).unwrap();
            let mut hello = [0; 5];
            stream.read_exact(&mut hello).unwrap();
            assert_eq!(&hello, b"hello");
            server.join().unwrap();
        });
    }
}
