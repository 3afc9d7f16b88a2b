//! The proxies as processes: one thread each, without a log of requests, all in front of the same
//! upstream.

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
use ::straightline::proxy::Proxy;
use clap::ValueEnum;
use rustix::process::{Signal, set_parent_process_death_signal};
use straightline_harness::{KillOnDrop, READY, ServerProcess};

use crate::cpu;

/// Which proxy.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project
    Straightline,
    /// nginx, which has to be installed
    Nginx,
    /// `HAProxy`, which has to be installed
    Haproxy,
}

/// A running proxy. It ends when this is dropped.
pub(super) struct Server {
    kind: Kind,
    process: Running,
    address: SocketAddr,
}

enum Running {
    Ours(ServerProcess),
    Other(KillOnDrop),
}

/// Is a proxy until the process is killed, which also happens when the parent ends.
pub(crate) fn run(
    kind: Kind,
    upstream: SocketAddr,
    folder: &Path,
    cpu: Option<usize>,
) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(cpu) = cpu {
        cpu::pin(cpu)?;
    }
    let config = folder.join(kind.config_name());
    let mut command = match kind {
        Kind::Straightline => {
            let proxy = Proxy::builder().upstream(upstream.to_string()).build()?;
            let server = HttpServer::builder().bind("127.0.0.1:0").workers(1).quiet();
            let server = server.build(proxy)?;
            println!("{READY}{}", server.local_addrs()[0]);
            return server.run().map(drop);
        }
        Kind::Nginx => {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).arg("-c").arg(config);
            command
        }
        Kind::Haproxy => {
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(config);
            command
        }
    };
    Err(command.exec())
}

impl Server {
    /// Starts a proxy and waits until it listens.
    pub(super) fn start(
        kind: Kind,
        upstream: SocketAddr,
        folder: &Path,
        cpu: Option<usize>,
    ) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve-proxy").arg(kind.to_string()).arg(upstream.to_string()).arg(folder);
        if let Some(cpu) = cpu {
            command.arg("--cpu").arg(cpu.to_string());
        }
        let started = match kind {
            Kind::Straightline => ServerProcess::start(&mut command).map(|process| {
                let address = process.address();
                Self { kind, process: Running::Ours(process), address }
            }),
            Kind::Nginx | Kind::Haproxy => Self::start_other(kind, &mut command, upstream, folder),
        };
        started
            .map_err(|error| io::Error::new(error.kind(), format!("{kind} did not start: {error}")))
    }

    fn start_other(
        kind: Kind,
        command: &mut Command,
        upstream: SocketAddr,
        folder: &Path,
    ) -> io::Result<Self> {
        // A port that was free a moment ago: these programs cannot say which one they took.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let config = match kind {
            Kind::Haproxy => haproxy_config(address, upstream),
            Kind::Nginx | Kind::Straightline => nginx_config(folder, address, upstream),
        };
        fs::write(folder.join(kind.config_name()), config)?;
        let mut process = KillOnDrop(command.spawn()?);
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.0.try_wait()? {
                return Err(io::Error::other(format!("{status}; is it installed?")));
            }
            if begun.elapsed() > START_TIME_MAX {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not listen"));
            }
            thread::sleep(LOOK_PAUSE);
        }
        Ok(Self { kind, process: Running::Other(process), address })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn cpu_time(&self) -> io::Result<Duration> {
        cpu::time_used(match &self.process {
            Running::Ours(process) => process.id(),
            Running::Other(process) => process.0.id(),
        })
    }
}

/// The configuration of nginx: connections that are kept, and the fields that this project's proxy
/// writes by default.
fn nginx_config(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1;
pid {folder}/nginx-proxy.pid; error_log {folder}/nginx-proxy.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_body_temp_path {folder}/proxy-b; proxy_temp_path {folder}/proxy-p;
  fastcgi_temp_path {folder}/proxy-f; uwsgi_temp_path {folder}/proxy-u;
  scgi_temp_path {folder}/proxy-s;
  upstream one {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen {address} backlog=4096;
    location / {{
      proxy_pass http://one;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $http_host;
      proxy_set_header Forwarded 'for=$remote_addr;host=\"$http_host\";proto=$scheme';
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Via '1.1 nginx';
      proxy_pass_header Date;
      proxy_max_temp_file_size 0;
    }}
  }}
}}
"
    )
}

/// The same for `HAProxy`.
fn haproxy_config(address: SocketAddr, upstream: SocketAddr) -> String {
    format!(
        "global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  http-reuse always
frontend one
  bind {address}
  default_backend two
backend two
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Host %[req.hdr(Host)]
  http-request set-header X-Forwarded-Proto http
  http-request set-header Via '1.1 haproxy'
  server only {upstream} pool-max-conn 128
"
    )
}

impl Kind {
    fn config_name(self) -> String {
        format!("{self}-proxy.conf")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Straightline => "straightline",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        })
    }
}

/// Arbitrary: a hundred times what it takes.
const START_TIME_MAX: Duration = Duration::from_secs(30);

const LOOK_PAUSE: Duration = Duration::from_millis(20);
