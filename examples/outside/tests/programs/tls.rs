//! A client speaks TLS with the program, and HTTP inside.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::process::{Folder, Process, connect, installed};

/// A certificate for `localhost`, and its key.
fn certificate(folder: &Folder) -> (String, String) {
    let (certificate, key) = (folder.path("certificate.pem"), folder.path("key.pem"));
    let output = installed("openssl", "openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (certificate, key)
}

fn client(certificate: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate).expect("a certificate")).expect("a root");
    let provider = Arc::new(rustls_graviola::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3");
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

#[test]
fn requests_are_answered_over_tls() {
    let folder = Folder::new();
    let (certificate, key) = certificate(&folder);
    let config = client(&certificate);
    for name in ["tls", "axum_tls"] {
        let program = Process::program(name, &[&certificate, &key]);
        let name_of_server = "localhost".try_into().expect("a name");
        let tls = ClientConnection::new(Arc::clone(&config), name_of_server).expect("a client");
        let mut stream = StreamOwned::new(tls, connect(&program.address));
        for _ in 0..3 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello\n") {
                let mut buffer = [0; 1024];
                let count = stream.read(&mut buffer).expect("an answer");
                assert!(count > 0, "{name} has closed");
                answer.extend_from_slice(&buffer[..count]);
            }
        }
        program.terminate(); // the idle connection closes, with TLS's own goodbye
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(rest.is_empty(), "{name}");
        program.stop();
    }
}
