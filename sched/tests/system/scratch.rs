//! A folder for one test, and what its tests wait for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Removed at its drop.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-system-{}-{number}", process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new FIFO.
    pub(crate) fn fifo(&self) -> PathBuf {
        let path = self.join("fifo");
        let made = Command::new("mkfifo").arg(&path).status().expect("there is `mkfifo`");
        assert!(made.success());
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Waits, on a thread, for a change that the system makes without a notification.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(30), "not in 30 s: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether there is a process of that number that is not a zombie.
pub(crate) fn is_running(process: u32) -> bool {
    let state = Command::new("ps").args(["-o", "stat=", "-p", &process.to_string()]).output();
    let state = state.expect("there is `ps`").stdout;
    !state.is_empty() && !state.starts_with(b"Z")
}
