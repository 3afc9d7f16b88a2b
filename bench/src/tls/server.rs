//! The servers as processes.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::folder::Folder;
use super::plan::Kind;
use super::serve::{NGINX_CONFIG, WHERE_HTTPS_IS, nginx_config};
use crate::server;

/// A running server. It ends when this is dropped.
pub(super) struct Server {
    process: server::Server<Kind>,
    plain: SocketAddr,
    https: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(super) fn start(kind: Kind, folder: &Folder, cpu: Option<usize>) -> io::Result<Self> {
        let mut command = server::command("serve-tls", kind.as_str(), cpu)?;
        command.arg(folder.path());
        if kind == Kind::Nginx {
            let (plain, https) = (server::free_port()?, server::free_port()?);
            let config = nginx_config(folder.path(), plain.port(), https.port());
            fs::write(folder.path().join(NGINX_CONFIG), config)?;
            let process = server::Server::start_at(kind, https, &mut command)?;
            return Ok(Self { process, plain, https });
        }
        let process = server::Server::start(kind, &mut command)?;
        let plain = process.address();
        let mut stream = TcpStream::connect(plain)?;
        write!(stream, "GET {WHERE_HTTPS_IS} HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let https = text.rsplit('\n').next().and_then(|address| address.parse().ok());
        let https = https.ok_or_else(|| io::Error::other(format!("no address in {text:?}")))?;
        Ok(Self { process, plain, https })
    }

    pub(super) fn kind(&self) -> Kind {
        self.process.kind()
    }

    /// Where it serves without TLS.
    pub(super) fn plain(&self) -> SocketAddr {
        self.plain
    }

    pub(super) fn https(&self) -> SocketAddr {
        self.https
    }

    pub(super) fn cpu_time(&self) -> io::Result<Duration> {
        self.process.cpu_time()
    }

    /// How many KiB of the process are resident once it has done what it does after a response.
    pub(super) fn settled_kib(&self) -> io::Result<u64> {
        self.process.settled_kib()
    }
}
