//! A server as a process: it is started, it listens, and it is killed when it is dropped.
//!
//! Every server of the benchmarks and the trials prints the same first line: [`READY`], or
//! [`READY_TLS`], and its address.

use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

/// A server that listens. The process is killed when this is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: KillOnDrop,
    address: SocketAddr,
}

/// A child process that is killed when this is dropped.
#[derive(Debug)]
pub struct KillOnDrop(pub Child);

/// The beginning of the first line that a server prints. Its address follows.
pub const READY: &str = "listening on http://";

/// The same for a server that speaks TLS.
pub const READY_TLS: &str = "listening on https://";

impl ServerProcess {
    /// Starts a server, with nothing on its standard input, and waits until it listens.
    ///
    /// # Errors
    ///
    /// If the process cannot be started, or if it does not print the line within a minute.
    pub fn start(command: &mut Command) -> io::Result<Self> {
        // From here on the guard exists, and no failure leaves the process behind.
        let mut child = KillOnDrop(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let stdout = child.0.stdout.take().ok_or_else(|| io::Error::other("no pipe for stdout"))?;
        let (line, stdout) = first_line(stdout)?;
        // The pipe stays open: the server may print more.
        child.0.stdout = Some(stdout);
        let line = line.trim_end();
        let address = line.strip_prefix(READY).or_else(|| line.strip_prefix(READY_TLS));
        let address = address.and_then(|text| text.parse().ok());
        let address =
            address.ok_or_else(|| io::Error::other(format!("the server printed {line:?}")))?;
        Ok(Self { child, address })
    }

    /// The address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// Sends a signal to the process.
    ///
    /// # Errors
    ///
    /// If the process has ended and its status has been read.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child.0), signal)?)
    }

    /// The exit status of the process, if it has ended.
    ///
    /// # Errors
    ///
    /// As `Child::try_wait`.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.0.try_wait()
    }

    /// Waits until the process has ended, and blocks the thread meanwhile.
    ///
    /// # Errors
    ///
    /// As `Child::wait`.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.0.wait()
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for the first line that a server prints, and returns it with the pipe.
fn first_line(stdout: ChildStdout) -> io::Result<(String, ChildStdout)> {
    let patience = Timespec { tv_sec: START_SECONDS_MAX, tv_nsec: 0 };
    let mut ready = [PollFd::new(&stdout, PollFlags::IN)];
    if poll(&mut ready, Some(&patience))? == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "the server prints nothing"));
    }
    let mut line = String::new();
    let mut reader = BufReader::new(stdout);
    reader.read_line(&mut line)?;
    Ok((line, reader.into_inner()))
}

/// Arbitrary: ten times the start of the slowest server, under valgrind on a busy machine.
const START_SECONDS_MAX: i64 = 60;
