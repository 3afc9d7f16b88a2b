//! The load: clients that each wait for their response before they send the next request (a closed
//! loop).
//!
//! Every connection is a fiber of this project's own scheduler, on one thread. A client that fails
//! counts an error and starts again with a new connection. A client that hangs is cancelled at the
//! end of the round and counts as an error, too: a round ends whatever the server does.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use rustix::net::sockopt::set_socket_linger;
use straightline::net::TcpStream;
use straightline::sched::{self, Fiber};
use straightline_harness::{Histogram, ReplyReader};

use crate::reply::{read_end, read_expected, unasked};
use crate::serve::PATH;

/// How the clients send their requests.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One request at a time on a connection that stays open
    Plaintext,
    /// Sixteen requests at a time on a connection that stays open
    Pipelined,
    /// One request for each connection, which the server closes
    Short,
}

/// What the clients do in one run.
pub(crate) struct Load {
    pub(crate) server: SocketAddr,
    pub(crate) mode: Mode,
    pub(crate) connections: u16,
    pub(crate) time: Duration,
}

/// The result of one run.
pub(crate) struct Outcome {
    /// Requests with the expected response.
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// The text of the first error.
    pub(crate) first_error: Option<String>,
    /// From the beginning until the last client had finished.
    pub(crate) elapsed: Duration,
    /// From a request's write to its response. In [`Mode::Short`] from the connect to the server's
    /// close.
    pub(crate) latencies: Histogram,
}

/// The state that all clients share.
struct Clients {
    load: Load,
    /// The bytes that a client sends at a time.
    batch: Vec<u8>,
    deadline: Instant,
    outcome: RefCell<Outcome>,
    /// How many clients have not finished. The last one wakes `root`.
    active: Cell<u16>,
    root: Fiber,
}

/// Runs the clients on the calling thread.
pub(crate) fn run(load: Load) -> io::Result<Outcome> {
    sched::run(move || drive(load))
}

/// The root fiber. At its return the scheduler cancels the clients that hang.
fn drive(load: Load) -> io::Result<Outcome> {
    let start = Instant::now();
    let clients = Rc::new(Clients {
        batch: load.mode.request(load.server).repeat(load.mode.depth()).into_bytes(),
        deadline: start + load.time,
        outcome: RefCell::new(Outcome::none()),
        active: Cell::new(load.connections),
        root: sched::current(),
        load,
    });
    for _ in 0..clients.load.connections {
        let clients = Rc::clone(&clients);
        sched::FiberBuilder::new().spawn(move || clients.ask_until_the_deadline())?;
    }
    let give_up = clients.deadline + GRACE;
    while clients.active.get() > 0 {
        let left = give_up.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        sched::park_timeout(left);
    }
    let mut outcome = clients.outcome.replace(Outcome::none());
    outcome.elapsed = start.elapsed();
    let hanging = clients.active.get();
    if hanging > 0 {
        outcome.errors += u64::from(hanging);
        outcome.first_error.get_or_insert_with(|| format!("{hanging} connections hang"));
    }
    Ok(outcome)
}

impl Clients {
    /// One client's life.
    fn ask_until_the_deadline(&self) {
        let mut replies = ReplyReader::default();
        while Instant::now() < self.deadline {
            replies.clear();
            let result = match self.load.mode {
                Mode::Plaintext | Mode::Pipelined => self.keep_asking(&mut replies),
                Mode::Short => self.ask_once(&mut replies),
            };
            if let Err(error) = result {
                self.count_error(&error);
                // The client of a server that refuses everything must not spin.
                sched::sleep(ERROR_PAUSE);
            }
        }
        self.active.set(self.active.get() - 1);
        if self.active.get() == 0 {
            self.root.unpark();
        }
    }

    /// Sends requests on one connection until the deadline.
    fn keep_asking(&self, replies: &mut ReplyReader) -> io::Result<()> {
        let mut stream = TcpStream::connect(self.load.server)?;
        stream.set_nodelay(true)?;
        loop {
            let sent = Instant::now();
            if sent >= self.deadline {
                return Ok(());
            }
            stream.write_all(&self.batch)?;
            let mut came = 0;
            for missing in (0..self.load.mode.depth()).rev() {
                read_expected(replies, &mut stream)?;
                came += 1;
                // The clock is read once for all responses that one read has brought.
                if missing == 0 || replies.is_empty() {
                    self.count(came, sent.elapsed());
                    came = 0;
                }
            }
            if !replies.is_empty() {
                return Err(unasked());
            }
        }
    }

    /// One connection for one request; the server closes it.
    fn ask_once(&self, replies: &mut ReplyReader) -> io::Result<()> {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(self.load.server)?;
        stream.write_all(&self.batch)?;
        read_expected(replies, &mut stream)?;
        read_end(replies, &mut stream)?;
        self.count(1, begun.elapsed());
        // The server has closed first, so its side of the connection stays in TIME-WAIT for a
        // minute. With thousands of connections a second the kernel's table of those would fill up
        // within a run, and a close would cost more from then on. A close with a reset removes both
        // sides.
        Ok(set_socket_linger(&stream, Some(Duration::ZERO))?)
    }

    fn count(&self, requests: u64, latency: Duration) {
        let mut outcome = self.outcome.borrow_mut();
        outcome.requests += requests;
        outcome.latencies.record(latency, requests);
    }

    fn count_error(&self, error: &io::Error) {
        let mut outcome = self.outcome.borrow_mut();
        outcome.errors += 1;
        outcome.first_error.get_or_insert_with(|| error.to_string());
    }
}

impl Mode {
    /// How many requests a client sends at a time.
    fn depth(self) -> usize {
        match self {
            Self::Plaintext | Self::Short => 1,
            Self::Pipelined => 16,
        }
    }

    fn request(self, server: SocketAddr) -> String {
        let close = match self {
            Self::Plaintext | Self::Pipelined => "",
            Self::Short => "Connection: close\r\n",
        };
        format!("GET {PATH} HTTP/1.1\r\nHost: {server}\r\n{close}\r\n")
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "plaintext",
            Self::Pipelined => "pipelined",
            Self::Short => "short",
        })
    }
}

impl Outcome {
    fn none() -> Self {
        Self {
            requests: 0,
            errors: 0,
            first_error: None,
            elapsed: Duration::ZERO,
            latencies: Histogram::default(),
        }
    }
}

/// How long after the deadline a response may come. Arbitrary: on loopback it takes microseconds.
const GRACE: Duration = Duration::from_secs(2);

/// Arbitrary: long enough to be no load, short enough to notice a server that serves again.
const ERROR_PAUSE: Duration = Duration::from_millis(10);
