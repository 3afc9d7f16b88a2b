//! What an operator sees and does: numbers, logs, new certificates, limits.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use straightline::tls::{TlsConfig, TlsProvider, TlsVersion};
use straightline::{
    AccessLogFormat, Capacity, Event, OverloadPolicy, Request, Server, ServerBuilder,
};

use super::client::{
    Client, EXPIRED, FIRST, RENEWED, Settings, config, socket, with_each_provider,
};
use crate::common::own_process::in_a_process;
use crate::common::{Running, serve, serve_with};

fn hello(_: &mut Request) -> &'static str {
    "hello\n"
}

/// What an observer has heard of TLS.
type Told = Arc<Mutex<Vec<String>>>;

fn serve_told(
    config: TlsConfig,
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder,
) -> (Running, Told) {
    let told = Told::default();
    let heard = Arc::clone(&told);
    let observer = move |event: &Event<'_>| match event {
        Event::TlsHandshake { .. }
        | Event::TlsHandshakeFailed { .. }
        | Event::TlsReloaded
        | Event::TlsReloadFailed { .. }
        | Event::TlsWarned { .. }
        | Event::Reloaded { .. } => heard.lock().unwrap().push(event.to_string()),
        _ => {}
    };
    let configure = |builder: ServerBuilder| configure(builder.tls(config).observer(observer));
    (serve_with(configure, hello), told)
}

