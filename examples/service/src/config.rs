//! The settings of this service. To add one, add a row to the table and a field to [`Config`].

use std::fmt::Display;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::ArgMatches;
use slog::Level;
use straightline::tls::TlsConfig;
use straightline::{Address, Networks};

use crate::secret::Secret;
use crate::settings::{Faults, Setting, Settings};

/// The values of the settings.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: Address,
    pub(crate) workers: Option<NonZeroUsize>,
    pub(crate) admin: Option<Address>,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) proxy_protocol: Networks,
    pub(crate) connections: Option<NonZeroUsize>,
    pub(crate) in_flight: Option<NonZeroUsize>,
    pub(crate) body_bytes: u64,
    pub(crate) handler_timeout: Duration,
    pub(crate) ready_delay: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) database: Option<PathBuf>,
    pub(crate) database_timeout: Duration,
    pub(crate) token: Option<Secret>,
    pub(crate) access_log: Option<PathBuf>,
    pub(crate) log_level: Level,
}

impl Config {
    /// Reads the settings, and the files that they name.
    pub(crate) fn load(flags: &ArgMatches) -> Result<(Settings, Self), Faults> {
        let mut settings = Settings::load(SETTINGS, flags);
        let config = Self {
            listen: settings.value("listen", address),
            workers: settings.optional("workers", workers),
            admin: settings.optional("admin", address),
            tls: tls(&mut settings),
            proxy_protocol: networks(&mut settings, "proxy-protocol"),
            connections: settings.optional("connections", number),
            in_flight: settings.optional("in-flight", number),
            body_bytes: settings.value("body-bytes", number),
            handler_timeout: settings.value("handler-timeout", time),
            ready_delay: settings.value("ready-delay", time),
            drain_timeout: settings.value("drain-timeout", time),
            database: settings.optional("database", path),
            database_timeout: settings.value("database-timeout", time),
            token: token(&mut settings),
            access_log: settings.optional("access-log", path),
            log_level: settings.value("log-level", level),
        };
        settings.check().map(|()| (settings, config))
    }
}

fn address(text: &str) -> Result<Address, String> {
    let wanted = "wanted is an address with a port, such as 127.0.0.1:8080, or unix:PATH";
    text.parse::<Address>().map_err(|error| format!("{error}; {wanted}"))
}

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| format!("{text:?}: wanted is a number of threads, at least 1"))
}

fn number<N: FromStr<Err: Display>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|error| format!("{text:?}: wanted is a whole number ({error})"))
}

fn time(text: &str) -> Result<Duration, String> {
    let wanted = "wanted is a time with a unit, such as 250ms or 5s";
    humantime::parse_duration(text).map_err(|error| format!("{text:?}: {wanted} ({error})"))
}

fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("wanted is a path".to_owned()) } else { Ok(text.into()) }
}

fn level(text: &str) -> Result<Level, String> {
    let wanted = "wanted is error, warning, info, debug or trace";
    text.parse().map_err(|()| format!("{text:?}: {wanted}"))
}

fn networks(settings: &mut Settings, name: &str) -> Networks {
    Networks::new(settings.list(name)).unwrap_or_else(|error| {
        settings.fault(name, error);
        Networks::default()
    })
}

/// The certificate, if there is one. The server reads the files again at SIGHUP.
fn tls(settings: &mut Settings) -> Option<TlsConfig> {
    let cert = settings.optional("tls-cert", path);
    let key = settings.optional("tls-key", path);
    match (cert, key) {
        (Some(cert), Some(key)) => {
            let config = TlsConfig::builder().certificate_files(cert, key).build();
            config.map_err(|error| settings.fault("tls-cert", error)).ok()
        }
        (Some(_), None) if settings.origin("tls-key").is_none() => {
            settings.fault("tls-cert", "tls-key is missing");
            None
        }
        (None, Some(_)) if settings.origin("tls-cert").is_none() => {
            settings.fault("tls-key", "tls-cert is missing");
            None
        }
        _ => None,
    }
}

/// The token, or the content of its file.
fn token(settings: &mut Settings) -> Option<Secret> {
    let token = settings.optional("token", Secret::parse);
    let Some(file) = settings.optional("token-file", path) else { return token };
    if let Some(origin) = settings.origin("token") {
        settings.fault("token-file", format!("there is a token already, by {origin}"));
        return token;
    }
    let text = fs::read_to_string(&file).map_err(|error| error.to_string());
    let token = text.and_then(|text| Secret::parse(text.trim_end()));
    let file = file.display();
    token.map_err(|fault| settings.fault("token-file", format!("{file}: {fault}"))).ok()
}

pub(crate) const SETTINGS: &[Setting] = &[
    Setting::new(
        "listen",
        "ADDR",
        "Address to listen on; port 0 takes a free one, unix:PATH a socket",
    )
    .or("127.0.0.1:8080"),
    Setting::new("workers", "N", "Threads to serve on [default: one per core]"),
    Setting::new("admin", "ADDR", "Address for metrics, probes, fibers and drain [default: none]"),
    Setting::new("tls-cert", "FILE", "Certificate chain in PEM [default: no TLS]"),
    Setting::new("tls-key", "FILE", "Private key of the certificate in PEM"),
    Setting::new("proxy-protocol", "NETWORK", "Networks that send the PROXY protocol").list(),
    Setting::new("connections", "N", "Open connections [default: by the limit of descriptors]"),
    Setting::new("in-flight", "N", "Requests at the same time; more get a 503 [default: 10000]"),
    Setting::new("body-bytes", "BYTES", "Longest body of a request; longer is 413").or("65536"),
    Setting::new("handler-timeout", "TIME", "How long a handler may take; longer is 504").or("60s"),
    Setting::new("ready-delay", "TIME", "How long a stop goes on to serve while /readyz is 503")
        .or("0s"),
    Setting::new("drain-timeout", "TIME", "How long a stop waits for requests in flight").or("25s"),
    Setting::new("database", "FILE", "Database, made if there is none [default: in memory]"),
    Setting::new("database-timeout", "TIME", "How long a request waits for a lock; longer is 503")
        .or("5s"),
    Setting::new("token", "TOKEN", "Bearer token of clients that write").secret().reloads(),
    Setting::new("token-file", "FILE", "File with the bearer token of clients that write")
        .reloads(),
    Setting::new("access-log", "FILE", "File for a line of JSON for each request; - is stdout"),
    Setting::new("log-level", "LEVEL", "What the log on stderr has: error to trace")
        .or("info")
        .reloads(),
];
