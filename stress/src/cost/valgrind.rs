//! The server under a tool of valgrind's, as a process.

use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::child::read_address;

/// A server that listens. It ends when this is dropped.
pub(super) struct Valgrind {
    process: Child,
    pub(super) address: SocketAddr,
    log: PathBuf,
}

impl Valgrind {
    pub(super) fn start(tool: &str, option: &str) -> io::Result<Self> {
        let log = env::temp_dir().join(format!("straightline-cost-{}", std::process::id()));
        let mut process = Command::new("valgrind")
            .arg(format!("--tool={tool}"))
            .arg(option)
            .arg(format!("--log-file={}", log.display()))
            .arg(env::current_exe()?)
            .args(["serve", "straightline"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("valgrind: {error}")))?;
        let stdout = process.stdout.take();
        let unknown = SocketAddr::from(([0; 4], 0));
        // From here on the guard exists, and no failure leaves the process behind.
        let mut server = Self { process, address: unknown, log };
        server.address =
            stdout.ok_or_else(|| io::Error::other("no pipe to it")).and_then(read_address)?;
        Ok(server)
    }

    /// Ends the server, and returns the number behind `name` in what the tool then says.
    pub(super) fn end(mut self, name: &str) -> io::Result<u64> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM)?;
        self.process.wait()?;
        let log = fs::read_to_string(&self.log)?;
        let number = log.lines().find_map(|line| {
            let (_, number) = line.split_once(name)?;
            number.split_whitespace().next()?.replace(',', "").parse().ok()
        });
        number.ok_or_else(|| io::Error::other(format!("no \"{name}\" in what valgrind said")))
    }
}

impl Drop for Valgrind {
    fn drop(&mut self) {
        // These fail only for what is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_file(&self.log);
    }
}
