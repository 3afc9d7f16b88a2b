//! A client that speaks raw HTTP on a fiber. It sees what libraries hide: bytes that never arrive,
//! responses that stop half-way, and how a connection ends.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket, sockopt};
use straightline::net::TcpStream;
use straightline::sched;
use straightline_harness::{End, Reply, ReplyReader};

use crate::answer::Answer;
use crate::body::Body;
use crate::outcome::Outcome;

/// A connection to the server.
pub(crate) struct Client {
    stream: TcpStream,
    /// How long to wait before each read.
    pause: Duration,
    replies: ReplyReader,
}

/// What arrived while the client listened.
pub(crate) enum Heard {
    Silence,
    Bytes,
    End(End),
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, MARGIN)?;
        stream.set_nodelay(true)?;
        Ok(Self::new(stream))
    }

    /// Connects from another address, like another host: all of 127.0.0.0/8 is this machine.
    pub(crate) fn connect_from(source: IpAddr, address: SocketAddr) -> io::Result<Self> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::new(source, 0))?;
        // This blocks the thread, on loopback for a few microseconds.
        connect(&socket, &address)?;
        Ok(Self::new(TcpStream::from_std(socket.into())?))
    }

    fn new(stream: TcpStream) -> Self {
        Self { stream, pause: Duration::ZERO, replies: ReplyReader::default() }
    }

    /// Bounds how many bytes the kernel receives before this client reads them.
    pub(crate) fn keep_little(&self) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(&self.stream, RECEIVE_BYTES)?)
    }

    /// Waits before each read from now on.
    pub(crate) fn read_slowly(&mut self, pause: Duration) {
        self.pause = pause;
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within(MARGIN, || self.stream.write_all(bytes))
    }

    /// Sends a GET and does not wait for the response.
    pub(crate) fn ask(&mut self, target: &str) -> io::Result<()> {
        self.send(get(target).as_bytes())
    }

    /// Sends a GET and returns the whole response, which must come within [`MARGIN`].
    pub(crate) fn get(&mut self, target: &str) -> io::Result<Answer> {
        self.ask(target)?;
        self.answer(MARGIN)
    }

    /// Returns the next response, which must be whole.
    pub(crate) fn answer(&mut self, bound: Duration) -> io::Result<Answer> {
        match self.reply(bound)? {
            Reply::Whole(answer) => Ok(answer),
            Reply::Nothing(end) => Err(io::Error::other(format!("{end} without a response"))),
            Reply::Half(end) => Err(io::Error::other(format!("{end} within a response"))),
        }
    }

    /// Returns the next response, or the end of the connection.
    ///
    /// # Errors
    ///
    /// `TimedOut` after `bound`; `InvalidData` if the bytes are not HTTP.
    pub(crate) fn reply(&mut self, bound: Duration) -> io::Result<Reply<Answer>> {
        let mut stream = Paced { stream: &self.stream, pause: self.pause };
        within(bound, || self.replies.reply(&mut stream))
    }

    /// Sends a GET and returns its outcome.
    pub(crate) fn outcome_of(&mut self, target: &str, bound: Duration) -> Outcome {
        Outcome::from(self.ask(target).and_then(|()| self.reply(bound)))
    }

    /// Sends a head and then a body, and reads at the same time.
    pub(crate) fn exchange(
        &mut self,
        head: &[u8],
        body: &Body,
        bound: Duration,
    ) -> io::Result<Reply<Answer>> {
        let Self { stream, pause, replies } = self;
        let mut paced = Paced { stream, pause: *pause };
        within(bound, || {
            sched::scope(|s| {
                s.spawn(|| {
                    let mut stream = &*stream;
                    // A server may respond without reading the rest, so only the response counts.
                    let _ = stream.write_all(head).and_then(|()| body.write_to(&mut stream));
                });
                let reply = replies.reply(&mut paced);
                s.cancel();
                reply
            })
        })
    }

    /// Listens for at most `time`.
    pub(crate) fn hear(&mut self, time: Duration) -> io::Result<Heard> {
        let mut stream = Paced { stream: &self.stream, pause: self.pause };
        match sched::deadline(time, || self.replies.read_more(&mut stream)) {
            Err(_) => Ok(Heard::Silence),
            Ok(Ok(None)) => Ok(Heard::Bytes),
            Ok(Ok(Some(end))) => Ok(Heard::End(end)),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Closes with a reset. A server that has closed first would otherwise keep a connection in
    /// TIME-WAIT, and thousands of those slow the kernel down.
    pub(crate) fn reset(self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }
}

/// A stream that waits before each read.
struct Paced<'s> {
    stream: &'s TcpStream,
    pause: Duration,
}

impl Read for Paced<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if !self.pause.is_zero() {
            sched::sleep(self.pause);
        }
        self.stream.read(to)
    }
}

/// Sends a GET on a new connection and returns its outcome.
pub(crate) fn get_once(address: SocketAddr, target: &str, bound: Duration) -> Outcome {
    match Client::connect(address) {
        Ok(mut client) => client.outcome_of(target, bound),
        Err(error) => error.into(),
    }
}

/// The bytes of a GET.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: trials\r\n\r\n")
}

/// Runs `what` for at most `time`. If it takes longer, the error is `TimedOut`.
pub(crate) fn within<T>(time: Duration, what: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    sched::deadline(time, what).unwrap_or_else(|_| {
        Err(io::Error::new(ErrorKind::TimedOut, format!("nothing within {time:?}")))
    })
}

/// How much later than expected a response or an end may arrive on a busy machine. Arbitrary and
/// generous: the scenarios distinguish a server that reacts from one that does not. They do not
/// distinguish a fast server from a slow one.
pub(crate) const MARGIN: Duration = Duration::from_secs(5);

/// Small in comparison with the response. The kernel doubles it.
const RECEIVE_BYTES: usize = 16 * 1024;
