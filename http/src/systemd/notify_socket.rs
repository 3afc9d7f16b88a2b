//! The socket of the service manager, and messages to it.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use super::notify_state::NotifyState;

/// Tells the service manager something, in one message. Returns false if the process was not
/// started by a manager that listens (`NOTIFY_SOCKET` is not set): then nothing is sent.
///
/// A server does this by itself, see [`ServerBuilder::systemd`](crate::ServerBuilder::systemd).
///
/// # Blocking
///
/// Blocks the calling thread while the manager's queue is full, for a second at most. Not a yield
/// point.
///
/// # Errors
///
/// `Unsupported` if the address is neither a path nor an abstract name; an error of the system, for
/// example because the manager is gone or reads nothing.
///
/// ```
/// use straightline::systemd::{NotifyState, notify};
///
/// let was_told = notify(&[NotifyState::Status("warming the cache"), NotifyState::Watchdog])?;
/// if !was_told {
///     println!("started by hand");
/// }
/// # std::io::Result::Ok(())
/// ```
pub fn notify(states: &[NotifyState<'_>]) -> io::Result<bool> {
    let Some(socket) = NotifySocket::from_environment()? else { return Ok(false) };
    socket.send_within(&message(states), SEND_TIME)?;
    Ok(true)
}

/// One line for each state.
pub(super) fn message(states: &[NotifyState<'_>]) -> String {
    let mut text = String::new();
    for state in states {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{state}");
    }
    text
}

/// The address of the service manager.
#[derive(Clone, Debug)]
pub(super) struct NotifySocket {
    address: SocketAddr,
}

impl NotifySocket {
    /// `None` if there is no manager that listens.
    pub(super) fn from_environment() -> io::Result<Option<Self>> {
        match env::var_os(NAME) {
            Some(value) if !value.is_empty() => Self::parse(&value).map(Some).map_err(|error| {
                let value = value.display();
                io::Error::new(error.kind(), format!("{NAME} is {value}: {error}"))
            }),
            _ => Ok(None),
        }
    }

    fn parse(value: &OsStr) -> io::Result<Self> {
        let address = match value.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(value)?,
            [b'@', name @ ..] => abstract_address(name)?,
            _ => return Err(unsupported("it is neither a path nor an abstract name")),
        };
        Ok(Self { address })
    }

    /// Sends a message, or fails at once if the queue of the manager is full.
    pub(super) fn try_send(&self, message: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }

    /// Sends a message, and waits for room in the queue.
    pub(super) fn send_within(&self, message: &str, time: Duration) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(time))?;
        socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(unsupported("this system has no abstract names"))
}

fn unsupported(message: &str) -> io::Error {
    io::Error::new(ErrorKind::Unsupported, message)
}

const NAME: &str = "NOTIFY_SOCKET";

/// How long a message may wait for the manager. Arbitrary: the manager reads within milliseconds.
pub(super) const SEND_TIME: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> io::Result<SocketAddr> {
        NotifySocket::parse(OsStr::new(value)).map(|socket| socket.address)
    }

    #[test]
    fn an_address_is_a_path_or_an_abstract_name() {
        let address = parse("/run/systemd/notify").expect("a path");
        assert_eq!(
            address.as_pathname().map(|path| path.to_str()),
            Some(Some("/run/systemd/notify"))
        );
        assert_eq!(parse("@name").is_ok(), cfg!(target_os = "linux"));
        for other in ["vsock:2:1234", "run/notify", "x"] {
            assert_eq!(parse(other).expect_err(other).kind(), ErrorKind::Unsupported);
        }
    }

    #[test]
    fn a_full_queue_is_an_error_at_once() {
        let path = env::temp_dir().join(format!("straightline-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let _manager = UnixDatagram::bind(&path).expect("a path of our own");
        let socket = NotifySocket::parse(path.as_os_str()).expect("a path");
        let error = loop {
            // The manager reads nothing.
            if let Err(error) = socket.try_send("WATCHDOG=1") {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        let error =
            socket.send_within("READY=1", Duration::from_millis(1)).expect_err("it is full");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        std::fs::remove_file(path).expect("it exists");
    }
}
