//! A service as it runs in production: notes in a database behind an API, with TLS, an admin
//! listener for probes, metrics and drains, an access log that can be rotated, and settings that
//! come from flags, the environment and a file. The files in `deploy/` start it. This folder is a
//! package of its own, to be copied: README.md says how.

mod config;
mod logs;
mod routes;
mod secret;
mod settings;
mod store;

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ArgMatches;
use slog::{Logger, error, info, warn};
use straightline::admin::Admin;
use straightline::web::middleware;
use straightline::{
    AccessLogFormat, Capacity, ErrorContext, Limits, LogLevel, Server, ServerBuilder, Timeouts,
    sched,
};

use config::{Config, SETTINGS};
use logs::{RotatedFile, logger};
use routes::{App, log_failures, router};
use settings::{Settings, file_of, flags};
use store::Store;

fn main() -> ExitCode {
    let about = "Keeps notes in a database, behind an API.";
    let flags = flags("service", SETTINGS).about(about).get_matches();
    let Err(error) = start(flags) else { return ExitCode::SUCCESS };
    sched::stderr().flush_within(Duration::from_secs(1));
    for line in error.to_string().lines() {
        let _ = writeln!(io::stderr(), "service: {line}");
    }
    ExitCode::FAILURE
}

fn start(flags: ArgMatches) -> Result<(), Box<dyn Error>> {
    let (settings, config) = Config::load(&flags)?;
    if flags.get_flag("check-config") {
        settings.lines().try_for_each(|line| writeln!(io::stdout(), "{line}"))?;
        return Ok(());
    }
    let level = LogLevel::new(config.log_level);
    let log = logger(&level);
    let app = Arc::new(open(&config)?);
    let mut server = server(&config).logger(log.clone());
    let mut log_file = None;
    match &config.access_log {
        None => {}
        Some(path) if path == Path::new("-") => {
            server = server.access_log(AccessLogFormat::Json, io::stdout());
        }
        Some(path) => {
            let file = log_file.insert(RotatedFile::open(path)?);
            server = server.access_log(AccessLogFormat::Json, file.clone());
        }
    }
    let lines: Vec<_> = settings.lines().collect();
    let has_files = file_of(&flags).is_some() || settings.origin("token-file").is_some();
    if has_files || log_file.is_some() {
        let level = level.clone();
        let reload = Reload { flags, settings, level, log: log.clone(), log_file };
        let app = Arc::clone(&app);
        server = server.on_reload(move || reload.run(&app));
    }
    let server = server.build(router(&app))?;
    // It lives until the end of this function, so also while the server drains.
    let start = |address| Admin::of(&server).log_level(&level).start(address);
    let admin = config.admin.map(start).transpose()?;

    lines.iter().for_each(|line| info!(log, "{line}"));
    if config.token.is_none() {
        warn!(log, "there is no token, so no client may write");
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    writeln!(io::stdout(), "listening on {scheme}://{}", server.local_addrs()[0])?;
    if let Some(admin) = &admin {
        writeln!(io::stdout(), "admin on http://{}", admin.local_addr())?;
    }
    let ended = server.run()?;
    app.store.close();
    info!(log, "{ended}");
    sched::stderr().flush_within(Duration::from_secs(1));
    Ok(())
}

fn open(config: &Config) -> Result<App, Box<dyn Error>> {
    let path = config.database.as_deref();
    let store = Store::open(path, config.database_timeout).map_err(|error| {
        format!("{}: {error}", path.unwrap_or(Path::new("the database in memory")).display())
    })?;
    Ok(App::new(store, config.token.clone()))
}

/// The server with its limits. SIGTERM and SIGINT drain it, and SIGQUIT lists its fibers. If
/// systemd has started it, by a socket unit, the sockets of the unit count, and not `listen`.
fn server(config: &Config) -> ServerBuilder {
    let mut capacity = Capacity::default();
    if let Some(connections) = config.connections {
        capacity = capacity.with_connections(connections.get());
    }
    if let Some(in_flight) = config.in_flight {
        capacity = capacity.with_in_flight(in_flight.get());
    }
    let mut server = Server::builder()
        .inherited_or_bind(config.listen.clone())
        .systemd()
        .shutdown_on_signals()
        .inspect_on_signals()
        .print_panics()
        .proxy_protocol(config.proxy_protocol.clone())
        .capacity(capacity)
        .limits(Limits::default().with_body_bytes(config.body_bytes))
        .timeouts(Timeouts::default().with_handler(config.handler_timeout))
        .ready_delay(config.ready_delay)
        .drain_timeout(config.drain_timeout)
        // Those of the router and the server too, such as 405.
        .error_responses(|error: &ErrorContext<'_>| error.to_problem())
        .wrap(middleware::request_id)
        .wrap(log_failures);
    if let Some(workers) = config.workers {
        server = server.workers(workers.get());
    }
    if let Some(tls) = &config.tls {
        server = server.tls(tls.clone());
    }
    server
}

/// What SIGHUP does, besides reading the certificate again.
struct Reload {
    flags: ArgMatches,
    /// Those of the start.
    settings: Settings,
    level: LogLevel,
    log: Logger,
    log_file: Option<RotatedFile>,
}

impl Reload {
    /// Takes the token and the level of the log, and opens the access log again. If anything is
    /// wrong, everything stays as it is.
    fn run(&self, app: &App) -> io::Result<()> {
        let (settings, config) = Config::load(&self.flags).map_err(|faults| {
            faults.0.iter().for_each(|fault| error!(self.log, "{fault}"));
            io::Error::other("the settings stay as they are")
        })?;
        self.log_file.as_ref().map(RotatedFile::reopen).transpose()?;
        app.set_token(config.token);
        self.level.set(config.log_level);
        settings.lines_for_restart(&self.settings).for_each(|line| warn!(self.log, "{line}"));
        Ok(())
    }
}