/// A folder for files that a test changes.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let path = path.join(format!("tls-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a certificate and its key. Each file is replaced as a whole.
    fn put(&self, [chain, key]: [&[u8]; 2]) {
        for (name, bytes) in [("chain.pem", chain), ("key.pem", key)] {
            let new = self.path("new");
            fs::write(&new, bytes).unwrap();
            fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            fs::rename(new, self.path(name)).unwrap();
        }
    }

    fn config(&self, provider: TlsProvider) -> TlsConfig {
        let files = (self.path("chain.pem"), self.path("key.pem"));
        let config = TlsConfig::builder().provider(provider);
        config.certificate_files(files.0, files.1).build().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether the server has shown that certificate.
fn has_shown(client: &Client, [chain, _]: [&[u8]; 2]) -> bool {
    let chain = CertificateDer::from_pem_slice(chain).unwrap();
    client.stream.conn.peer_certificates().unwrap() == [chain]
}

#[test]
fn handshakes_are_told_and_counted() {
    with_each_provider(|provider| {
        let (server, told) = serve_told(config(provider).build().unwrap(), |builder| builder);
        let settings = Settings::default().config();
        for resumes in [false, true] {
            let mut client = Client::with(server.address, "localhost", &settings).unwrap();
            assert_eq!(client.get("/"), "hello\n");
            client.close();
            let heard = told.lock().unwrap().pop().unwrap();
            let begin = heard.split_once(": ").unwrap().1;
            assert!(begin.starts_with("TLSv1.3 with TLS_"), "{heard}");
            assert_eq!(begin.contains(", resumed, for localhost, in "), resumes, "{heard}");
        }
        let settings = Settings::default().tls12().config();
        Client::with(server.address, "first.example", &settings).unwrap().close();
        // Its certificate does not have the name, so the client is not content.
        assert!(Client::with(server.address, "third.example", &settings).is_err());
        let (handle, address) = (server.handle.clone(), server.address);
        handle.shutdown();
        server.join();
        let metrics = handle.metrics();
        let tls = metrics.tls.as_ref().unwrap();
        let versions: Vec<_> =
            tls.handshakes.iter().map(|((version, _), n)| (*version, *n)).collect();
        assert_eq!(versions, [("TLSv1.2", 1), ("TLSv1.3", 2)], "at {address}");
        assert_eq!((tls.resumed, tls.sni_misses, tls.durations.count()), (1, 1, 3));
        let text = metrics.to_prometheus();
        for line in [
            "straightline_tls_handshakes_resumed_total 1",
            "straightline_tls_handshakes_failed_total{reason=\"alert\"} 1",
            "straightline_tls_handshakes_failed_total{reason=\"plain_http\"} 0",
            "straightline_tls_handshake_duration_seconds_count 3",
            "straightline_tls_sni_misses_total 1",
            "straightline_tls_reloads_total 0",
            "straightline_tls_certificate_not_after_seconds 7889184000",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        let begin = "straightline_tls_handshakes_total{version=\"TLSv1.3\",cipher=\"TLS_";
        assert!(
            text.lines().any(|line| line.starts_with(begin) && line.ends_with("\"} 2")),
            "{text}"
        );
    });
    // Without TLS there is nothing to tell.
    let plain = serve(hello);
    let metrics = plain.handle.metrics();
    assert!(metrics.tls.is_none() && !metrics.to_prometheus().contains("_tls_"));
    plain.handle.reload_tls().unwrap();
}

/// A writer that a test can read.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_access_log_has_the_tls_of_each_request() {
    let lines = Lines::default();
    let config = config(TlsProvider::default()).build().unwrap();
    let log = lines.clone();
    let server =
        serve_with(|builder| builder.tls(config).access_log(AccessLogFormat::Json, log), hello);
    let mut client = Client::connect(server.address);
    client.get("/a");
    client.get("/b");
    client.close();
    server.handle.shutdown();
    server.join();
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    for line in text.lines() {
        assert!(line.contains(",\"tls_version\":\"TLSv1.3\",\"tls_cipher\":\"TLS_"), "{line}");
        let end = ",\"tls_server_name\":\"localhost\",\"tls_resumed\":false}";
        assert!(line.ends_with(end), "{line}");
    }
}

#[test]
fn a_reload_under_load_fails_no_request_and_a_broken_pair_is_not_taken() {
    with_each_provider(|provider| {
        let folder = Folder::new(&format!("reload-{}", provider.as_str()));
        folder.put(FIRST);
        let (server, told) = serve_told(folder.config(provider), |builder| builder.workers(2));
        let (address, is_over) = (server.address, AtomicBool::new(false));
        let mut kept = Client::connect(address);
        assert_eq!(kept.get("/"), "hello\n");
        thread::scope(|scope| {
            // One client stays, and the other connects again and again.
            scope.spawn(|| {
                let mut client = Client::connect(address);
                while !is_over.load(Ordering::SeqCst) {
                    assert_eq!(client.get("/"), "hello\n");
                }
                client.close();
            });
            scope.spawn(|| {
                let settings = Settings::default().config();
                while !is_over.load(Ordering::SeqCst) {
                    let mut client = Client::with(address, "first.example", &settings).unwrap();
                    assert_eq!(client.get("/"), "hello\n");
                    client.close();
                }
            });
            for round in 0..6 {
                folder.put(if round % 2 == 0 { RENEWED } else { FIRST });
                server.handle.reload_tls().unwrap();
            }
            // A half-written pair.
            fs::write(folder.path("key.pem"), RENEWED[1]).unwrap();
            let error = server.handle.reload_tls().unwrap_err();
            assert!(error.to_string().contains("key.pem"), "{error}");
            is_over.store(true, Ordering::SeqCst);
        });
        assert_eq!(kept.get("/"), "hello\n");
        let client = Client::with(address, "first.example", &Settings::default().config());
        assert!(has_shown(&client.unwrap(), FIRST));
        let told = told.lock().unwrap();
        let count = |begin: &str| told.iter().filter(|text| text.starts_with(begin)).count();
        assert_eq!(count("TLS: the certificates are reloaded"), 6, "{told:?}");
        assert_eq!(count("TLS: the reload failed, the old certificates are kept: "), 1, "{told:?}");
        let tls = server.handle.metrics().tls.unwrap();
        assert_eq!((tls.reloads, tls.reloads_failed), (6, 1));
    });
}

#[test]
fn sighup_reads_the_certificates_again_before_the_programs_own_code() {
    in_a_process(|| {
        let folder = Folder::new("sighup");
        folder.put(FIRST);
        let config = folder.config(TlsProvider::default());
        let (server, told) = serve_told(config, ServerBuilder::shutdown_on_signals);
        let (other, others) = serve_told(folder.config(TlsProvider::default()), |builder| {
            builder.on_reload(|| Err(io::Error::other("as you wish")))
        });
        folder.put(RENEWED);
        let status = Command::new("kill").args(["-HUP", &std::process::id().to_string()]).status();
        assert!(status.unwrap().success());
        let await_told = |told: &Told, count| {
            for _ in 0..2_000 {
                if told.lock().unwrap().len() == count {
                    return;
                }
                thread::sleep(Duration::from_millis(5));
            }
            panic!("{:?}", told.lock().unwrap());
        };
        await_told(&told, 1);
        await_told(&others, 2);
        assert_eq!(*told.lock().unwrap(), ["TLS: the certificates are reloaded"]);
        let both = ["TLS: the certificates are reloaded", "SIGHUP: the reload failed: as you wish"];
        assert_eq!(*others.lock().unwrap(), both);
        for address in [server.address, other.address] {
            assert!(has_shown(&Client::connect(address), RENEWED));
        }
    });
}

#[test]
fn an_expired_certificate_is_told_at_the_start_and_at_each_reload() {
    let folder = Folder::new("expired");
    folder.put(EXPIRED);
    let (server, told) = serve_told(folder.config(TlsProvider::default()), |builder| builder);
    // The server has started when it answers.
    assert!(Client::with(server.address, "first.example", &Settings::default().config()).is_err());
    let take = || std::mem::take(&mut *told.lock().unwrap());
    let expired = |text: &String| text.contains("chain.pem") && text.contains(" expired at 2021");
    assert_eq!(take().iter().filter(|text| expired(text)).count(), 1);
    server.handle.reload_tls().unwrap();
    assert_eq!(take().iter().filter(|text| expired(text)).count(), 1);
    folder.put(FIRST);
    server.handle.reload_tls().unwrap();
    let told = take();
    let told: Vec<_> = told.iter().filter(|text| text.starts_with("TLS: ")).collect();
    assert_eq!(told, ["TLS: the certificates are reloaded"]);
}

#[test]
fn a_client_without_room_is_disconnected_without_an_answer() {
    let capacity =
        Capacity::default().with_connections(1).with_overload_policy(OverloadPolicy::Reject);
    let config = config(TlsProvider::default()).build().unwrap();
    let (server, _) = serve_told(config, |builder| builder.capacity(capacity));
    let mut client = Client::connect(server.address);
    assert_eq!(client.get("/"), "hello\n");
    let mut rejected = socket(server.address);
    let mut answer = Vec::new();
    rejected.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty(), "{answer:?}");
    assert_eq!(server.handle.counters().rejected, 1);
    client.close();
}

