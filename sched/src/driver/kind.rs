//! The choice of a driver: the program's, then the environment's, then the system's.

use std::env;
use std::fmt;
use std::io;

/// How a shard learns which descriptors are ready. [`Config::driver`](crate::Config::driver) and
/// the environment variable `STRAIGHTLINE_DRIVER` choose.
///
/// The two differ in cost, and in nothing that a program should rely on. [`crate::guide::drivers`]
/// has what each costs, and when to take which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DriverKind {
    /// Linux's epoll, edge-triggered: a descriptor is registered once, and the kernel reports
    /// changes. A wait is one system call. The default on Linux, and not available elsewhere.
    Epoll,
    /// The crate [`polling`](https://docs.rs/polling), oneshot: each wait arms the descriptor anew,
    /// and the kernel then checks what it is ready for. One more system call for each wait of a
    /// fiber. The only driver on systems with kqueue; on Linux it runs on epoll.
    Polling,
}

impl DriverKind {
    /// The kind that the program has chosen; else the environment's; else the system's own.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the environment names an unknown kind, `Unsupported` if this system does
    /// not have it.
    pub(crate) fn resolve(chosen: Option<Self>) -> io::Result<Self> {
        let (kind, source) = match chosen {
            Some(kind) => (kind, "its configuration"),
            None => match Self::of_environment()? {
                Some(kind) => (kind, VARIABLE),
                None => return Ok(Self::OF_THIS_SYSTEM),
            },
        };
        if kind == Self::Epoll && Self::OF_THIS_SYSTEM != Self::Epoll {
            let message =
                format!("straightline: {source} asks for the driver `epoll`, which only Linux has");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        Ok(kind)
    }

    fn of_environment() -> io::Result<Option<Self>> {
        let Some(value) = env::var_os(VARIABLE) else { return Ok(None) };
        match value.to_str() {
            Some("epoll") => Ok(Some(Self::Epoll)),
            Some("polling") => Ok(Some(Self::Polling)),
            _ => {
                let message = format!(
                    "straightline: {VARIABLE} is `{}`; it may be `epoll` or `polling`, or not \
                     set at all",
                    value.display()
                );
                Err(io::Error::new(io::ErrorKind::InvalidInput, message))
            }
        }
    }

    #[cfg(target_os = "linux")]
    const OF_THIS_SYSTEM: Self = Self::Epoll;
    #[cfg(any(target_os = "macos", target_os = "freebsd"))]
    const OF_THIS_SYSTEM: Self = Self::Polling;
}

/// As in `STRAIGHTLINE_DRIVER`.
impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epoll => "epoll",
            Self::Polling => "polling",
        })
    }
}

const VARIABLE: &str = "STRAIGHTLINE_DRIVER";
