//! Sample servers as processes.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};

use straightline::testing::{Client, TestResponse};

/// The path of a sample. `cargo test` builds the samples beside the tests, in
/// `target/PROFILE/examples`. If its command line names the targets to test, `cargo build
/// --examples` must run first.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps");
    profile.join("examples").join(name)
}

pub(crate) fn output(name: &str, args: &[&str]) -> Output {
    Command::new(binary(name)).args(args).output().expect("the example is built")
}

/// A running sample server. It is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) line: String,
    /// The stdout of the server after that line.
    pub(crate) stdout: BufReader<ChildStdout>,
    /// The stderr of the server, until a test takes and closes it.
    pub(crate) stderr: Option<BufReader<ChildStderr>>,
}

impl Server {
    pub(crate) fn start(name: &str, args: &[&str]) -> Self {
        Self::start_by(&mut Command::new(binary(name)), args)
    }

    /// As [`start`](Self::start), with a command that becomes the server.
    pub(crate) fn start_by(command: &mut Command, args: &[&str]) -> Self {
        let listens = args.contains(&"--listen");
        let free: &[&str] = if listens { &[] } else { &["--listen", "127.0.0.1:0"] };
        let mut child = command
            .args(free)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example is built");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("a line of text");
        let stderr = child.stderr.take().map(BufReader::new);
        Self { child, line, stdout, stderr }
    }

    pub(crate) fn address(&self) -> &str {
        let address = self
            .line
            .trim_end()
            .strip_prefix("listening on http")
            .and_then(|rest| rest.strip_prefix("s").unwrap_or(rest).strip_prefix("://"));
        address.unwrap_or_else(|| panic!("no address in `{}`", self.line))
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// The response to a GET request of a client of its own.
    pub(crate) fn get(&self, path: &str) -> TestResponse {
        self.client().get(path).send()
    }

    /// Waits for a line on stderr that contains `text`, and returns that line.
    pub(crate) fn wait_for_stderr(&mut self, text: &str) -> String {
        let stderr = self.stderr.as_mut().expect("it is read");
        let mut lines = stderr.lines().map(|line| line.expect("text"));
        lines.find(|line| line.contains(text)).unwrap_or_else(|| panic!("no `{text}` on stderr"))
    }

    /// Stops the server and returns its exit status.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().expect("the server ends")
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
