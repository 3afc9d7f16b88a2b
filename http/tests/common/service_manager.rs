//! A service manager, as far as a service sees it: the socket that receives its notifications.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test program uses only a part

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, process};

/// The socket of a service manager, with a path of its own.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ServiceManager {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("straightline-manager-{}-{number}.sock", process::id());
        let path = env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).expect("a path of our own");
        Self { socket, path }
    }

    /// With a socket that has an abstract name, which begins with `@` for a service.
    #[cfg(target_os = "linux")]
    pub fn with_abstract_name() -> Self {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("straightline-manager-{}", process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name);
        let socket = UnixDatagram::bind_addr(&address.expect("a name")).expect("a free name");
        Self { socket, path: PathBuf::from(format!("@{name}")) }
    }

    /// The value of `NOTIFY_SOCKET`.
    pub fn address(&self) -> &str {
        self.path.to_str().expect("a path of letters")
    }

    /// The next message.
    pub fn receive(&self) -> String {
        self.receive_within(Duration::from_secs(60)).expect("a message")
    }

    /// The next message; `None` if there is none in that time.
    pub fn receive_within(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time)).expect("a timeout");
        let mut buffer = [0; 4096];
        match self.socket.recv(&mut buffer) {
            Ok(count) => Some(String::from_utf8(buffer[..count].to_vec()).expect("text")),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// The next message that is not one of the watchdog's.
    pub fn receive_state(&self) -> String {
        loop {
            let message = self.receive();
            if message != WATCHDOG {
                return message;
            }
        }
    }

    /// Waits until the service is ready; returns the address that it says it serves on.
    pub fn wait_for_ready(&self) -> String {
        loop {
            let message = self.receive_state();
            if let Some(rest) = message.strip_prefix("READY=1\nSTATUS=serving on ") {
                return rest.trim_end().to_owned();
            }
        }
    }
}

impl Drop for ServiceManager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

pub const WATCHDOG: &str = "WATCHDOG=1\n";
