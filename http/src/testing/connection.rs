//! One exchange on a connection: the request goes out while the response comes in.
//!
//! A server may answer before it has read the whole request, and may send a long response
//! meanwhile. A client that only wrote first would then wait for the server, and the server for the
//! client. So a body that is too large for the buffers in between is written by another fiber, or
//! by another thread.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, Shutdown, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use straightline_net::{MemoryStream, TcpStream};
use straightline_sched::{self as sched, DeadlineExceeded};

use super::outgoing::Outgoing;
use super::response_reader::{Received, ResponseReader};

/// What a client grants a server.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// How long an exchange may take on a fiber; on a plain thread, how long each wait may take.
    pub(super) timeout: Duration,
    pub(super) body_bytes_max: usize,
}

/// An exchange that failed, and whether a byte of a response had arrived.
pub(super) struct ExchangeError {
    pub(super) error: io::Error,
    pub(super) has_begun: bool,
}

/// A connection to a server.
pub(super) enum Connection {
    /// On a plain thread, which blocks.
    Thread(net::TcpStream),
    /// On a fiber, also in a simulation.
    Fiber(TcpStream),
}

impl Connection {
    /// Connects, as fits the calling thread or fiber.
    pub(super) fn open(address: &str, timeout: Duration) -> io::Result<Self> {
        if sched::try_current().is_some() {
            let connected = sched::deadline(timeout, || TcpStream::connect(address));
            return connected.map_err(|DeadlineExceeded| timed_out())?.map(Self::Fiber);
        }
        let mut last = io::Error::new(ErrorKind::AddrNotAvailable, "no such address");
        for address in address.to_socket_addrs()? {
            match net::TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => return Ok(Self::Thread(stream)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Whether another request can be sent on this connection from here: the server has neither
    /// closed it nor sent anything, and the caller is of the right kind.
    pub(super) fn is_usable(&self) -> bool {
        let probe = match self {
            Self::Fiber(stream) if sched::try_current().is_some() => {
                straightline_net::Transport::try_read(stream, &mut [0])
            }
            Self::Thread(stream) if sched::try_current().is_none() => {
                let probed = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut [0]));
                stream.set_nonblocking(false).and(probed)
            }
            _ => return false,
        };
        probe.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends a request and reads its response.
    pub(super) fn exchange(
        &self,
        outgoing: &Outgoing,
        host: &str,
        bounds: Bounds,
    ) -> Result<Received, ExchangeError> {
        match self {
            Self::Thread(stream) => exchange_on_thread(stream, outgoing, host, bounds),
            Self::Fiber(stream) => exchange_on_fiber(stream, outgoing, host, bounds),
        }
    }
}

/// As [`Connection::exchange`], over a stream in memory.
pub(super) fn exchange_in_memory(
    stream: &MemoryStream,
    outgoing: &Outgoing,
    host: &str,
    bounds: Bounds,
) -> Result<Received, ExchangeError> {
    exchange_on_fiber(stream, outgoing, host, bounds)
}

fn exchange_on_fiber<S>(
    stream: &S,
    outgoing: &Outgoing,
    host: &str,
    bounds: Bounds,
) -> Result<Received, ExchangeError>
where
    for<'s> &'s S: Read + Write,
{
    let (first, rest) = pieces(outgoing, host);
    let mut reader = ResponseReader::new(stream, bounds.body_bytes_max);
    let outcome = sched::deadline(bounds.timeout, || {
        // If the server answers early, the rest of the request is not written.
        let written = { stream }.write_all(&first);
        sched::scope(|scope| {
            let writer = scope.spawn(|| { stream }.write_all(&rest));
            let received = reader.read(&outgoing.method);
            if !writer.is_finished() {
                sched::yield_now(); // its last bytes may have been taken just now
            }
            let is_whole = writer.is_finished();
            writer.fiber().cancel();
            let is_whole = is_whole && matches!(writer.join(), Ok(Ok(())));
            settle(received, written, is_whole)
        })
    });
    let received = outcome.unwrap_or_else(|DeadlineExceeded| Err(timed_out()));
    received.map_err(|error| ExchangeError { error, has_begun: reader.has_begun() })
}

fn exchange_on_thread(
    stream: &net::TcpStream,
    outgoing: &Outgoing,
    host: &str,
    bounds: Bounds,
) -> Result<Received, ExchangeError> {
    let (first, rest) = pieces(outgoing, host);
    let mut reader = ResponseReader::new(stream, bounds.body_bytes_max);
    let mut run = || {
        stream.set_read_timeout(Some(bounds.timeout))?;
        stream.set_write_timeout(Some(bounds.timeout))?;
        let written = { stream }.write_all(&first);
        if rest.is_empty() {
            return settle(reader.read(&outgoing.method), written, true);
        }
        thread::scope(|scope| {
            let writer = scope.spawn(|| { stream }.write_all(&rest));
            let received = reader.read(&outgoing.method);
            let is_whole = writer.is_finished();
            if !is_whole {
                let _ = stream.shutdown(Shutdown::Both); // ends the writer's call
            }
            let is_whole = matches!(writer.join(), Ok(Ok(()))) && is_whole;
            settle(received, written, is_whole)
        })
    };
    run().map_err(|error: io::Error| {
        // A blocking socket reports its timeout as an operation that would block.
        let is_late = error.kind() == ErrorKind::WouldBlock;
        let error = if is_late { timed_out() } else { error };
        ExchangeError { error, has_begun: reader.has_begun() }
    })
}

/// What is written before the response is awaited, and what is written meanwhile.
fn pieces(outgoing: &Outgoing, host: &str) -> (Vec<u8>, Vec<u8>) {
    let (mut first, rest) = (outgoing.head(host), outgoing.framed_body());
    if rest.len() > BUFFERED_BYTES {
        return (first, rest);
    }
    first.extend_from_slice(&rest);
    (first, Vec::new())
}

/// A response counts although the request could not be written: the server may have refused it.
fn settle(
    received: io::Result<Received>,
    written: io::Result<()>,
    is_whole: bool,
) -> io::Result<Received> {
    let is_whole = is_whole && written.is_ok();
    match (received, written) {
        (Ok(received), _) => {
            let keeps_connection = received.keeps_connection && is_whole;
            Ok(Received { keeps_connection, ..received })
        }
        (Err(error), Err(_)) if error.kind() != ErrorKind::UnexpectedEof => Err(error),
        (Err(_), Err(error)) | (Err(error), Ok(())) => Err(error),
    }
}

fn timed_out() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "no whole response in time")
}

/// A request of this size fits into the buffers between client and server. Arbitrary: the buffers
/// of sockets are larger, and so is that of a stream in memory.
const BUFFERED_BYTES: usize = 16 << 10;
