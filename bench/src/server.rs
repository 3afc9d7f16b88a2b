//! The servers as processes: one each, so that the CPU time of one contains nothing else.

use std::env;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use straightline_harness::ServerProcess;

use crate::cpu;
use crate::serve::Kind;

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    kind: Kind,
    process: ServerProcess,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub(crate) fn start(kind: Kind, cpu: Option<usize>) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("serve").arg(kind.to_string());
        // The server pins itself before it starts a thread: pinning moves no thread that runs
        // already.
        if let Some(cpu) = cpu {
            command.arg("--cpu").arg(cpu.to_string());
        }
        let process = ServerProcess::start(&mut command).map_err(|error| {
            io::Error::new(error.kind(), format!("{kind} did not start: {error}"))
        })?;
        Ok(Self { kind, process })
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.process.address()
    }

    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        cpu::time_used(self.process.id()).map_err(|error| {
            io::Error::new(error.kind(), format!("no CPU time of {}: {error}", self.kind))
        })
    }
}
