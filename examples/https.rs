//! A server that speaks TLS: `cargo run --release -p straightline-examples --features tls-aws-lc
//! --example https`, then `curl -k https://localhost:8080`.
//!
//! It has a flag for what most services choose: certificates by name, client certificates, the
//! redirect from HTTP, HSTS. SIGHUP reads the files again.

#[cfg(not(any(feature = "tls", feature = "tls-aws-lc")))]
compile_error!("choose who does the cryptography: `--features tls` or `--features tls-aws-lc`");

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use humantime::parse_duration;
use sha2::{Digest, Sha256};
use slog::{Level, Logger, info, warn};
use straightline::tls::{
    ClientAuth, HandshakeLimits, TlsConfig, TlsConfigBuilder, TlsInfo, TlsProvider, TlsVersion,
};
use straightline::{Address, IntoResponse, Method, Request, Response, Server, StatusCode};
use straightline::{https, sched};
use straightline_examples::self_signed::{SelfSigned, self_signed};
use straightline_examples::{announce, echo, logger, metrics, run};

#[derive(Parser)]
#[command(after_help = PATHS)]
struct Args {
    /// Address to listen on; port 0 takes a free one, unix:PATH a Unix socket
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: Address,
    /// Threads to serve on [default: one per core]
    #[arg(long, value_name = "N")]
    workers: Option<NonZeroUsize>,
    /// Also logs what clients do
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    http: HttpArgs,
}

#[derive(clap::Args)]
#[command(next_help_heading = "TLS")]
struct TlsArgs {
    /// A certificate chain in PEM. The first is the default, and the others are chosen by the name
    /// that a client asks for [default: a self-signed certificate, made at the start]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Vec<PathBuf>,
    /// The private key of a certificate in PEM, one for each --cert and in their order
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Vec<PathBuf>,
    /// Who does the cryptography
    #[arg(long, value_name = "NAME", default_value_t, value_parser = parse_provider)]
    tls_provider: TlsProvider,
    /// The oldest version of TLS that a client may speak
    #[arg(long, value_name = "VERSION", default_value = "1.2")]
    min_tls: MinTls,
    /// Asks clients for certificates that lead to a root in this file, in PEM
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// Whether a client without a certificate is refused
    #[arg(long, value_name = "WHAT", default_value = "required", requires = "client_ca")]
    client_auth: ClientCertificates,
    /// A list of revoked client certificates (CRL) in PEM
    #[arg(long, value_name = "FILE", requires = "client_ca")]
    client_crl: Vec<PathBuf>,
    /// How long a handshake may take
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    handshake_timeout: Duration,
    /// Handshakes that compute at the same time [default: one per core]
    #[arg(long, value_name = "N")]
    handshakes_running: Option<NonZeroUsize>,
    /// Clients that wait until they can shake hands; more are refused
    #[arg(long, value_name = "N", default_value_t = HandshakeLimits::default().waiting)]
    handshakes_waiting: usize,
}

