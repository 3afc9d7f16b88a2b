//! The error of a bind: which address, what the system said, and what that usually means.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use rustix::io::Errno;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// The error of a socket that could not be bound to `address`. It has the kind of `error`, which is
/// its source. An error that has nothing to do with the address stays as it is.
pub(crate) fn cannot_bind(protocol: Protocol, address: SocketAddr, error: io::Error) -> io::Error {
    let of_process = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    if Errno::from_io_error(&error).is_some_and(|errno| of_process.contains(&errno)) {
        return error;
    }
    io::Error::new(error.kind(), BindError { protocol, address, error })
}

#[derive(Debug)]
struct BindError {
    protocol: Protocol,
    address: SocketAddr,
    error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { protocol, address, error } = self;
        let (port, act) = match protocol {
            Protocol::Tcp => ("TCP", "listen on"),
            Protocol::Udp => ("UDP", "bind to"),
        };
        write!(f, "cannot {act} {address}: {error}")?;
        match error.kind() {
            ErrorKind::AddrInUse => write!(
                f,
                "; another process, or another part of this one, has {port} port {} (`ss -{}lnp` \
                 lists it)",
                address.port(),
                if *protocol == Protocol::Tcp { "t" } else { "u" },
            ),
            ErrorKind::AddrNotAvailable => {
                write!(f, "; no network interface of this machine has the address {}", address.ip())
            }
            ErrorKind::PermissionDenied if address.port() < PRIVILEGED => write!(
                f,
                "; ports below {PRIVILEGED} are for the superuser, unless the service manager \
                 opens them (`inherit`)"
            ),
            _ => Ok(()),
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// The first port that needs no privilege (`net.ipv4.ip_unprivileged_port_start` may differ).
const PRIVILEGED: u16 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_process_stays_as_it_is() {
        let error = io::Error::from(Errno::MFILE);
        let error = cannot_bind(Protocol::Udp, ([127, 0, 0, 1], 1).into(), error);
        assert_eq!(error.raw_os_error(), Some(Errno::MFILE.raw_os_error()));
    }

    fn text(address: &str, kind: ErrorKind) -> String {
        let error = cannot_bind(Protocol::Tcp, address.parse().unwrap(), kind.into());
        assert_eq!(error.kind(), kind);
        assert!(error.get_ref().and_then(Error::source).is_some());
        error.to_string()
    }

    #[test]
    fn it_says_what_usually_causes_it() {
        let used = text("127.0.0.1:8080", ErrorKind::AddrInUse);
        assert!(used.starts_with("cannot listen on 127.0.0.1:8080: "), "{used}");
        assert!(used.contains("has TCP port 8080 (`ss -tlnp`"), "{used}");
        let missing = text("[2001:db8::1]:80", ErrorKind::AddrNotAvailable);
        assert!(missing.ends_with("has the address 2001:db8::1"), "{missing}");
        let denied = text("127.0.0.1:80", ErrorKind::PermissionDenied);
        assert!(denied.contains("ports below 1024"), "{denied}");
        assert!(!text("127.0.0.1:8080", ErrorKind::PermissionDenied).contains("1024"));
    }
}
