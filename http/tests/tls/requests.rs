//! Handlers do not notice TLS, and may ask about it.

use std::fs::File;
use std::io::{self, Read, Write};

use rustls::ProtocolVersion;
use straightline::net::MemoryStream;
use straightline::tls::{
    ClientAuth, TlsConfigBuilder, TlsConnector, TlsInfo, TlsProvider, TlsStream, TlsVersion,
};
use straightline::{ConnectionEnd, IntoResponse, Peer, Request, Response, Server, https, sched};

use super::client::{CA, CLIENT, Client, Settings, config, with_each_provider};
use crate::common::{Running, serve_with};

fn handler(request: &mut Request) -> Response {
    match request.path() {
        "/echo" => request.body().read_to_vec(8 << 20).into_response(),
        "/tls" => tls(request).into_response(),
        "/stream" => {
            Response::stream(|_, body| (0..100).try_for_each(|_| body.write_all(&[b'x'; 10_000])))
        }
        "/file" => Response::file(File::open("Cargo.toml").unwrap()).into_response(),
        "/upgrade" => Response::upgrade("echo", |mut client| {
            assert_eq!(client.tls().map(TlsInfo::version), Some("TLSv1.3"));
            let mut bytes = [0; 100];
            while let count @ 1.. = client.read(&mut bytes)? {
                client.write_all(&bytes[..count])?;
            }
            client.write_all(b"bye")
        }),
        path => path.to_owned().into_response(),
    }
}

/// What a handler knows of the connection.
fn tls(request: &Request) -> String {
    let Some(tls) = request.tls() else { return "none".to_owned() };
    let alpn = tls.alpn().map(String::from_utf8_lossy);
    format!(
        "{} {} {} {} {}",
        tls.version(),
        tls.server_name().unwrap_or("-"),
        alpn.as_deref().unwrap_or("-"),
        tls.peer_certificates().len(),
        tls.is_resumed(),
    )
}

fn serve(config: TlsConfigBuilder) -> Running {
    let config = config.build().unwrap();
    serve_with(|builder| builder.tls(config), handler)
}

#[test]
fn requests_and_bodies_are_as_without_tls() {
    with_each_provider(|provider| {
        let server = serve(config(provider));
        for settings in [Settings::default(), Settings::default().tls12()] {
            let mut client = Client::with(server.address, "localhost", &settings.config()).unwrap();
            for _ in 0..3 {
                assert_eq!(client.get("/hello"), "/hello");
            }
            // Several requests in one record, and one request in many.
            let get = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
            client.send(get.repeat(5));
            (0..5).for_each(|_| assert_eq!(client.receive().1, "/x"));
            for byte in get.bytes() {
                client.send([byte]);
            }
            assert_eq!(client.receive().1, "/x");
            let body = "0123456789abcdef".repeat(1 << 16);
            let length = body.len();
            client.send(format!(
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"
            ));
            client.send(&body);
            assert!(client.receive().1 == body);
            let file = client.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\n").receive().1;
            assert_eq!(file, std::fs::read_to_string("Cargo.toml").unwrap());
            client.close();
        }
        let mut client = Client::connect(server.address);
        client.send("GET /stream HTTP/1.0\r\n\r\n");
        let rest = client.rest().unwrap();
        let body = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(rest.len() - body, 1_000_000);
    });
}

#[test]
fn a_handler_knows_what_the_handshake_agreed_on() {
    with_each_provider(|provider| {
        let server = serve(config(provider));
        let settings = Settings::default().alpn("http/1.1").config();
        let mut first = Client::with(server.address, "first.example", &settings).unwrap();
        assert_eq!(first.get("/tls"), "TLSv1.3 first.example http/1.1 0 false");
        let mut second = Client::with(server.address, "second.example", &settings).unwrap();
        assert_eq!(second.get("/tls"), "TLSv1.3 second.example http/1.1 0 false");
        let settings = Settings::default().tls12().config();
        let mut address = Client::with(server.address, "127.0.0.1", &settings).unwrap();
        assert_eq!(address.get("/tls"), "TLSv1.2 - - 0 false");
        address.close();
        let mut again = Client::with(server.address, "127.0.0.1", &settings).unwrap();
        assert_eq!(again.get("/tls"), "TLSv1.2 - - 0 true");
        let plain = serve_with(|builder| builder, handler);
        assert_eq!(plain.client().get("/tls").text(), "none");
    });
}

