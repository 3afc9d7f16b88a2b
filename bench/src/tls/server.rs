//! The servers as processes.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use straightline_harness::{KillOnDrop, ServerProcess};

use super::folder::Folder;
use super::plan::Kind;
use super::serve::{NGINX_CONFIG, WHERE_HTTPS_IS, nginx_config};
use crate::cpu;

/// A running server. It ends when this is dropped.
pub(super) struct Server {
    kind: Kind,
    process: Running,
    plain: SocketAddr,
    https: SocketAddr,
}

enum Running {
    Ours(ServerProcess),
    Nginx(KillOnDrop),
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(super) fn start(kind: Kind, folder: &Folder, cpu: Option<usize>) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve-tls").arg(kind.as_str()).arg(folder.path());
        if let Some(cpu) = cpu {
            command.arg("--cpu").arg(cpu.to_string());
        }
        let started = match kind {
            Kind::Nginx => Self::start_nginx(&mut command, folder),
            Kind::AwsLc | Kind::MbedTls => Self::start_ours(kind, &mut command),
        };
        started
            .map_err(|error| io::Error::new(error.kind(), format!("{kind} did not start: {error}")))
    }

    fn start_ours(kind: Kind, command: &mut Command) -> io::Result<Self> {
        let process = ServerProcess::start(command)?;
        let plain = process.address();
        let mut stream = TcpStream::connect(plain)?;
        write!(stream, "GET {WHERE_HTTPS_IS} HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let https = text.rsplit('\n').next().and_then(|address| address.parse().ok());
        let https = https.ok_or_else(|| io::Error::other(format!("no address in {text:?}")))?;
        Ok(Self { kind, process: Running::Ours(process), plain, https })
    }

    fn start_nginx(command: &mut Command, folder: &Folder) -> io::Result<Self> {
        let (plain, https) = (free_port()?, free_port()?);
        let config = nginx_config(folder.path(), plain.port(), https.port());
        fs::write(folder.path().join(NGINX_CONFIG), config)?;
        let mut process = KillOnDrop(command.spawn()?);
        let begun = Instant::now();
        while TcpStream::connect(https).is_err() {
            if let Some(status) = process.0.try_wait()? {
                return Err(io::Error::other(format!("{status}; is nginx installed?")));
            }
            if begun.elapsed() > START_TIME_MAX {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not listen"));
            }
            thread::sleep(LOOK_PAUSE);
        }
        Ok(Self { kind: Kind::Nginx, process: Running::Nginx(process), plain, https })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it serves without TLS.
    pub(super) fn plain(&self) -> SocketAddr {
        self.plain
    }

    pub(super) fn https(&self) -> SocketAddr {
        self.https
    }

    pub(super) fn cpu_time(&self) -> io::Result<Duration> {
        cpu::time_used(self.id())
    }

    /// How many KiB of the process are resident.
    pub(super) fn resident_kib(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kib.ok_or_else(|| io::Error::other(format!("no VmRSS of {}", self.kind)))
    }

    fn id(&self) -> u32 {
        match &self.process {
            Running::Ours(process) => process.id(),
            Running::Nginx(process) => process.0.id(),
        }
    }
}

/// Raises the limit on descriptors, also of the servers that are started from now on.
pub(super) fn allow_descriptors() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// A port that was free a moment ago: nginx cannot say which one it took.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Arbitrary: a hundred times what it takes.
const START_TIME_MAX: Duration = Duration::from_secs(30);

const LOOK_PAUSE: Duration = Duration::from_millis(20);
