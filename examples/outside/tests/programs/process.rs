//! Programs as processes, and a client that knows only as much of HTTP as the tests need.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what should take milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// Where it listens, if it is one of the programs.
    pub(crate) address: String,
}

impl Process {
    /// One of the programs, on a free port.
    pub(crate) fn program(name: &str, args: &[&str]) -> Self {
        Self::program_at(name, "127.0.0.1:0", args)
    }

    /// One of the programs, with its standard error in a file.
    pub(crate) fn program_logging(name: &str, log: &str) -> Self {
        let mut command = Command::new(binary(name));
        command.arg("127.0.0.1:0").stderr(fs::File::create(log).expect("a file"));
        Self::listening(name, &mut command)
    }

    pub(crate) fn program_at(name: &str, address: &str, args: &[&str]) -> Self {
        Self::listening(name, Command::new(binary(name)).arg(address).args(args))
    }

    /// Another program with the same contract.
    pub(crate) fn command(name: &str, command: &mut Command) -> Self {
        Self::listening(name, command)
    }

    fn listening(name: &str, command: &mut Command) -> Self {
        let mut process = Self::start(command.stdout(Stdio::piped()));
        let stdout = process.child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line of text");
        let address = line.trim_end().strip_prefix("listening on ");
        address.unwrap_or_else(|| panic!("{name} says {line:?}")).clone_into(&mut process.address);
        process
    }

    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, address: String::new() }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it is a child").is_none()
    }

    /// Ends the process by SIGTERM, which it has to obey with success.
    pub(crate) fn stop(mut self) {
        self.terminate();
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is a child") {
                break status;
            }
            assert!(begin.elapsed() < PATIENCE, "the process does not end");
            thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}");
    }

    /// Asks the process to end, and does not wait for it.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().expect("kill").success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `cargo test` builds the programs beside the tests.
fn binary(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the test's own path");
    let profile = test.parent().and_then(Path::parent).expect("target/PROFILE/deps");
    profile.join(name)
}

/// A command of the system. Debian keeps some of them in folders of their own.
pub(crate) fn installed(name: &str, package: &str) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .chain(versions.map(|version| version.path().join("bin")))
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    Command::new(found.unwrap_or_else(|| panic!("no {name}: install the package {package}")))
}

/// A folder for the files of a test, which goes with this value.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("outside-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    pub(crate) fn is_of_root(&self) -> bool {
        fs::metadata("/proc/self").expect("this process").uid() == 0
    }

    /// Gives the folder to a command that refuses to run as root.
    pub(crate) fn unprivileged(&self, mut command: Command) -> Command {
        if self.is_of_root() {
            chown(&self.0, Some(NOBODY), Some(NOBODY)).expect("the folder is ours");
            command.uid(NOBODY).gid(NOBODY);
        }
        command.current_dir(&self.0);
        command
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The user without rights, on every system that the tests run on.
const NOBODY: u32 = 65_534;

/// A port that is free now. Another process may take it before it is used.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address").port()
}

pub(crate) fn connects(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the program listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    stream
}

/// Sends a request on a new connection and returns the response: its head, and its body.
pub(crate) fn ask(address: &str, request: &str, fields: &str, body: &str) -> (String, String) {
    let mut stream = connect(address);
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n\
         {body}",
        body.len()
    )
    .expect("the program reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the program answers");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("half: {text:?}"));
    (head.to_ascii_lowercase(), body.to_owned())
}

pub(crate) fn get(address: &str, target: &str) -> (String, String) {
    ask(address, &format!("GET {target}"), "", "")
}

/// The status of a head.
pub(crate) fn status(head: &str) -> &str {
    head.split(' ').nth(1).expect("a status line")
}
