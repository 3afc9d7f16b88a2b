//! Calls with HTTPS.

use std::io::{Read, Write};
use std::net::Shutdown;

use straightline::client::ureq::{Error, Proxy};
use straightline::client::{Client, ConnectError};
use straightline::net::{TcpListener, TcpStream};
use straightline::sched::{self, DeadlineExceeded, deadline, sleep};
use straightline::tls::{TlsConfig, TlsConnector, TlsStream};
use straightline::{Request, Transport};

use crate::common::{Running, serve_with};
use crate::upstream::{MS, Upstream, check, time_of};

const CHAIN: &[u8] = include_bytes!("../tls/data/first.pem");
const KEY: &[u8] = include_bytes!("../tls/data/first.key");
const CA: &[u8] = include_bytes!("../tls/data/ca.pem");

fn config() -> TlsConfig {
    TlsConfig::builder().certificate_pem(CHAIN, KEY).build().expect("a configuration")
}

fn server() -> Running {
    serve_with(|builder| builder.tls(config()), |request: &mut Request| request.path().to_owned())
}

fn client() -> Client {
    let connector = TlsConnector::builder().roots_pem(CA).build().expect("a root");
    Client::builder().tls(connector).build()
}

#[test]
fn calls_share_a_connection_with_tls() {
    let server = server();
    let port = server.address.port();
    sched::run(move || {
        let client = client();
        for path in ["/a", "/b", "/c"] {
            let mut response =
                client.get(format!("https://localhost:{port}{path}")).call().unwrap();
            assert_eq!(response.body_mut().read_to_string().unwrap(), path);
        }
    });
    server.handle.shutdown();
    assert_eq!(server.join().accepted, 1);
}

#[test]
fn a_server_that_is_not_trusted_is_an_error() {
    let server = server();
    let port = server.address.port();
    sched::run(move || {
        let call = |client: Client, host: &str| {
            let error = client.get(format!("https://{host}:{port}/")).call().unwrap_err();
            assert!(ConnectError::is_cause_of(&error), "{error}");
            error.to_string()
        };
        let other = TlsConnector::builder().roots_pem(CHAIN).build().unwrap();
        let unknown = call(Client::builder().tls(other).build(), "localhost");
        assert!(unknown.contains("cannot connect to localhost"), "{unknown}");
        let wrong_name = call(client(), "[::ffff:127.0.0.1]");
        assert!(wrong_name.contains("cannot connect to ::ffff:127.0.0.1"), "{wrong_name}");
    });
}

#[test]
fn a_handshake_ends_with_the_deadline() {
    check(|| {
        let upstream = Upstream::start(|mut conversation| conversation.wait_for_end());
        let client = client();
        let call = || drop(client.get("https://10.0.0.9:80/").call());
        let took = time_of(|| assert_eq!(deadline(200 * MS, call), Err(DeadlineExceeded)));
        assert!(took < 202 * MS, "{took:?}");
        sleep(2 * MS);
        assert_eq!(upstream.ends().len(), 1);
    });
}

/// Relays one connection to the address that a CONNECT names, which is returned.
fn relay(listener: &std::net::TcpListener) -> std::io::Result<String> {
    let (mut client, _) = listener.accept()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut server = std::net::TcpStream::connect(&target)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let there = std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = std::io::copy(&mut server, &mut client);
    there.join().expect("no panic");
    Ok(target)
}

#[test]
fn a_proxy_relays_tls() {
    let server = server();
    let port = server.address.port();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let proxy = std::thread::spawn(move || relay(&listener));
    sched::run(move || {
        let connector = TlsConnector::builder().roots_pem(CA).build().unwrap();
        let proxy = Some(Proxy::new(&url).unwrap());
        let client = Client::builder().tls(connector).proxy(proxy).build();
        for path in ["/a", "/b"] {
            let mut response =
                client.get(format!("https://localhost:{port}{path}")).call().unwrap();
            assert_eq!(response.body_mut().read_to_string().unwrap(), path);
        }
    });
    assert_eq!(proxy.join().unwrap().unwrap(), format!("localhost:{port}"));
}

#[test]
fn a_body_that_ends_without_the_goodbye_of_tls_is_an_error() {
    sched::run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for says_goodbye in [true, false] {
            let client = client();
            let asked = sched::spawn(move || -> Result<String, Error> {
                let url = format!("https://localhost:{port}/");
                client.get(url).call()?.body_mut().read_to_string()
            });
            let (stream, _): (TcpStream, _) = listener.accept().unwrap();
            let mut stream = TlsStream::accept(stream, &config()).unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\npart").unwrap();
            stream.flush().unwrap();
            if says_goodbye {
                stream.shutdown_write().unwrap();
            } else {
                stream.get_ref().shutdown(Shutdown::Write).unwrap();
            }
            let outcome = asked.join().unwrap();
            assert_eq!(outcome.is_ok(), says_goodbye, "{outcome:?}");
        }
    });
}
