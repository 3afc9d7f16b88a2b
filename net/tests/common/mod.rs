//! The helpers of these tests, and those that they share with the tests of the scheduler.

// Each test program compiles a copy of its own, and no program uses all helpers.
#![allow(dead_code, unused_imports)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use straightline_net::{TcpListener, TcpStream};

#[path = "../../../sched/tests/common/mod.rs"]
mod of_sched;

pub(crate) use of_sched::*;

/// A client and the server's side of its connection.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("the socket is bound"));
    (client.expect("the listener is open"), listener.accept().expect("the client").0)
}

/// Bytes with a long period, so that a lost, doubled or moved piece is noticed.
pub(crate) fn pattern(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251 + index / 251 % 13).to_le_bytes()[0]).collect()
}

/// A path for a socket of the test. The destructor removes the file, if it exists.
pub(crate) struct SocketPath(PathBuf);

impl SocketPath {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(env::temp_dir().join(format!("straightline-net-{}-{number}", process::id())))
    }
}

impl AsRef<Path> for SocketPath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
