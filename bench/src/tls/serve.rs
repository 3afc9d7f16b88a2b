//! The servers with TLS: each has one thread and serves the same without TLS, too.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ::straightline::tls::{TlsConfig, TlsProvider};
use ::straightline::{IntoResponse, Request, Response, Server, StatusCode};
use straightline_harness::READY;

use super::folder::{CERTIFICATE, FILE, FILE_BYTES, KEY};
use super::plan::Kind;
use crate::serve::{self, ANY_PORT, BODY, PATH};

/// Is a server until the process is killed, which also happens when the parent ends. `folder` has
/// the files of the server.
pub(crate) fn run(kind: Kind, folder: &Path, cpu: Option<usize>) -> io::Result<()> {
    serve::begin(cpu)?;
    match kind {
        Kind::AwsLc => straightline(TlsProvider::AwsLc, folder),
        Kind::MbedTls => straightline(TlsProvider::MbedTls, folder),
        Kind::Nginx => {
            let config = folder.join(NGINX_CONFIG);
            Err(Command::new("nginx").arg("-p").arg(folder).arg("-c").arg(config).exec())
        }
    }
}

fn straightline(provider: TlsProvider, folder: &Path) -> io::Result<()> {
    let config = TlsConfig::builder()
        .provider(provider)
        .certificate_files(folder.join(CERTIFICATE), folder.join(KEY))
        .build()?;
    let file = folder.join(FILE);
    let memory = bytes(FILE_BYTES)?;
    let answer = move |request: &mut Request| answer(request, &file, memory);
    let https = Server::builder().bind(ANY_PORT).workers(1).quiet().tls(config).build(answer)?;
    let address = https.local_addrs()[0].to_string();
    let plain = move |request: &mut Request| match request.path() {
        PATH => BODY.into_response(),
        WHERE_HTTPS_IS => address.clone().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    };
    let server = Server::builder().bind(ANY_PORT).workers(1).quiet().build(plain)?;
    println!("{READY}{}", server.local_addrs()[0]);
    server.also(https)?.run()?;
    Ok(())
}

fn answer(request: &mut Request, file: &PathBuf, memory: &'static [u8]) -> io::Result<Response> {
    Ok(match request.path() {
        PATH => BODY.into_response(),
        "/file" => Response::file(File::open(file)?)?,
        "/memory" => memory.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
}

/// Zeros that live as long as the process.
fn bytes(count: u64) -> io::Result<&'static [u8]> {
    let count = usize::try_from(count).map_err(io::Error::other)?;
    Ok(Vec::leak(vec![0; count]))
}

/// The configuration of nginx: what this project's server does by default, and nothing that costs
/// more than that.
pub(super) fn nginx_config(folder: &Path, http: u16, https: u16) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 20000; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; open_file_cache max=10;
  keepalive_requests 1000000000; keepalive_timeout 3600s; reset_timedout_connection on;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{https} ssl backlog=4096;
    ssl_certificate {folder}/{CERTIFICATE}; ssl_certificate_key {folder}/{KEY};
    ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache off; ssl_session_tickets on;
    default_type text/plain;
    location = {PATH} {{ return 200 \"{BODY}\"; }}
    location = /file {{ root {folder}; }}
    location = /memory {{ alias {folder}/{FILE}; }}
  }}
}}
"
    )
}

/// The name of nginx's configuration in the folder.
pub(super) const NGINX_CONFIG: &str = "nginx.conf";

/// The path that tells the address of the server with TLS, on the one without.
pub(super) const WHERE_HTTPS_IS: &str = "/https";
