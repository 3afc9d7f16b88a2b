//! The lower bound: the cost of the kernel, and almost nothing else.
//!
//! The loop waits, receives and sends, with one system call each, and in between it only searches
//! for the ends of heads. This is no HTTP server: it takes every head for a valid request, and
//! closes the connection of a client that does not read its responses. But no input harms it, and
//! the load checks its responses as it does those of the other servers.

use std::io;
use std::mem::take;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

use memchr::memmem::Finder;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

use super::answer::BODY;

/// How a connection is registered with epoll.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arming {
    /// Once: the kernel reports its events as long as it lives.
    Once,
    /// Oneshot: it is armed again after each of its events.
    EachTime,
}

/// Serves for ever.
pub(super) fn run(listener: &TcpListener, arming: Arming) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections = Connections::default();
    let mut answering = Answering::new();
    let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let key = event.data.u64();
            if key == LISTENER {
                connections.accept_from(listener, &epoll, arming, &mut answering)?;
                continue;
            }
            let place = usize::try_from(key).ok().and_then(|index| connections.0.get_mut(index));
            let Some(place) = place else { continue };
            let Some(connection) = place else { continue };
            if !answering.answer(connection) {
                *place = None;
            } else if arming == Arming::EachTime {
                epoll::modify(&epoll, &connection.socket, event.data, arming.flags())?;
            }
        }
    }
}

impl Arming {
    fn flags(self) -> EventFlags {
        match self {
            Self::Once => EventFlags::IN,
            Self::EachTime => EventFlags::IN | EventFlags::ONESHOT,
        }
    }
}

/// The open connections. The index of a connection is the number of its descriptor.
///
/// An event never reaches the wrong connection. A batch has at most one event for each descriptor,
/// and a connection is closed, which removes it from epoll, only while its own event is handled.
#[derive(Default)]
struct Connections(Vec<Option<Connection>>);

struct Connection {
    socket: OwnedFd,
    /// The beginning of a request whose rest has not arrived. Almost always empty.
    partial: Vec<u8>,
}

impl Connections {
    fn accept_from(
        &mut self,
        listener: &TcpListener,
        epoll: &OwnedFd,
        arming: Arming,
        answering: &mut Answering,
    ) -> io::Result<()> {
        loop {
            let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => socket,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => continue,
                Err(error) => return Err(error.into()),
            };
            let mut connection = Connection { socket, partial: Vec::new() };
            // The request has often arrived already. A short connection is then never added to
            // epoll.
            if !answering.answer(&mut connection) {
                continue;
            }
            let socket = &connection.socket;
            let index = usize::try_from(socket.as_raw_fd()).map_err(io::Error::other)?;
            epoll::add(epoll, socket, EventData::new_u64(index as u64), arming.flags())?;
            if self.0.len() <= index {
                self.0.resize_with(index + 1, || None);
            }
            self.0[index] = Some(connection);
        }
    }
}

/// The buffers of the loop, which are allocated once.
struct Answering {
    head_end: Finder<'static>,
    /// [`ANSWERS_MAX`] responses in a row.
    answers: Vec<u8>,
    /// The length of one response.
    answer_bytes: usize,
    /// The buffer that input is received into.
    input: Vec<u8>,
}

impl Answering {
    fn new() -> Self {
        // The date is fixed: an up-to-date one would cost work, and this server is the lower bound.
        let answer = format!(
            "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
             Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        Self {
            head_end: Finder::new(HEAD_END),
            answers: answer.repeat(ANSWERS_MAX).into_bytes(),
            answer_bytes: answer.len(),
            input: vec![0; INPUT_BYTES],
        }
    }

    /// Receives once and responds to the complete heads; false if the connection is over.
    fn answer(&mut self, connection: &mut Connection) -> bool {
        let count = match recv(&connection.socket, &mut *self.input, RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((count, _)) => count,
            Err(error) => return matches!(error, Errno::AGAIN | Errno::INTR),
        };
        let mut input = &self.input[..count];
        let mut joined = take(&mut connection.partial);
        if !joined.is_empty() {
            joined.extend_from_slice(input);
            input = &joined;
        }
        let (mut end, mut heads) = (0, 0);
        while let Some(at) = self.head_end.find(&input[end..]) {
            end += at + HEAD_END.len();
            heads += 1;
        }
        let close = input[..end].ends_with(CLOSING_END) || input.len() - end > INPUT_BYTES;
        if end < input.len() {
            connection.partial = input[end..].to_vec();
        }
        while heads > 0 {
            let now = heads.min(ANSWERS_MAX);
            let bytes = &self.answers[..now * self.answer_bytes];
            if send(&connection.socket, bytes, SendFlags::NOSIGNAL) != Ok(bytes.len()) {
                return false;
            }
            heads -= now;
        }
        !close
    }
}

/// The event key of the listener. No descriptor has this number.
const LISTENER: u64 = u64::MAX;

const HEAD_END: &[u8] = b"\r\n\r\n";

/// The end of the load's only request that closes its connection. To find the field anywhere else
/// would be parsing.
const CLOSING_END: &[u8] = b"close\r\n\r\n";

/// How many responses one send has at most. Arbitrary: more than the load has in flight on a
/// connection.
const ANSWERS_MAX: usize = 64;

/// Events taken at a time. Arbitrary: the scheduler takes as many, and a usual run has fewer
/// connections.
const EVENTS_MAX: usize = 256;

/// Arbitrary: much more than any batch of requests.
const INPUT_BYTES: usize = 64 * 1024;
