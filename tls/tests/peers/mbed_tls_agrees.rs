//! mbedTLS's own client, in the same process, agrees with the server.

use std::io::{Read, Write};
use std::net::TcpStream as SystemStream;
use std::sync::Arc;
use std::sync::mpsc;

use mbedtls::rng::{CtrDrbg, OsEntropy};
use mbedtls::ssl::config::{Endpoint, Preset, Transport, Version};
use mbedtls::ssl::{Config, Context};
use mbedtls::x509::Certificate;
use straightline_net::TcpListener;
use straightline_sched as sched;
use straightline_tls::{TlsProvider, TlsStream};

use crate::common::certificate::Certificates;
use crate::common::echo::{Served, config, echo, failure};

/// A client of Mbed TLS 2.28, which speaks TLS 1.2. `name` is what it expects.
fn client(stream: SystemStream, name: &str) -> Result<Vec<u8>, String> {
    let certificates = Certificates::shared();
    let root = format!("{}\0", certificates.root_pem);
    let roots = Certificate::from_pem_multiple(root.as_bytes()).map_err(|e| e.to_string())?;
    let random = CtrDrbg::new(Arc::new(OsEntropy::new()), None).map_err(|e| e.to_string())?;
    let mut config = Config::new(Endpoint::Client, Transport::Stream, Preset::Default);
    config.set_rng(Arc::new(random));
    config.set_ca_list(Arc::new(roots), None);
    config.set_min_version(Version::Tls1_2).map_err(|e| e.to_string())?;
    let mut context = Context::new(Arc::new(config));
    context.establish(stream, Some(name)).map_err(|e| e.to_string())?;
    let mut echoed = Vec::new();
    for size in [1, 1_000, 100_000] {
        let sent = vec![7; size];
        context.write_all(&sent).map_err(|e| e.to_string())?;
        let mut read = vec![0; size];
        context.read_exact(&mut read).map_err(|e| e.to_string())?;
        echoed.extend(read);
    }
    context.close(); // says goodbye
    Ok(echoed)
}

fn talk(provider: TlsProvider, name: &str) -> (Result<Vec<u8>, String>, Served) {
    let (sender, receiver) = mpsc::channel();
    let config = config(provider);
    let server = std::thread::spawn(move || {
        sched::run(move || {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            sender.send(listener.local_addr().expect("an address")).expect("a receiver");
            let (stream, _) = listener.accept().expect("a client");
            match TlsStream::accept(stream, &config) {
                Ok(stream) => match echo(&stream) {
                    Ok(()) => {
                        let info = stream.info().expect("a handshake");
                        assert_eq!(info.version(), "TLSv1.2");
                        Served::Closed
                    }
                    Err(error) => Served::Failed(error.kind()),
                },
                Err(error) => Served::Refused(failure(&error)),
            }
        })
    });
    let stream = SystemStream::connect(receiver.recv().expect("the server runs"));
    let told = client(stream.expect("a listener"), name);
    (told, server.join().expect("the server does not panic"))
}

#[test]
fn on_tls_1_2_and_its_data_comes_back() {
    for &provider in TlsProvider::offered() {
        let (told, served) = talk(provider, "localhost");
        assert_eq!(told.map(|echoed| echoed.len()), Ok(101_001));
        assert_eq!(served, Served::Closed);
    }
}

#[test]
fn on_no_other_name() {
    for &provider in TlsProvider::offered() {
        let (told, served) = talk(provider, "other.example");
        assert!(told.is_err());
        assert!(matches!(served, Served::Refused(_)), "{served:?}");
    }
}
