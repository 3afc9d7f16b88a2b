//! A PostgreSQL server that a test starts, kills and starts again.
//!
//! It refuses to run as root, so it runs as another user then. Its files and its Unix socket are in
//! a folder of its own.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for what should take milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. It is stopped, and its folder removed, when this is dropped.
pub(crate) struct Server {
    folder: PathBuf,
    /// Where it listens beside its Unix socket.
    port: Option<u16>,
    settings: Vec<String>,
    child: Child,
}

impl Server {
    /// A server that listens on a Unix socket alone.
    pub(crate) fn start() -> Self {
        Self::start_with(false, |_| Vec::new())
    }

    /// As [`start`](Self::start), and on a port of the loopback interface. `prepare` makes files in
    /// its folder, and returns settings.
    pub(crate) fn start_on_a_port(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        Self::start_with(true, prepare)
    }

    fn start_with(on_a_port: bool, prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("straightline-db-{}-{number}", std::process::id());
        let folder = env::temp_dir().join(folder);
        fs::create_dir(&folder).expect("a new folder");
        make_data(&folder);
        let settings = prepare(&folder);
        // Another process may have taken the port: the server says so by its end, and the next
        // port is tried.
        let first = 20_000 + std::process::id() % 20_000;
        for port in first.. {
            let port = on_a_port.then(|| u16::try_from(port).expect("one of them is free"));
            let child = spawn(&folder, port, &settings);
            let (folder, settings) = (folder.clone(), settings.clone());
            let mut server = Self { folder, port, settings, child };
            if server.wait() {
                return server;
            }
            assert!(on_a_port, "the server does not start: {}", server.log());
            server.folder = PathBuf::new(); // it is used again
        }
        unreachable!("there is no last port");
    }

    /// Where its Unix socket is, as an address of a database.
    pub(crate) fn address(&self) -> String {
        format!("host={} user=tester dbname=postgres", self.folder.display())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port.expect("it listens on a port")
    }

    /// Ends it as a power failure does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is a child");
        self.child.wait().expect("it is a child");
    }

    /// Starts a server that was killed. Its old processes may still be there for a moment.
    pub(crate) fn start_again(&mut self) {
        let begin = Instant::now();
        loop {
            self.child = spawn(&self.folder, self.port, &self.settings);
            if self.wait() {
                return;
            }
            assert!(begin.elapsed() < PATIENCE, "the server does not start: {}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether the server starts.
    fn wait(&mut self) -> bool {
        let begin = Instant::now();
        loop {
            let mut ask = installed("pg_isready");
            ask.arg("--quiet").arg("--host").arg(&self.folder);
            ask.args(["--port", &self.port.unwrap_or(5432).to_string()]);
            if ask.status().expect("pg_isready runs").success() {
                return true;
            }
            if self.child.try_wait().expect("it is a child").is_some() {
                return false;
            }
            assert!(begin.elapsed() < PATIENCE, "the server does not start: {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has printed.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At once, with all its processes; the child alone would leave them to themselves.
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-s", "QUIT", &pid]).stderr(Stdio::null()).status();
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if !self.folder.as_os_str().is_empty() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Makes the folder `data` of a server. `initdb` takes more than a second, so the first one is kept
/// beside the programs, and copied.
fn make_data(folder: &Path) {
    let data = folder.join("data");
    let version = installed("postgres").arg("--version").output().expect("postgres runs").stdout;
    let version = String::from_utf8_lossy(&version).split_whitespace().nth(2).map(str::to_owned);
    let user = if is_root() { "other" } else { "own" };
    let kept = format!("postgres-{}-{user}", version.expect("a version"));
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(kept);
    if kept.exists() {
        copy(&kept, &data);
        give(folder);
        return;
    }
    let mut initdb = unprivileged(installed("initdb"), folder);
    initdb.args(["--auth=trust", "--username=tester", "--no-sync", "--encoding=UTF8"]);
    initdb.arg("--pgdata").arg(&data).stdout(Stdio::null());
    assert!(initdb.status().expect("initdb runs").success());
    // Another test may be quicker; then this copy is not needed.
    let mine = kept.with_file_name(folder.file_name().expect("a name"));
    copy(&data, &mine);
    if fs::rename(&mine, &kept).is_err() {
        let _ = fs::remove_dir_all(&mine);
    }
}

/// Copies a folder, with the owners of its files.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.expect("cp runs").success());
}

fn spawn(folder: &Path, port: Option<u16>, settings: &[String]) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"));
    let log = log.expect("a file");
    let mut command = unprivileged(installed("postgres"), folder);
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    let listen = if port.is_some() { "127.0.0.1" } else { "" };
    command.args(["-p", &port.unwrap_or(5432).to_string(), "-h", listen]);
    command.args(["-c", "fsync=off", "-c", "log_min_messages=warning"]);
    for setting in settings {
        command.args(["-c", setting]);
    }
    command.stdout(Stdio::null()).stderr(log).spawn().expect("postgres runs")
}

/// A command of PostgreSQL. Debian keeps some of them in folders of their own.
fn installed(name: &str) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions
        .map(|version| version.path().join("bin"))
        .chain(env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|path| path.exists());
    Command::new(found.unwrap_or_else(|| panic!("no {name}: install the package postgresql")))
}

/// Gives the folder to a command that refuses to run as root.
fn unprivileged(mut command: Command, folder: &Path) -> Command {
    if is_root() {
        give(folder);
        command.uid(WITHOUT_RIGHTS).gid(WITHOUT_RIGHTS);
    }
    command.current_dir(folder);
    command
}

/// Gives a file or a folder to the user that the server runs as.
pub(crate) fn give(path: &Path) {
    if is_root() {
        chown(path, Some(WITHOUT_RIGHTS), Some(WITHOUT_RIGHTS)).expect("the file is ours");
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("this process").uid() == 0
}

/// The user without rights, on every system that the tests run on.
const WITHOUT_RIGHTS: u32 = 65_534;
