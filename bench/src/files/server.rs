//! The servers as processes: one thread each, without an access log.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ::straightline::Server as HttpServer;
use ::straightline::web::StaticFiles;
use clap::ValueEnum;
use straightline_harness::READY;

use super::folder::{Folder, SITE};
use crate::serve;
use crate::server::{self, Server};

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

/// Is a server until the process is killed, which also happens when the parent ends.
pub(crate) fn run(kind: Kind, folder: &Path, cpu: Option<usize>) -> io::Result<()> {
    serve::begin(cpu)?;
    if kind == Kind::Straightline {
        let files = StaticFiles::new(folder.join(SITE));
        let server = HttpServer::builder().bind("127.0.0.1:0").workers(1).quiet().build(files)?;
        println!("{READY}{}", server.local_addrs()[0]);
        return server.run().map(drop);
    }
    let config = folder.join(kind.config_name());
    Err(Command::new("nginx").arg("-p").arg(folder).arg("-c").arg(config).exec())
}

/// Starts a server and waits until it listens.
pub(crate) fn start(kind: Kind, folder: &Folder, cpu: Option<usize>) -> io::Result<Server<Kind>> {
    let mut command = server::command("serve-files", kind, cpu)?;
    command.arg(folder.path());
    if kind == Kind::Straightline {
        return Server::start(kind, &mut command);
    }
    let address = server::free_port()?;
    let config = nginx_config(kind, folder.path(), address.port());
    fs::write(folder.path().join(kind.config_name()), config)?;
    Server::start_at(kind, address, &mut command)
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