#[test]
fn a_client_certificate_reaches_the_handler() {
    with_each_provider(|provider| {
        for auth in [ClientAuth::Optional, ClientAuth::Required] {
            let server = serve(config(provider).client_auth(auth).client_roots_pem(CA));
            let settings = Settings::default().identity(CLIENT).config();
            let mut client = Client::with(server.address, "localhost", &settings).unwrap();
            assert_eq!(client.get("/tls"), "TLSv1.3 localhost - 1 false");
            let settings = Settings::default().tls12().config();
            let without = Client::with(server.address, "localhost", &settings);
            match without {
                Ok(mut client) => {
                    assert_eq!(auth, ClientAuth::Optional);
                    assert_eq!(client.get("/tls"), "TLSv1.2 localhost - 0 false");
                }
                Err(_) => assert_eq!(auth, ClientAuth::Required),
            }
        }
    });
}

#[test]
fn an_upgraded_connection_is_tls_too_and_ends_with_a_goodbye() {
    with_each_provider(|provider| {
        let server = serve(config(provider));
        let mut client = Client::connect(server.address);
        client.send(
            "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
        );
        assert!(client.receive().0.starts_with("HTTP/1.1 101 "));
        client.send("ping");
        let mut pong = [0; 4];
        client.stream.read_exact(&mut pong).unwrap();
        assert_eq!(&pong, b"ping");
        client.stream.conn.send_close_notify();
        client.stream.flush().unwrap();
        assert_eq!(client.rest().unwrap(), b"bye");
    });
}

#[test]
fn the_oldest_version_is_a_setting() {
    with_each_provider(|provider| {
        let server = serve(config(provider).min_version(TlsVersion::Tls13));
        let old = Settings::default().tls12().config();
        assert!(Client::with(server.address, "localhost", &old).is_err());
        let client = Client::connect(server.address);
        assert_eq!(client.version(), Some(ProtocolVersion::TLSv1_3));
    });
}

#[test]
fn a_program_serves_tls_streams_of_its_own() {
    with_each_provider(|provider| {
        sched::run(move || {
            let server = Server::builder().build_local(handler).unwrap();
            let (near, far) = MemoryStream::pair(1 << 16);
            let stream = TlsStream::server(far, &config(provider).build().unwrap());
            let handle = server.handle();
            let serving = sched::spawn(move || handle.serve(stream, Peer::named("a test")));
            let connector = TlsConnector::builder().roots_pem(CA).provider(provider);
            let mut client = connector.build().unwrap().connect("first.example", near).unwrap();
            client.write_all(b"GET /tls HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert!(answer.contains("\r\n\r\nTLSv1.3 first.example "), "{answer}");
            assert!(matches!(serving.join(), Ok(ConnectionEnd::Closed)));
            let tls = server.handle().metrics().tls.unwrap();
            assert_eq!(tls.durations.count(), 1);
            // It has no listeners to configure.
            let config = config(provider).build().unwrap();
            let error = Server::builder().tls(config).build_local(handler).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        });
    });
}

#[test]
fn strict_transport_security_is_told_over_tls_only() {
    let year = std::time::Duration::from_secs(365 * 24 * 3600);
    let config = config(TlsProvider::default()).build().unwrap();
    let handler = |request: &mut Request| match request.path() {
        "/own" => "".into_response().header("strict-transport-security", "max-age=1"),
        _ => "".into_response(),
    };
    let secure =
        serve_with(|builder| builder.tls(config).wrap(https::hsts_with_subdomains(year)), handler);
    let mut client = Client::connect(secure.address);
    let mut field = |path: &str| {
        let (head, _) = client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).receive();
        let mut lines = head.lines();
        let line = lines.find(|line| line.to_ascii_lowercase().starts_with("strict-transport"));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned())
    };
    let expected = "max-age=31536000; includeSubDomains";
    assert_eq!(field("/").as_deref(), Some(expected));
    assert_eq!(field("/own").as_deref(), Some("max-age=1"));
    let plain = serve_with(|builder| builder.wrap(https::hsts(year)), handler);
    assert_eq!(plain.client().get("/").field("strict-transport-security"), None);
}
