//! A process with many clients, which are nothing but sockets and a number.
//!
//! It connects all of them, prints a line, and then prints the number of each event that all of its
//! clients have got.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::process::{Signal, set_parent_process_death_signal};

use super::serve::EVENTS;

/// The line that says that all clients are connected.
pub(super) const CONNECTED: &str = "connected";

/// What the data of an event begins with. It occurs once in an event.
pub(super) const MARK: &[u8] = b"<event>";

struct Client {
    stream: TcpStream,
    /// How many bytes of the mark the client has seen in a row.
    matched: usize,
    events: u64,
}

/// Is `count` clients until the process is killed, which also happens when the parent ends.
pub(crate) fn run(server: SocketAddr, count: usize) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut clients = Vec::with_capacity(count);
    for index in 0..count {
        let stream = connect(server)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &stream, EventData::new_u64(index as u64), flags)?;
        clients.push(Client { stream, matched: 0, events: 0 });
    }
    say(CONNECTED)?;
    let (mut number, mut waiting) = (1, count);
    let mut events: Vec<Event> = Vec::with_capacity(1024);
    let mut buffer = vec![0; 16 * 1024];
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let index = usize::try_from(event.data.u64()).map_err(io::Error::other)?;
            let client = &mut clients[index];
            let before = client.events;
            client.read(&mut buffer)?;
            // The next event is sent when all clients have the one before.
            if before < number && client.events >= number {
                waiting -= 1;
            }
        }
        if waiting == 0 {
            say(&number.to_string())?;
            (number, waiting) = (number + 1, count);
        }
    }
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server)?;
    stream.write_all(format!("GET {EVENTS} HTTP/1.1\r\nHost: {server}\r\n\r\n").as_bytes())?;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = stream.read(&mut piece)?;
        head.extend_from_slice(&piece[..count]);
        if count == 0 || !head.starts_with(&b"HTTP/1.1 200"[..head.len().min(12)]) {
            let text = String::from_utf8_lossy(&head).into_owned();
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
    }
    stream.set_nonblocking(true)?;
    Ok(stream)
}

impl Client {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.look(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Counts the marks, which begin with a byte that they do not contain again.
    fn look(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == MARK[self.matched] {
                self.matched += 1;
            } else {
                self.matched = usize::from(byte == MARK[0]);
            }
            if self.matched == MARK.len() {
                (self.matched, self.events) = (0, self.events + 1);
            }
        }
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}
