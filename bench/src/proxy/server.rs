//! The proxies as processes: one thread each, without a log of requests, all in front of the same
//! upstream.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ::straightline::Server as HttpServer;
use ::straightline::proxy::Proxy;
use clap::ValueEnum;
use straightline_harness::READY;

use crate::go;
use crate::serve;
use crate::server::{self, Server};

/// Which proxy.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This project
    Straightline,
    /// nginx, which has to be installed
    Nginx,
    /// `HAProxy`, which has to be installed
    Haproxy,
    /// `ReverseProxy` of Go's `net/http/httputil`
    Go,
}

/// Is a proxy until the process is killed, which also happens when the parent ends.
pub(crate) fn run(
    kind: Kind,
    upstream: SocketAddr,
    folder: &Path,
    cpu: Option<usize>,
) -> io::Result<()> {
    serve::begin(cpu)?;
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
        Kind::Go => {
            let mut command = go::command(folder);
            command.arg("proxy").arg(upstream.to_string());
            command
        }
    };
    Err(command.exec())
}

/// Starts a proxy and waits until it listens.
pub(super) fn start(
    kind: Kind,
    upstream: SocketAddr,
    folder: &Path,
    cpu: Option<usize>,
) -> io::Result<Server<Kind>> {
    let mut command = server::command("serve-proxy", kind, cpu)?;
    command.arg(upstream.to_string()).arg(folder);
    let address = server::free_port()?;
    let config = match kind {
        Kind::Straightline | Kind::Go => return Server::start(kind, &mut command),
        Kind::Nginx => nginx_config(folder, address, upstream),
        Kind::Haproxy => haproxy_config(address, upstream),
    };
    fs::write(folder.join(kind.config_name()), config)?;
    Server::start_at(kind, address, &mut command)
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
            Self::Go => "go",
        })
    }
}
