//! TLS behind a proxy that speaks the PROXY protocol: its header is in front of the handshake.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use straightline::tls::{HandshakeLimits, TlsConfig, TlsProvider};
use straightline::{Event, Networks, Request};

use super::client::{Client, Settings, config, socket, with_each_provider};
use crate::common::{Running, serve_with};

fn peer(request: &mut Request) -> String {
    format!("{} {}\n", request.peer(), request.tls().is_some())
}

fn serve_behind_proxy(config: TlsConfig) -> (Running, Arc<Mutex<Vec<String>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let observer = move |event: &Event<'_>| heard.lock().unwrap().push(event.to_string());
    let proxies = Networks::new(["127.0.0.1"]).unwrap();
    let server =
        serve_with(|builder| builder.tls(config).proxy_protocol(proxies).observer(observer), peer);
    (server, told)
}

const HEADER: &[u8] = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n";

#[test]
fn the_header_comes_before_the_handshake() {
    with_each_provider(|provider| {
        let (server, told) = serve_behind_proxy(config(provider).build().unwrap());
        for pieces in [1, 3, HEADER.len()] {
            let mut stream = socket(server.address);
            for piece in HEADER.chunks(HEADER.len().div_ceil(pieces)) {
                stream.write_all(piece).unwrap();
            }
            let settings = Settings::default().config();
            let mut client = Client::over(stream, "localhost", &settings).unwrap();
            assert_eq!(client.get("/"), "203.0.113.7:4711 true\n");
            assert_eq!(client.get("/"), "203.0.113.7:4711 true\n");
            client.close();
        }
        let told = told.lock().unwrap();
        assert!(told.iter().any(|event| event.starts_with("203.0.113.7:4711: TLS")));
    });
}

#[test]
fn what_is_no_header_or_half_of_one_is_told_as_such_and_not_as_a_failed_handshake() {
    let provider = TlsProvider::offered()[0];
    let timeout = Duration::from_millis(50);
    let short = config(provider)
        .handshake_limits(HandshakeLimits::default().with_timeout(timeout))
        .build()
        .unwrap();
    let (server, told) = serve_behind_proxy(short);
    let mut late = socket(server.address);
    late.write_all(b"PROXY TCP4 203").unwrap();
    assert_eq!(late.read(&mut [0; 10]).unwrap(), 0);
    let mut cut = socket(server.address);
    cut.write_all(b"PROXY TCP4 203").unwrap();
    cut.shutdown(Shutdown::Write).unwrap();
    assert_eq!(cut.read(&mut [0; 10]).unwrap(), 0);
    let no_proxy = socket(server.address);
    let failed = Client::over(no_proxy, "localhost", &Settings::default().config());
    assert!(failed.is_err());
    let probe = socket(server.address);
    probe.shutdown(Shutdown::Write).unwrap();
    assert_eq!({ &probe }.read(&mut [0; 10]).unwrap(), 0);
    server.handle.shutdown();
    assert_eq!(server.join().proxy_headers_refused, 3);
    let told = told.lock().unwrap();
    let has = |text: &str| told.iter().any(|event| event.contains(text));
    assert!(has("the PROXY header took too long"), "{told:?}");
    assert!(has("the connection ended in its PROXY header"), "{told:?}");
    assert!(has("does not begin with a PROXY header"), "{told:?}");
    assert!(!has("handshake failed"), "{told:?}");
}
