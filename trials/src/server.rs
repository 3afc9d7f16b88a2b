//! The server under trial: `playground`, or `https`, as a process of its own.
//!
//! The server is started through this binary (`launch`), which sets the limits that the server
//! inherits, and then becomes the server with `exec`. Otherwise code of ours would have to run
//! between `fork` and `exec`, which would be unsafe.

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};
use straightline::sched;
use straightline_harness::ServerProcess;

use crate::process::Process;

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    process: ServerProcess,
    /// Its stderr: a file without a name, or the reading end of a pipe.
    stderr: File,
}

/// The path of a sample that was built together with this binary.
///
/// # Errors
///
/// `InvalidInput` if the file does not exist.
pub(crate) fn beside_this_binary(sample: &str) -> io::Result<PathBuf> {
    let this = env::current_exe()?;
    existing(this.parent().unwrap_or(Path::new(".")).join("examples").join(sample), sample)
}

/// `path`, if it is a file, which should be that sample.
///
/// # Errors
///
/// `InvalidInput` if the file does not exist.
pub(crate) fn existing(path: PathBuf, sample: &str) -> io::Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    let release = if cfg!(debug_assertions) { "" } else { "--release " };
    let features = if sample == "https" { "--features tls,tls-aws-lc " } else { "" };
    let text = format!(
        "no server at {}; build it: cargo build {release}-p straightline-examples {features}\
         --example {sample}",
        path.display()
    );
    Err(io::Error::new(ErrorKind::InvalidInput, text))
}

/// The limits of the server's process.
#[derive(Clone, Copy, Default)]
pub(crate) struct Bounds {
    pub(crate) descriptors: Option<u64>,
    /// In bytes.
    pub(crate) address_space: Option<u64>,
}

/// Becomes `program`; returns only if that fails.
pub(crate) fn launch(program: &Path, arguments: &[String], bounds: Bounds) -> io::Error {
    // The server ends with this run, however the run ends.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    let bounds = [(Resource::Nofile, bounds.descriptors), (Resource::As, bounds.address_space)];
    for (resource, most) in bounds.into_iter().filter(|(_, most)| most.is_some()) {
        if let Err(error) = setrlimit(resource, Rlimit { current: most, maximum: most }) {
            return error.into();
        }
    }
    Command::new(program).args(arguments).exec()
}

/// Raises the limit on descriptors, for `connections` clients in this process and as many
/// connections in the server, which inherits it.
///
/// # Errors
///
/// If the kernel grants fewer descriptors.
pub(crate) fn make_room(connections: usize) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let needed = (connections + DESCRIPTORS_SPARE) as u64;
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        let text = format!("{connections} clients need {needed} descriptors (ulimit -n)");
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?)
}

impl Server {
    /// Starts the server with these flags and waits until it listens.
    pub(crate) fn start(program: &Path, flags: &[String], bounds: Bounds) -> io::Result<Self> {
        let stderr = nameless_file()?;
        let mut command = command(program, ANY_PORT, flags, bounds)?;
        Self::new(command.stderr(stderr.try_clone()?), stderr)
    }

    /// Starts the server at an address that a server had before.
    pub(crate) fn start_at(
        address: SocketAddr,
        program: &Path,
        flags: &[String],
    ) -> io::Result<Self> {
        let stderr = nameless_file()?;
        let mut command = command(program, address, flags, Bounds::default())?;
        Self::new(command.stderr(stderr.try_clone()?), stderr)
    }

    /// Starts the server with pipes for its output, from which nothing is read.
    pub(crate) fn start_unread(program: &Path, flags: &[String]) -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        let mut command = command(program, ANY_PORT, flags, Bounds::default())?;
        // The memory that a backtrace takes is not the subject of the trial.
        let command = command.env("RUST_BACKTRACE", "0").stderr(writer);
        Self::new(command, File::from(OwnedFd::from(reader)))
    }

    fn new(command: &mut Command, stderr: File) -> io::Result<Self> {
        let process = ServerProcess::start(command).map_err(|error| {
            let text = format!("the server did not start: {error}; {}", beginning_of(&stderr));
            io::Error::new(error.kind(), text)
        })?;
        Ok(Self { process, stderr })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.process.address()
    }

    pub(crate) fn process(&self) -> Process {
        Process::new(self.process.id())
    }

    /// Asks the server to stop (SIGTERM).
    pub(crate) fn terminate(&self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        self.process.signal(signal)
    }

    /// Waits until the process has ended, for at most `bound`.
    pub(crate) fn wait(&mut self, bound: Duration) -> io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        loop {
            let status = self.process.try_wait()?;
            if status.is_some() || begun.elapsed() > bound {
                return Ok(status);
            }
            sched::sleep(EXIT_PAUSE);
        }
    }

    /// Whether the process has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The beginning of the server's stderr.
    pub(crate) fn stderr_text(&self) -> String {
        beginning_of(&self.stderr)
    }
}

/// The server, started through this binary.
fn command(
    program: &Path,
    address: SocketAddr,
    flags: &[String],
    bounds: Bounds,
) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("launch");
    let bounds = [("--descriptors", bounds.descriptors), ("--address-space", bounds.address_space)];
    for (flag, most) in bounds {
        if let Some(most) = most {
            command.arg(flag).arg(most.to_string());
        }
    }
    command.arg("--").arg(program).arg("--listen").arg(address.to_string()).args(flags);
    Ok(command)
}

fn beginning_of(stderr: &File) -> String {
    let mut bytes = [0; STDERR_BYTES];
    let count = stderr.read_at(&mut bytes, 0).unwrap_or(0);
    format!("on stderr: {:?}", String::from_utf8_lossy(&bytes[..count]).trim())
}

/// A file that exists only while a process has it open.
fn nameless_file() -> io::Result<File> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("straightline-trials-{}-{number}", process::id()));
    let file = File::options().read(true).append(true).create_new(true).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

/// The kernel chooses a free port.
const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// For the descriptors that the clients and the server have open besides their connections.
/// Arbitrary: a multiple of their number.
const DESCRIPTORS_SPARE: usize = 100;

/// Short in comparison with every time for which this program waits.
const EXIT_PAUSE: Duration = Duration::from_millis(5);

/// Enough bytes for the first error.
const STDERR_BYTES: usize = 400;
