//! The servers as processes: one thread each, without an access log.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use ::straightline::Server as HttpServer;
use ::straightline::web::StaticFiles;
use clap::ValueEnum;
use rustix::process::{Signal, set_parent_process_death_signal};
use straightline_harness::{KillOnDrop, READY, ServerProcess};

use super::folder::{Folder, SITE};
use crate::cpu;

/// Which server.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project
    Straightline,
    /// nginx, which has to be installed; it opens the file for each request
    Nginx,
    /// nginx with its cache of open files
    NginxCached,
}

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    kind: Kind,
    process: Running,
    address: SocketAddr,
}

enum Running {
    Ours(ServerProcess),
    Nginx(KillOnDrop),
}

/// Is a server until the process is killed, which also happens when the parent ends.
pub(crate) fn run(kind: Kind, folder: &Path, cpu: Option<usize>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(cpu) = cpu {
        cpu::pin(cpu)?;
    }
    if kind == Kind::Straightline {
        let files = StaticFiles::new(folder.join(SITE));
        let server = HttpServer::builder().bind("127.0.0.1:0").workers(1).quiet().build(files)?;
        println!("{READY}{}", server.local_addrs()[0]);
        return server.run().map(drop);
    }
    let config = folder.join(kind.config_name());
    Err(Command::new("nginx").arg("-p").arg(folder).arg("-c").arg(config).exec())
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(kind: Kind, folder: &Folder, cpu: Option<usize>) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve-files").arg(kind.to_string()).arg(folder.path());
        if let Some(cpu) = cpu {
            command.arg("--cpu").arg(cpu.to_string());
        }
        let started = match kind {
            Kind::Straightline => ServerProcess::start(&mut command).map(|process| {
                let address = process.address();
                Self { kind, process: Running::Ours(process), address }
            }),
            Kind::Nginx | Kind::NginxCached => Self::start_nginx(kind, &mut command, folder),
        };
        started
            .map_err(|error| io::Error::new(error.kind(), format!("{kind} did not start: {error}")))
    }

    fn start_nginx(kind: Kind, command: &mut Command, folder: &Folder) -> io::Result<Self> {
        // A port that was free a moment ago: nginx cannot say which one it took.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = nginx_config(kind, folder.path(), address.port());
        fs::write(folder.path().join(kind.config_name()), config)?;
        let mut process = KillOnDrop(command.spawn()?);
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.0.try_wait()? {
                return Err(io::Error::other(format!("{status}; is nginx installed?")));
            }
            if begun.elapsed() > START_TIME_MAX {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not listen"));
            }
            thread::sleep(LOOK_PAUSE);
        }
        Ok(Self { kind, process: Running::Nginx(process), address })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn cpu_time(&self) -> io::Result<Duration> {
        cpu::time_used(match &self.process {
            Running::Ours(process) => process.id(),
            Running::Nginx(process) => process.0.id(),
        })
    }
}

/// The configuration of nginx: what this project's server does by default, and nothing that costs
/// more than that.
fn nginx_config(kind: Kind, folder: &Path, port: u16) -> String {
    let cache = if kind == Kind::NginxCached { "max=10" } else { "off" };
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1;
pid {folder}/{kind}.pid; error_log {folder}/{kind}.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; open_file_cache {cache};
  keepalive_requests 1000000000; keepalive_timeout 3600s; reset_timedout_connection on;
  client_body_temp_path {folder}/{kind}-b; proxy_temp_path {folder}/{kind}-p;
  fastcgi_temp_path {folder}/{kind}-f; uwsgi_temp_path {folder}/{kind}-u;
  scgi_temp_path {folder}/{kind}-s;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder}/{SITE};
    default_type application/octet-stream;
    add_header X-Content-Type-Options nosniff;
    add_header Vary Accept-Encoding;
  }}
}}
"
    )
}

impl Kind {
    fn config_name(self) -> String {
        format!("{self}.conf")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Straightline => "straightline",
            Self::Nginx => "nginx",
            Self::NginxCached => "nginx-cached",
        })
    }
}

/// Arbitrary: a hundred times what it takes.
const START_TIME_MAX: Duration = Duration::from_secs(30);

const LOOK_PAUSE: Duration = Duration::from_millis(20);
