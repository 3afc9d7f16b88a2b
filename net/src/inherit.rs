//! Socket activation: listeners that were opened before the process began.
//!
//! A service manager opens the listeners and hands them over. So a service that restarts refuses no
//! client, and a service without privileges can have port 80. The protocol is systemd's
//! `sd_listen_fds(3)`: `LISTEN_FDS` descriptors from 3 on, for the process with the number
//! `LISTEN_PID`, with the names `LISTEN_FDNAMES`.
//!
//! The variables stay as they are, because a program with threads cannot change the environment
//! safely. A child process that inherits them finds that they are not meant for it.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::{OwnedFd, RawFd};
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{FdFlags, fcntl_setfd};

use crate::bound::BoundListener;
use crate::raw_fd;

/// A listener that this process was started with, see [`listeners`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Inherited {
    /// The name that the service manager gave it (`FileDescriptorName=`), if it has one.
    pub name: Option<String>,
    /// The listener itself, which can go to any thread.
    pub listener: BoundListener,
}

/// Takes the listeners that this process was started with, in the manager's order.
///
/// The list is empty without a service manager, and for each call after the first: the first caller
/// owns the listeners. Child processes do not inherit them (close-on-exec). Call it early, before
/// other code could open descriptors behind the manager's back or start a child.
///
/// ```ini
/// # hello.socket
/// [Socket]
/// ListenStream=80
/// ListenStream=/run/hello.sock
/// [Install]
/// WantedBy=sockets.target
///
/// # hello.service, with a stop that takes longer than the drain
/// [Service]
/// ExecStart=/usr/local/bin/hello
/// TimeoutStopSec=45
/// ```
///
/// Not a yield point.
///
/// # Errors
///
/// `InvalidData` when the variables contradict themselves or each other; `InvalidInput` when a
/// descriptor is not a listener; `NotFound` when a descriptor is not open. The message names the
/// variable or the descriptor. All descriptors that were taken are closed then.
///
/// ```
/// use straightline_net::{BoundListener, TcpListener, inherit};
///
/// let mut listeners = Vec::new();
/// for inherited in inherit::listeners()? {
///     match inherited.listener {
///         BoundListener::Tcp(listener) => listeners.push(TcpListener::from_bound(listener)?),
///         _ => eprintln!("not used: {:?}", inherited.name),
///     }
/// }
/// if listeners.is_empty() {
///     listeners.push(TcpListener::bind("127.0.0.1:0")?);
/// }
/// # std::io::Result::Ok(())
/// ```
pub fn listeners() -> io::Result<Vec<Inherited>> {
    let Some(offer) = Offer::parse(|name| env::var_os(name), process::id())? else {
        return Ok(Vec::new());
    };
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let numbers = FIRST..FIRST.saturating_add_unsigned(offer.count);
    // All descriptors are taken before the first is checked, so that an error closes all of them.
    let taken: Vec<_> = numbers.map(|number| (number, take(number))).collect();
    let mut names = offer.names.into_iter();
    taken
        .into_iter()
        .map(|(number, descriptor)| {
            let name = names.next();
            let described = |error: io::Error| {
                let of = name.as_deref().unwrap_or("without a name");
                let message = format!("inherited descriptor {number} ({of}): {error}");
                io::Error::new(error.kind(), message)
            };
            let listener = descriptor.and_then(recognise).map_err(described)?;
            Ok(Inherited { name, listener })
        })
        .collect()
}

/// Why [`listeners`] returns none, in a sentence for an operator: which variable is missing, or
/// says what. Not a yield point.
///
/// ```
/// use straightline_net::inherit;
///
/// if inherit::listeners()?.is_empty() {
///     eprintln!("this service is started by a service manager: {}", inherit::why_none());
/// }
/// # std::io::Result::Ok(())
/// ```
pub fn why_none() -> String {
    if TAKEN.load(Ordering::SeqCst) {
        return "they were taken before".to_owned();
    }
    describe(|name| env::var_os(name), process::id())
}

