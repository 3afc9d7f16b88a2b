//! The configurations of nginx and `HAProxy`: no log of requests, connections that stay open, and
//! for small responses a fixed text.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::setup::Setup;
use crate::compare::folder;
use crate::compare::mode::Mode;
use crate::compare::peer::Peer;
use crate::serve::{BODY, PATH};

/// Writes the configuration of a server that needs one.
pub(in crate::compare) fn write(peer: Peer, setup: &Setup<'_>) -> io::Result<()> {
    match peer {
        Peer::Nginx => fs::write(path(peer, setup), nginx(setup)),
        Peer::Haproxy => fs::write(path(peer, setup), haproxy(setup)),
        _ => Ok(()),
    }
}

pub(super) fn path(peer: Peer, setup: &Setup<'_>) -> PathBuf {
    let (mode, threads) = (setup.mode, setup.threads);
    setup.folder.join(format!("{peer}-{mode}-{threads}.conf"))
}

/// A process without a master, which is one thread.
fn nginx(setup: &Setup<'_>) -> String {
    let (port, folder) = (setup.port, setup.folder.display());
    let name = format!("nginx-{}", setup.mode);
    let (tls, certificate) = match setup.mode {
        Mode::Tls => (
            " ssl",
            format!(
                "ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.3; ssl_session_cache off; ssl_session_tickets on;"
            ),
        ),
        _ => ("", String::new()),
    };
    let site = folder::site(setup.folder);
    let site = site.display();
    format!(
        "daemon off; master_process off; worker_processes 1;
pid {folder}/{name}.pid; error_log {folder}/{name}.log;
events {{ worker_connections 19000; }}
http {{
  access_log off; sendfile on; tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout 3600s; reset_timedout_connection on;
  client_body_temp_path {folder}/{name}-b; proxy_temp_path {folder}/{name}-p;
  fastcgi_temp_path {folder}/{name}-f; uwsgi_temp_path {folder}/{name}-u;
  scgi_temp_path {folder}/{name}-s;
  server {{
    listen 127.0.0.1:{port}{tls} backlog=4096;
    {certificate}
    default_type text/plain;
    location = {PATH} {{ return 200 \"{BODY}\"; }}
    location /static/ {{ alias {site}/; }}
  }}
}}
"
    )
}

/// `HAProxy` counts two descriptors for each connection that it may have, and does not start where
/// a process may open fewer. Here it needs one, because it has no upstream.
fn haproxy(setup: &Setup<'_>) -> String {
    let (threads, port, folder) = (setup.threads, setup.port, setup.folder.display());
    let tls = match setup.mode {
        Mode::Tls => format!(" ssl crt {folder}/both.pem ssl-min-ver TLSv1.3"),
        _ => String::new(),
    };
    format!(
        "global
  nbthread {threads}
  maxconn 14000
  no strict-limits
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout http-request 60s
frontend one
  bind 127.0.0.1:{port}{tls} backlog 4096
  http-request return status 200 content-type text/plain string \"{BODY}\" if {{ path {PATH} }}
"
    )
}
