//! The server under test: it agrees on TLS, and sends back what it reads.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use straightline_net::{TcpListener, TcpStream, Transport};
use straightline_sched::{self as sched, deadline, sim};
use straightline_tls::{HandshakeError, HandshakeFailure, TlsConfig, TlsProvider, TlsStream};

use super::certificate::Certificates;
use super::client::{Client, Version};

/// How the server's side of a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// The client left before its first byte.
    LeftAtOnce,
    /// The handshake failed.
    Refused(HandshakeFailure),
    /// The client has sent its `close_notify`.
    Closed,
    /// A read or a write failed.
    Failed(ErrorKind),
}

/// A configuration with the shared certificate.
pub(crate) fn config(provider: TlsProvider) -> TlsConfig {
    let certificates = Certificates::shared();
    TlsConfig::builder()
        .certificate_pem(&certificates.chain_pem, &certificates.key_pem)
        .provider(provider)
        .build()
        .expect("a good configuration")
}

/// Serves one connection to its end.
pub(crate) fn serve<S: Transport>(stream: S, config: &TlsConfig) -> Served {
    let stream = match TlsStream::accept(stream, config) {
        Ok(stream) => stream,
        Err(error) if is_left_at_once(&error) => return Served::LeftAtOnce,
        Err(error) => return Served::Refused(failure(&error)),
    };
    stream.set_read_timeout(Some(READ_TIMEOUT));
    match echo(&stream) {
        Ok(()) => Served::Closed,
        Err(error) => Served::Failed(error.kind()),
    }
}

/// Sends back what it reads, until the client closes.
pub(crate) fn echo<S: Transport>(mut stream: &TlsStream<S>) -> io::Result<()> {
    let mut buffer = vec![0; 20_000];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return stream.close();
        }
        stream.write_all(&buffer[..count])?;
        stream.flush()?;
    }
}

/// A client that leaves before its first byte is no failed handshake.
fn is_left_at_once(error: &io::Error) -> bool {
    error.kind() == ErrorKind::UnexpectedEof && error.get_ref().is_none()
}

pub(crate) fn failure(error: &io::Error) -> HandshakeFailure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<HandshakeError>());
    inner.unwrap_or_else(|| panic!("not of a handshake: {error}")).failure()
}

/// In a simulation, a client talks to a server for as long as `talk` takes; then the client is
/// gone. The server must have ended after that, and the simulation finds what is left.
pub(crate) fn converse<T: 'static>(
    provider: TlsProvider,
    version: Version,
    talk: impl FnOnce(&mut Client) -> T + 'static,
) -> (T, Served) {
    converse_with(&config(provider), move || Client::connect(SERVER, version), talk)
}

/// As [`converse`], with that configuration and that client.
pub(crate) fn converse_with<T: 'static>(
    config: &TlsConfig,
    connect: impl FnOnce() -> Client + 'static,
    talk: impl FnOnce(&mut Client) -> T + 'static,
) -> (T, Served) {
    let config = config.clone();
    simulate(move |stream| serve(stream, &config), connect, talk)
}

/// As [`converse`], with a server that serves as `act` does.
pub(crate) fn converse_by<T: 'static, R: 'static>(
    provider: TlsProvider,
    version: Version,
    act: impl FnOnce(TlsStream<TcpStream>) -> R + 'static,
    talk: impl FnOnce(&mut Client) -> T + 'static,
) -> (T, R) {
    let config = config(provider);
    let serve = move |stream| act(TlsStream::accept(stream, &config).expect("a good handshake"));
    simulate(serve, move || Client::connect(SERVER, version), talk)
}

fn simulate<T: 'static, R: 'static>(
    run: impl FnOnce(TcpStream) -> R + 'static,
    connect: impl FnOnce() -> Client + 'static,
    talk: impl FnOnce(&mut Client) -> T + 'static,
) -> (T, R) {
    sim::run(7, move || {
        let listener = TcpListener::bind(SERVER).expect("a free port");
        let server = sched::spawn(move || {
            let (stream, _) = listener.accept().expect("a client");
            run(stream)
        });
        let told = deadline(PATIENCE, || talk(&mut connect()));
        let told = told.expect("the conversation ends in time");
        let ended = deadline(PATIENCE, || server.join().expect("the server does not panic"));
        (told, ended.expect("the server ends in time"))
    })
}

/// As [`converse`]. Returns the alert with which the server ends the connection.
pub(crate) fn provoke(
    provider: TlsProvider,
    version: Version,
    talk: impl FnOnce(&mut Client) + 'static,
) -> (Option<u8>, Served) {
    converse(provider, version, move |client| {
        talk(client);
        client.receive_alert()
    })
}

/// Lets the server read what was sent so far.
pub(crate) fn pause() {
    sched::sleep(Duration::from_millis(10)); // of virtual time
}

/// Calls `body` with each provider and each version.
pub(crate) fn for_each(body: impl Fn(TlsProvider, Version)) {
    for &provider in TlsProvider::offered() {
        for version in [Version::Tls12, Version::Tls13] {
            println!("{provider:?}, {version:?}");
            body(provider, version);
        }
    }
}

pub(crate) const SERVER: &str = "10.0.0.1:443";

/// Longer than the server's own timeouts.
const PATIENCE: Duration = Duration::from_secs(120);

const READ_TIMEOUT: Duration = Duration::from_secs(60);
