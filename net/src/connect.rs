//! Opening a connection: to one address, or to the quickest of several.
//!
//! The race (RFC 8305, "happy eyeballs") is a loop of one fiber over non-blocking sockets, so a
//! cancel at any point drops the sockets and leaves nothing behind. The fiber waits for the first
//! of three things: an attempt is decided, the next attempt is due, or the timeout has passed.
//!
//! A connecting socket becomes writable when its attempt is decided and not before. So the fiber
//! asks for the outcome only after an edge; after a wake-up without an edge it does not ask.

use std::io;
use std::net::{self, SocketAddr};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use straightline_sched::{Interest, now, sim, wait_for_armed};

use crate::io::Io;
use crate::lookup::Target;
use crate::sim::Handle;
use crate::socket::Socket;

/// Connects to the first address of `target` that answers.
pub(crate) fn connect(target: Target) -> io::Result<Io<net::TcpStream>> {
    let mut addresses = target.resolve()?;
    if addresses.len() == 1
        && let Some(address) = addresses.next()
    {
        return connect_one(address, None);
    }
    race(&interleaved(addresses.collect()))
}

/// Connects to `address`, waiting until `end` at most.
pub(crate) fn connect_one(
    address: SocketAddr,
    end: Option<Instant>,
) -> io::Result<Io<net::TcpStream>> {
    let stream = match begin(address)? {
        Begun::Connected(stream) => return Ok(stream),
        Begun::Connecting(stream) => stream,
    };
    loop {
        if let Some(outcome) = outcome(&stream)? {
            return outcome.map(|()| stream);
        }
        if end.is_some_and(|end| end <= now()) {
            let message = format!("{address} has not answered within the timeout");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        wait_for_armed(end)?;
    }
}

/// Connects to the address that answers first; the attempts begin one after the other.
fn race(addresses: &[SocketAddr]) -> io::Result<Io<net::TcpStream>> {
    let mut left = addresses.iter();
    let mut attempts: Vec<Io<net::TcpStream>> = Vec::new();
    let mut error = None;
    let mut next_at = now();
    loop {
        let mut index = 0;
        while index < attempts.len() {
            match outcome(&attempts[index])? {
                None => index += 1,
                Some(Ok(())) => return Ok(attempts.swap_remove(index)),
                Some(Err(why)) => {
                    attempts.remove(index);
                    error = Some(why);
                    next_at = now(); // the next need not wait for its turn
                }
            }
        }
        if (attempts.is_empty() || next_at <= now())
            && let Some(address) = left.next()
        {
            match begin(*address) {
                Ok(Begun::Connected(stream)) => return Ok(stream),
                Ok(Begun::Connecting(stream)) => {
                    attempts.push(stream);
                    next_at = now() + ATTEMPT_DELAY;
                }
                Err(why) => error = Some(why),
            }
            continue;
        }
        if attempts.is_empty() {
            let none = || io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to");
            return Err(error.unwrap_or_else(none));
        }
        wait_for_armed((left.len() > 0).then_some(next_at))?;
    }
}

/// The families in turn, beginning with the first address's, each in its own order.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let count = addresses.len();
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut result = Vec::with_capacity(count);
    while result.len() < count {
        result.extend(first.next());
        result.extend(second.next());
    }
    result
}

enum Begun {
    Connected(Io<net::TcpStream>),
    Connecting(Io<net::TcpStream>),
}

fn begin(address: SocketAddr) -> io::Result<Begun> {
    if sim::is_simulated() {
        let handle = Handle::connect_tcp(address)?;
        return Ok(Begun::Connecting(Io::of_tcp(Socket::Simulated(Box::new(handle)))));
    }
    let socket = nonblocking_socket(address)?;
    let connected = rustix::net::connect(&socket, &address);
    let stream = Io::of_tcp(Socket::System(socket));
    match connected {
        Ok(()) => Ok(Begun::Connected(stream)),
        // Interrupted by a signal, a connect goes on by itself.
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(Begun::Connecting(stream)),
        Err(error) => Err(error.into()),
    }
}

/// The outcome of an attempt; `None` while it is open, and then the fiber is armed. The outer error
/// is an error of waiting.
fn outcome(stream: &Io<net::TcpStream>) -> io::Result<Option<io::Result<()>>> {
    if stream.source().arm(Interest::Write)? {
        return Ok(None);
    }
    let error = match stream.inner() {
        Socket::System(stream) => stream.take_error(),
        Socket::Simulated(handle) => handle.take_error(),
    };
    Ok(Some(match error {
        Ok(None) => Ok(()),
        Ok(Some(error)) | Err(error) => Err(error),
    }))
}

/// One system call for a socket that is non-blocking already.
#[cfg(target_os = "linux")]
fn nonblocking_socket(address: SocketAddr) -> io::Result<net::TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    Ok(socket.into())
}

#[cfg(any(target_os = "macos", target_os = "freebsd"))]
fn nonblocking_socket(address: SocketAddr) -> io::Result<net::TcpStream> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// How long an attempt runs before the next one begins beside it: the recommendation of RFC 8305
/// (section 5, "Connection Attempt Delay").
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use quickcheck::quickcheck;

    use super::*;

    quickcheck! {
        fn families_take_turns_and_keep_their_order(families: Vec<bool>) -> bool {
            let addresses: Vec<SocketAddr> = (1_u16..)
                .zip(families)
                .map(|(port, six)| {
                    let ip = if six { "::1" } else { "127.0.0.1" };
                    SocketAddr::new(ip.parse().unwrap(), port)
                })
                .collect();
            let result = interleaved(addresses.clone());
            let of = |all: &[SocketAddr], six: bool| -> Vec<SocketAddr> {
                all.iter().filter(|address| address.is_ipv6() == six).copied().collect()
            };
            let fewer = of(&addresses, true).len().min(of(&addresses, false).len());
            let differ = |pair: &&[SocketAddr]| pair[0].is_ipv6() != pair[1].is_ipv6();
            let changes = result.windows(2).take_while(differ);
            [true, false].into_iter().all(|six| of(&result, six) == of(&addresses, six))
                && result.first() == addresses.first()
                && (fewer == 0 || changes.count() >= 2 * fewer - 1)
        }
    }
}
