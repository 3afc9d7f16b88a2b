//! The servers as processes: one each, so that the CPU time and the memory of one contain nothing
//! else.

use std::env;
use std::fmt::Display;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use straightline_harness::{KillOnDrop, ServerProcess};

use crate::cpu;

/// A running server of some kind. It ends when this is dropped.
pub(crate) struct Server<K> {
    kind: K,
    process: Running,
    address: SocketAddr,
}

enum Running {
    /// It prints where it listens.
    Telling(ServerProcess),
    Silent(KillOnDrop),
}

/// The command that is one of this program's servers.
pub(crate) fn command(name: &str, kind: impl Display, cpu: Option<usize>) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(name);
    // The server pins itself before it starts a thread: pinning moves no thread that runs already.
    if let Some(cpu) = cpu {
        command.arg("--cpu").arg(cpu.to_string());
    }
    command.arg(kind.to_string());
    Ok(command)
}

impl<K: Copy + Display> Server<K> {
    /// Starts a server that prints where it listens, and waits for that.
    pub(crate) fn start(kind: K, command: &mut Command) -> io::Result<Self> {
        let process = ServerProcess::start(command).map_err(|error| did_not_start(kind, &error))?;
        Ok(Self { kind, address: process.address(), process: Running::Telling(process) })
    }

    /// Starts a server that cannot say where it listens, and waits until that is the address.
    pub(crate) fn start_at(
        kind: K,
        address: SocketAddr,
        command: &mut Command,
    ) -> io::Result<Self> {
        match wait_for(address, command) {
            Ok(process) => Ok(Self { kind, process: Running::Silent(process), address }),
            Err(error) => Err(did_not_start(kind, &error)),
        }
    }

    pub(crate) fn kind(&self) -> K {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        cpu::time_used(self.id()).map_err(|error| {
            io::Error::new(error.kind(), format!("no CPU time of {}: {error}", self.kind))
        })
    }

    /// How many KiB of the process are resident.
    pub(crate) fn resident_kib(&self) -> io::Result<u64> {
        self.status_kib("VmRSS:")
    }

    /// The same once the server has done what it does after it was busy.
    pub(crate) fn settled_kib(&self) -> io::Result<u64> {
        thread::sleep(SETTLE_TIME);
        self.resident_kib()
    }

    /// How many KiB of the process were resident at most.
    #[cfg(feature = "peers")]
    pub(crate) fn peak_kib(&self) -> io::Result<u64> {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let value = status.lines().find_map(|line| line.strip_prefix(name));
        let value = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
        value.ok_or_else(|| io::Error::other(format!("no {name} of {}", self.kind)))
    }

    /// The number of the process.
    pub(crate) fn id(&self) -> u32 {
        match &self.process {
            Running::Telling(process) => process.id(),
            Running::Silent(process) => process.0.id(),
        }
    }
}

/// A port that was free a moment ago, for a server that cannot say which one it took.
pub(crate) fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Raises the limit on descriptors of this process, and of those that are started from now on.
pub(crate) fn raise_descriptor_limit() -> io::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn wait_for(address: SocketAddr, command: &mut Command) -> io::Result<KillOnDrop> {
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
    Ok(process)
}

fn did_not_start(kind: impl Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{kind} did not start: {error}"))
}

/// Arbitrary: a hundred times what it takes.
const START_TIME_MAX: Duration = Duration::from_secs(30);

const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// Idle stacks go back to the system after a tenth of a second, some at a time.
const SETTLE_TIME: Duration = Duration::from_millis(1_500);
