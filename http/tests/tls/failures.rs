//! Clients that do not speak TLS, or not to the end: each gets an answer or a close, and is counted
//! by its kind.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use straightline::tls::{ClientAuth, HandshakeFailure, HandshakeLimits, TlsConfigBuilder};
use straightline::{Event, Request};

use super::client::{CA, Client, Settings, config, socket, with_each_provider};
use crate::common::{Running, serve_with};

/// What the observer has heard of.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<HandshakeFailure>>>);

fn serve(config: TlsConfigBuilder) -> (Running, Heard) {
    let heard = Heard::default();
    let told = heard.clone();
    let config = config.build().unwrap();
    let observer = move |event: &Event<'_>| match event {
        Event::TlsHandshakeFailed { error, .. } => told.0.lock().unwrap().push(error.failure()),
        Event::ConnectionFailed { error, .. } => panic!("a failed connection: {error}"),
        _ => {}
    };
    let configure = |builder: straightline::ServerBuilder| builder.tls(config).observer(observer);
    (serve_with(configure, |_: &mut Request| "hello\n"), heard)
}

/// Stops the server, and checks that this was the only failure.
fn assert_failed(server: Running, heard: &Heard, failure: HandshakeFailure) {
    let handle = server.handle.clone();
    handle.shutdown();
    let counters = server.join();
    assert_eq!(*heard.0.lock().unwrap(), [failure]);
    let tls = handle.metrics().tls.unwrap();
    assert_eq!((tls.failed(failure), tls.failed.iter().sum::<u64>()), (1, 1), "{failure:?}");
    // It is no connection that broke, and no request.
    assert_eq!((counters.aborted, counters.refused, counters.requests), (0, 0, 0));
}

#[test]
fn plain_http_gets_a_400_that_can_be_read() {
    with_each_provider(|provider| {
        let (server, heard) = serve(config(provider));
        let mut stream = socket(server.address);
        let request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        // A client that still sends is not reset: it may not have read the answer yet.
        for _ in 0..200 {
            stream.write_all(&[b'x'; 1_000]).unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.take_error().unwrap().map(|error| error.kind()), None);
        assert_failed(server, &heard, HandshakeFailure::PlainHttp);
    });
}

#[test]
fn garbage_gets_an_alert() {
    with_each_provider(|provider| {
        for garbage in [&b"\x00\x01\x02garbage"[..], &[0xff; 10_000]] {
            let (server, heard) = serve(config(provider));
            let mut stream = socket(server.address);
            stream.write_all(garbage).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert_eq!(answer, [21, 3, 3, 0, 2, 2, 10], "unexpected_message");
            assert_failed(server, &heard, HandshakeFailure::NotTls);
        }
    });
}

#[test]
fn a_client_that_goes_away_in_its_hello_is_told_and_one_that_says_nothing_is_not() {
    with_each_provider(|provider| {
        let (server, heard) = serve(config(provider));
        let mut stream = socket(server.address);
        stream.write_all(&[22, 3, 1, 1, 0, 1, 0]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        // A probe of a load balancer.
        for how in [Shutdown::Write, Shutdown::Both] {
            let mut probe = socket(server.address);
            probe.shutdown(how).unwrap();
            let mut answer = Vec::new();
            probe.read_to_end(&mut answer).unwrap();
            assert!(answer.is_empty(), "{answer:?}");
        }
        assert_failed(server, &heard, HandshakeFailure::Closed);
    });
}

#[test]
fn a_client_that_is_too_slow_is_disconnected() {
    with_each_provider(|provider| {
        let limits = HandshakeLimits::default().with_timeout(Duration::from_millis(50));
        let (server, heard) = serve(config(provider).handshake_limits(limits));
        let mut stream = socket(server.address);
        stream.write_all(&[22, 3, 1]).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_failed(server, &heard, HandshakeFailure::TimedOut);
    });
}

#[test]
fn a_client_without_its_certificate_is_refused() {
    with_each_provider(|provider| {
        let config = config(provider).client_auth(ClientAuth::Required).client_roots_pem(CA);
        let (server, heard) = serve(config);
        let settings = Settings::default().tls12().config();
        let Err(error) = Client::with(server.address, "localhost", &settings) else {
            panic!("a handshake without a certificate")
        };
        assert!(error.to_string().contains("fatal alert: CertificateRequired"), "{error}");
        assert_failed(server, &heard, HandshakeFailure::NoClientCertificate);
    });
}

#[test]
fn a_client_that_refuses_the_certificate_says_so() {
    with_each_provider(|provider| {
        let (server, heard) = serve(config(provider));
        let settings = Settings::default().config();
        assert!(Client::with(server.address, "unknown.example", &settings).is_err());
        assert_failed(server, &heard, HandshakeFailure::Alert);
    });
}

#[test]
fn a_client_with_another_application_protocol_is_refused() {
    with_each_provider(|provider| {
        let (server, heard) = serve(config(provider));
        let settings = Settings::default().alpn("imap").config();
        assert!(Client::with(server.address, "localhost", &settings).is_err());
        assert_failed(server, &heard, HandshakeFailure::NoSharedProtocol);
    });
}
