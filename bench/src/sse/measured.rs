//! One server with more and more clients.

use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use straightline_harness::KillOnDrop;

use super::clients::{CONNECTED, MARK};
use super::kind::Kind;
use super::plan::ratio;
use super::serve::PUBLISH;
use crate::server::{self, Server};

/// A server, and what it needed.
pub(super) struct Measured {
    /// They end before the server: they would report its end as an error.
    crowds: Vec<Crowd>,
    server: Server<Kind>,
    /// How many events were published.
    published: u64,
    clients: usize,
    /// The resident memory before the clients of this step came.
    before_kib: u64,
    pub(super) steps: Vec<Step>,
}

/// What a server needed with so many clients.
pub(super) struct Step {
    pub(super) clients: usize,
    pub(super) resident_kib: u64,
    /// What each client of this step has added.
    pub(super) kib_each: f64,
    /// Event by event: the seconds from the request to publish until the last client has it.
    pub(super) seconds: Vec<f64>,
    /// Event by event: the server's CPU time for each client, in microseconds.
    pub(super) cpu_micros: Vec<f64>,
}

/// A process with clients.
struct Crowd {
    _process: KillOnDrop,
    lines: BufReader<ChildStdout>,
    /// How many events were published when its clients came.
    begun: u64,
}

impl Measured {
    /// Starts a server with its first clients, which pay for what the process allocates once.
    pub(super) fn start(kind: Kind, folder: &Path, cpu: Option<usize>) -> io::Result<Self> {
        let server = Server::start(kind, server::command("serve-sse", kind, cpu)?.arg(folder))?;
        let crowds = vec![Crowd::connect(server.address(), FIRST_CLIENTS, 0)?];
        let (published, steps) = (0, Vec::new());
        let mut measured = Self { server, crowds, published, clients: 0, before_kib: 0, steps };
        measured.publish()?;
        Ok(measured)
    }

    pub(super) fn kind(&self) -> Kind {
        self.server.kind()
    }

    /// Begins a step: clients come until the server has so many, beside the first ones.
    pub(super) fn connect(&mut self, clients: usize) -> io::Result<()> {
        self.before_kib = self.server.settled_kib()?;
        let added = clients.saturating_sub(self.clients);
        let mut left = added;
        while left > 0 {
            let count = left.min(CLIENTS_OF_A_PROCESS);
            self.crowds.push(Crowd::connect(self.server.address(), count, self.published)?);
            left -= count;
        }
        self.clients = clients;
        let resident_kib = self.server.settled_kib()?;
        let kib_each = ratio(resident_kib.saturating_sub(self.before_kib), added);
        let (seconds, cpu_micros) = (Vec::new(), Vec::new());
        self.steps.push(Step { clients, resident_kib, kib_each, seconds, cpu_micros });
        Ok(())
    }

    /// Sends an event to all clients, and notes what it took.
    pub(super) fn send(&mut self) -> io::Result<()> {
        let before = self.server.cpu_time()?;
        let time = self.publish()?;
        let cpu = self.server.cpu_time()?.saturating_sub(before);
        if let Some(step) = self.steps.last_mut() {
            step.seconds.push(time.as_secs_f64());
            let clients = ratio((FIRST_CLIENTS + step.clients) as u64, 1);
            step.cpu_micros.push(cpu.as_secs_f64() * 1e6 / clients);
        }
        Ok(())
    }

    /// Publishes an event, and returns how long it took until all clients have it.
    fn publish(&mut self) -> io::Result<Duration> {
        let server = self.server.address();
        let mut stream = TcpStream::connect(server)?;
        let body = [MARK, &[b'x'; TEXT_BYTES]].concat();
        let mut request = format!(
            "POST {PUBLISH} HTTP/1.1\r\nHost: {server}\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        let begin = Instant::now();
        stream.write_all(&request)?;
        self.published += 1;
        for crowd in &mut self.crowds {
            let number = self.published - crowd.begun;
            crowd.expect(&number.to_string())?;
        }
        let time = begin.elapsed();
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if !answer.starts_with("HTTP/1.1 200") {
            return Err(io::Error::new(io::ErrorKind::InvalidData, answer));
        }
        Ok(time)
    }
}

impl Crowd {
    fn connect(server: SocketAddr, count: usize, begun: u64) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg("sse-clients").arg(server.to_string()).arg(count.to_string());
        let mut process = KillOnDrop(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
        let stdout = process.0.stdout.take().ok_or_else(|| io::Error::other("no pipe"))?;
        let mut crowd = Self { _process: process, lines: BufReader::new(stdout), begun };
        crowd.expect(CONNECTED)?;
        Ok(crowd)
    }

    fn expect(&mut self, expected: &str) -> io::Result<()> {
        let mut line = String::new();
        self.lines.read_line(&mut line)?;
        if line.trim_end() == expected {
            return Ok(());
        }
        Err(io::Error::other(format!("the clients print {line:?} and not {expected:?}")))
    }
}

/// Arbitrary: enough that all pools are filled.
const FIRST_CLIENTS: usize = 100;

/// Fewer than a process may open descriptors.
const CLIENTS_OF_A_PROCESS: usize = 9_000;

/// The text of an event: a line of a chat.
const TEXT_BYTES: usize = 60;
