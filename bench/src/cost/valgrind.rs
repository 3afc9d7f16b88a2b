//! This program, mostly as a server, under one of valgrind's tools.

use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use straightline_harness::ServerProcess;

/// A server that listens. Its process ends when this is dropped.
pub(super) struct Valgrind {
    process: ServerProcess,
    log: Log,
}

/// The file that the tool writes. It is removed when this is dropped.
struct Log(PathBuf);

/// The instructions of a run of this program with these arguments.
pub(super) fn count_instructions(args: &[&str]) -> io::Result<u64> {
    let (mut command, log) = command("callgrind", "--callgrind-out-file=/dev/null", args)?;
    let status = command.status().map_err(in_valgrind)?;
    if !status.success() {
        return Err(io::Error::other(format!("valgrind: {status}")));
    }
    log.number("Collected :")
}

/// This program under one of the tools, and where the tool writes to.
fn command(tool: &str, option: &str, args: &[&str]) -> io::Result<(Command, Log)> {
    let log = env::temp_dir().join(format!("straightline-cost-{}", std::process::id()));
    let log = Log(log);
    let mut command = Command::new("valgrind");
    command
        .arg(format!("--tool={tool}"))
        .arg(option)
        .arg(format!("--log-file={}", log.0.display()))
        .arg(env::current_exe()?)
        .args(args);
    Ok((command, log))
}

#[allow(clippy::needless_pass_by_value)] // so that `map_err` takes it
fn in_valgrind(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("valgrind: {error}"))
}

impl Valgrind {
    pub(super) fn start(tool: &str, option: &str, server: &str) -> io::Result<Self> {
        let (mut command, log) = command(tool, option, &["serve", server])?;
        let process = ServerProcess::start(&mut command).map_err(in_valgrind)?;
        Ok(Self { process, log })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.process.address()
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        self.process.signal(signal)
    }

    /// Ends the server, and returns the number behind `name` in the report that the tool then
    /// writes.
    pub(super) fn end(mut self, name: &str) -> io::Result<u64> {
        self.process.signal(Signal::TERM)?;
        self.process.wait()?;
        self.log.number(name)
    }
}

impl Log {
    /// The number behind `name` in the report.
    fn number(&self, name: &str) -> io::Result<u64> {
        let log = fs::read_to_string(&self.0)?;
        let number = log.lines().find_map(|line| {
            let (_, number) = line.split_once(name)?;
            number.split_whitespace().next()?.replace(',', "").parse().ok()
        });
        number.ok_or_else(|| io::Error::other(format!("no \"{name}\" in valgrind's report")))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // This fails only if the file was never written.
        let _ = fs::remove_file(&self.0);
    }
}