fn describe(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> String {
    match (variable("LISTEN_FDS"), variable("LISTEN_PID")) {
        (None, _) => "LISTEN_FDS is not set".to_owned(),
        (Some(count), None) => {
            format!("LISTEN_FDS is {}, but LISTEN_PID is not set", count.display())
        }
        (Some(count), Some(owner)) => format!(
            "LISTEN_FDS is {}, and LISTEN_PID is {}, where this process is {process}",
            count.display(),
            owner.display()
        ),
    }
}

/// The offer in the environment.
#[derive(Debug, PartialEq, Eq)]
struct Offer {
    count: u32,
    /// One name for each descriptor, or no name.
    names: Vec<String>,
}

impl Offer {
    /// `None` if no listener is offered, or if they are offered to another process.
    fn parse(
        variable: impl Fn(&str) -> Option<OsString>,
        process: u32,
    ) -> io::Result<Option<Self>> {
        let (Some(owner), Some(count)) = (variable("LISTEN_PID"), variable("LISTEN_FDS")) else {
            return Ok(None);
        };
        if number("LISTEN_PID", &owner)? != process {
            return Ok(None);
        }
        let count = number("LISTEN_FDS", &count)?;
        if count > COUNT_MAX {
            return Err(invalid(format!("LISTEN_FDS is {count}, more than there can be")));
        }
        let names: Vec<_> = match variable("LISTEN_FDNAMES") {
            Some(names) => names.to_string_lossy().split(':').map(str::to_owned).collect(),
            None => Vec::new(),
        };
        if !names.is_empty() && names.len() != count as usize {
            let message = format!("LISTEN_FDS is {count}, LISTEN_FDNAMES names {}", names.len());
            return Err(invalid(message));
        }
        Ok((count > 0).then_some(Self { count, names }))
    }
}

fn number(name: &str, value: &OsString) -> io::Result<u32> {
    let parsed = value.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| invalid(format!("{name} is no number: {}", value.display())))
}

#[allow(unsafe_code)]
fn take(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the protocol named this very process, so the descriptor was left open for it alone.
    // `TAKEN` lets only one call come here, and that call takes each number once.
    unsafe { raw_fd::take(number) }
}

fn recognise(descriptor: OwnedFd) -> io::Result<BoundListener> {
    fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
    BoundListener::try_from(descriptor)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, message)
}

/// The listeners have been taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The first descriptor of the protocol (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// More means that the variable is wrong. Arbitrary: Linux lets a process have 1,048,576
/// descriptors.
const COUNT_MAX: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::option_option)] // none at all, or none because it is broken
    fn parse(variables: &[(&str, &str)]) -> Option<Option<Offer>> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        Offer::parse(variable, 7).ok()
    }

    #[test]
    fn an_absent_offer_is_described() {
        let described = |variables: &[(&str, &str)]| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            describe(variable, 7)
        };
        assert_eq!(described(&[]), "LISTEN_FDS is not set");
        let alone = described(&[("LISTEN_FDS", "1")]);
        assert_eq!(alone, "LISTEN_FDS is 1, but LISTEN_PID is not set");
        let other = described(&[("LISTEN_FDS", "1"), ("LISTEN_PID", "6")]);
        assert_eq!(other, "LISTEN_FDS is 1, and LISTEN_PID is 6, where this process is 7");
    }

    #[test]
    fn an_offer_is_for_one_process_and_its_names_match() {
        let offer = |count, names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            Some(Some(Offer { count, names }))
        };
        let (ours, two) = (("LISTEN_PID", "7"), ("LISTEN_FDS", "2"));
        assert_eq!(parse(&[]), Some(None));
        assert_eq!(parse(&[two]), Some(None));
        assert_eq!(parse(&[ours]), Some(None));
        assert_eq!(parse(&[ours, two]), offer(2, &[]));
        assert_eq!(parse(&[("LISTEN_PID", "8"), two]), Some(None));
        assert_eq!(parse(&[("LISTEN_PID", "8"), ("LISTEN_FDS", "x")]), Some(None));
        assert_eq!(parse(&[ours, ("LISTEN_FDS", "0")]), Some(None));
        assert_eq!(parse(&[ours, two, ("LISTEN_FDNAMES", "a:b")]), offer(2, &["a", "b"]));
        assert_eq!(parse(&[ours, two, ("LISTEN_FDNAMES", ":b")]), offer(2, &["", "b"]));
        for broken in ["", "-1", "two", "4294967296", "1048577"] {
            assert_eq!(parse(&[ours, ("LISTEN_FDS", broken)]), None, "{broken}");
        }
        assert_eq!(parse(&[("LISTEN_PID", "me"), two]), None);
        assert_eq!(parse(&[ours, two, ("LISTEN_FDNAMES", "a")]), None);
        assert_eq!(parse(&[ours, two, ("LISTEN_FDNAMES", "a:b:c")]), None);
    }
}