#[test]
fn a_unix_socket_speaks_tls_too() {
    let folder = Folder::new("unix");
    let path = folder.path("socket");
    let config = config(TlsProvider::default()).build().unwrap();
    let server = Server::builder().bind(&*path).workers(1).tls(config).build(hello).unwrap();
    let handle = server.handle();
    let serving = thread::spawn(move || server.run());
    let stream = UnixStream::connect(&path).unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let connection = rustls::ClientConnection::new(Settings::default().config(), name).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, stream);
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\nhello\n"), "{answer}");
    handle.shutdown();
    serving.join().unwrap().unwrap();
}

#[test]
fn the_settings_tell_of_tls() {
    let config = config(TlsProvider::default()).min_version(TlsVersion::Tls13).build().unwrap();
    let server = Server::builder().bind("127.0.0.1:0").tls(config).build(hello).unwrap();
    let text = server.settings().to_string();
    let provider = TlsProvider::default().as_str();
    for line in [
        "tls = true (set by the program)",
        &format!("tls.provider = {provider} (default)"),
        "tls.min_version = TLSv1.3 (set by the program)",
        "tls.alpn = http/1.1, http/1.0 (default)",
        "tls.client_auth = none (default)",
        "tls.handshake_limits.timeout = 10s (default)",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    let certificates: Vec<_> = text.lines().filter(|line| line.starts_with("tls.cert")).collect();
    let [first, second] = certificates[..] else { panic!("{text}") };
    assert!(first.contains("first.example") && first.contains(", until 2220-01-01"), "{first}");
    assert!(second.contains("second.example"), "{second}");
    let server = Server::builder().bind("127.0.0.1:0").build(hello).unwrap();
    assert_eq!(server.settings().get("tls").unwrap().value, "false");
}
