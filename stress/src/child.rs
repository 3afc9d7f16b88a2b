//! The servers as processes: one each, so that the CPU time of one is that of nobody else.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cpu;
use crate::serve::{Kind, READY};

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    kind: Kind,
    process: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(kind: Kind, cpu: Option<usize>) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve").arg(kind.to_string());
        // It pins itself before it starts a thread: one that runs already would not follow.
        if let Some(cpu) = cpu {
            command.arg("--cpu").arg(cpu.to_string());
        }
        let process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        // From here on the guard exists, and no failure leaves the process behind.
        let unknown = SocketAddr::from(([0; 4], 0));
        let mut server = Self { kind, process, address: unknown };
        let stdout = server.process.stdout.take();
        server.address = stdout
            .ok_or_else(|| io::Error::other("no pipe to it"))
            .and_then(read_address)
            .map_err(|error| {
                io::Error::new(error.kind(), format!("{kind} did not start: {error}"))
            })?;
        Ok(server)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        cpu::time_used(self.process.id()).map_err(|error| {
            io::Error::new(error.kind(), format!("no CPU time of {}: {error}", self.kind))
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the first line that a server prints.
pub(crate) fn read_address(stdout: ChildStdout) -> io::Result<SocketAddr> {
    let (line, _) = first_line(stdout)?;
    let address = line.trim_end().strip_prefix(READY).and_then(|address| address.parse().ok());
    address.ok_or_else(|| io::Error::other(format!("it said {line:?}")))
}

/// Waits for the first line that a server prints, and gives the pipe back.
pub(crate) fn first_line(stdout: ChildStdout) -> io::Result<(String, ChildStdout)> {
    let patience = Timespec { tv_sec: START_SECONDS_MAX, tv_nsec: 0 };
    let mut ready = [PollFd::new(&stdout, PollFlags::IN)];
    if poll(&mut ready, Some(&patience))? == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "it says nothing"));
    }
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    reader.read_line(&mut line)?;
    Ok((line, reader.into_inner()))
}

/// Arbitrary: ten times what the slowest server here takes on a busy machine, under valgrind.
const START_SECONDS_MAX: i64 = 60;