#[derive(clap::Args)]
#[command(next_help_heading = "HTTP")]
struct HttpArgs {
    /// Also listens there without TLS, and redirects every request to HTTPS
    #[arg(long, value_name = "ADDR")]
    redirect_from: Option<Address>,
    /// Tells browsers to use only HTTPS for so long
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    hsts: Option<Duration>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum MinTls {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ClientCertificates {
    /// It is refused
    Required,
    /// It is served
    Optional,
}

const PATHS: &str = "\
Paths:
  /, /hello      a line of text
  /echo          POST or PUT: the request's body, sent back while it arrives
  /tls           what the client's handshake agreed on
  /metrics       the metrics in Prometheus' text format

SIGHUP reads the certificates, keys and lists again. If there is a mistake in them, the server says
so, and keeps those that it has.";

fn answer(request: &mut Request) -> Response {
    let allowed: &[Method] = match request.path() {
        "/" | "/hello" | "/tls" | "/metrics" => &[Method::GET, Method::HEAD],
        "/echo" => &[Method::POST, Method::PUT],
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    if !allowed.contains(request.method()) {
        return Response::method_not_allowed(allowed);
    }
    match request.path() {
        "/echo" => echo(request),
        "/tls" => match request.tls() {
            Some(tls) => agreed(tls).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        "/metrics" => metrics(request),
        _ => "Hello, World!\n".into_response(),
    }
}

/// What the handshake of this connection agreed on, a fact a line.
fn agreed(tls: &TlsInfo) -> String {
    let mut text = format!("version: {}\ncipher suite: {}\n", tls.version(), tls.cipher_suite());
    let _ = writeln!(text, "server name: {}", tls.server_name().unwrap_or("none"));
    let _ = writeln!(text, "resumed: {}", if tls.is_resumed() { "yes" } else { "no" });
    let _ = match tls.peer_certificates().first() {
        Some(certificate) => writeln!(text, "client certificate: {}", fingerprint(certificate)),
        None => writeln!(text, "client certificate: none"),
    };
    text
}

impl TlsArgs {
    /// The configuration, and the certificate that was made for it.
    fn config(&self) -> io::Result<(TlsConfig, Option<SelfSigned>)> {
        let (certs, keys) = (self.cert.len(), self.key.len());
        if certs != keys {
            return Err(invalid(format!("--cert is given {certs} times and --key {keys} times")));
        }
        let mut config = TlsConfig::builder()
            .provider(self.tls_provider)
            .min_version(match self.min_tls {
                MinTls::Tls12 => TlsVersion::Tls12,
                MinTls::Tls13 => TlsVersion::Tls13,
            })
            .handshake_limits(self.limits());
        for (cert, key) in self.cert.iter().zip(&self.key) {
            config = config.certificate_files(cert, key);
        }
        let made = if certs == 0 { Some(self_signed()?) } else { None };
        if let Some(made) = &made {
            config = config.certificate_pem(&made.certificate_pem, &made.key_pem);
        }
        Ok((self.with_clients(config).build()?, made))
    }

    fn with_clients(&self, config: TlsConfigBuilder) -> TlsConfigBuilder {
        let Some(roots) = &self.client_ca else { return config };
        let client_auth = match self.client_auth {
            ClientCertificates::Required => ClientAuth::Required,
            ClientCertificates::Optional => ClientAuth::Optional,
        };
        config
            .client_auth(client_auth)
            .client_roots_file(roots)
            .client_revocation_files(&self.client_crl)
    }

    fn limits(&self) -> HandshakeLimits {
        let limits = HandshakeLimits::default();
        let running = self.handshakes_running.map_or(limits.running, NonZeroUsize::get);
        limits
            .with_timeout(self.handshake_timeout)
            .with_running(running)
            .with_waiting(self.handshakes_waiting)
    }
}

impl Args {
    fn serve(&self) -> io::Result<()> {
        let log = logger(if self.verbose { Level::Debug } else { Level::Info });
        let (config, made) = self.tls.config()?;
        let mut builder = Server::builder()
            .bind(self.listen.clone())
            .tls(config)
            .systemd()
            .shutdown_on_signals()
            .inspect_on_signals()
            .print_panics()
            .logger(log.clone());
        if let Some(workers) = self.workers {
            builder = builder.workers(workers.get());
        }
        if let Some(time) = self.http.hsts {
            builder = builder.wrap(https::hsts(time));
        }
        let mut server = builder.build(answer)?;
        let address = server.local_addrs()[0].clone();
        let redirect = self.redirect(&address, &log)?;
        announce("https", &server)?;
        info!(log, "TLS is done by {}", self.tls.tls_provider);
        let _file = made.and_then(|made| CertificateFile::offer(&made, &address, &log));
        if let Some(redirect) = redirect {
            info!(log, "listening on http://{}, which redirects", redirect.local_addrs()[0]);
            server = server.also(redirect)?;
        }
        let ended = server.run()?;
        info!(log, "{ended}");
        sched::stderr().flush_within(Duration::from_secs(1));
        Ok(())
    }

    /// The server without TLS, which uses the shards of the other one.
    fn redirect(&self, https: &Address, log: &Logger) -> io::Result<Option<Server>> {
        let Some(from) = &self.http.redirect_from else { return Ok(None) };
        let Address::Tcp(https) = https else {
            return Err(invalid(
                "--redirect-from needs a port to redirect to, and --listen has none",
            ));
        };
        let mut builder = Server::builder().bind(from.clone()).logger(log.clone());
        if let Some(workers) = self.workers {
            builder = builder.workers(workers.get());
        }
        builder.build(https::redirect(https.port())).map(Some)
    }
}

/// The file with the certificate that was made at the start, for clients that are to trust it. It
/// is removed when this is dropped.
struct CertificateFile(PathBuf);

impl CertificateFile {
    /// Writes the file, and tells how to reach the server. Without a file the server can still be
    /// reached by clients that do not check.
    fn offer(made: &SelfSigned, address: &Address, log: &Logger) -> Option<Self> {
        let fingerprint = fingerprint(&made.certificate_der);
        info!(log, "no --cert: a self-signed certificate was made; SHA-256 {fingerprint}");
        let name = format!("straightline-https-{}.pem", &fingerprint.replace(':', "")[..16]);
        let path = std::env::temp_dir().join(name);
        let written = write_new(&path, made.certificate_pem.as_bytes());
        if let Err(error) = &written {
            warn!(log, "{}: {error}; so clients cannot trust it", path.display());
        }
        let trust = match written {
            Ok(()) => format!("--cacert {}", path.display()),
            Err(_) => "--insecure".to_owned(),
        };
        match address {
            Address::Tcp(address) => {
                info!(log, "try: curl {trust} https://localhost:{}/", address.port());
            }
            Address::Unix(socket) => {
                let socket = socket.display();
                info!(log, "try: curl {trust} --unix-socket {socket} https://localhost/");
            }
            _ => {}
        }
        written.is_ok().then_some(Self(path))
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // Every user can write to the folder: a file or a link that is there already is not followed.
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes).inspect_err(|_| {
        let _ = fs::remove_file(path); // a part of it is of no use
    })
}

impl Drop for CertificateFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it.
fn fingerprint(certificate: &[u8]) -> String {
    let bytes = Sha256::digest(certificate);
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// A provider that is in this program.
fn parse_provider(name: &str) -> Result<TlsProvider, String> {
    let offered = TlsProvider::offered();
    match name.parse() {
        Ok(provider) if offered.contains(&provider) => Ok(provider),
        Ok(provider) => Err(format!("{provider} is not in this program, but {}", list(offered))),
        Err(_) => Err(format!("there is no such provider; this program has {}", list(offered))),
    }
}

fn list(providers: &[TlsProvider]) -> String {
    providers.iter().map(|provider| provider.as_str()).collect::<Vec<_>>().join(" and ")
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message.into())
}

fn main() -> ExitCode {
    run("Serves HTTPS.", |args: Args| args.serve())
}
