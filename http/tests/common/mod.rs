//! A server on the loopback and a client that speaks raw bytes.
#![allow(dead_code, missing_docs, unreachable_pub)] // each test program uses only a part

pub mod service_manager;
pub mod simulated;

// The tests of the scheduler use this file too.
#[path = "../../../sched/tests/common/own_process.rs"]
pub mod own_process;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use straightline::{Counters, Handler, Server, ServerBuilder, ServerHandle, ShutdownReport};

/// A running server. Dropping it stops the server and checks that no connection or request is left.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    thread: Option<thread::JoinHandle<std::io::Result<ShutdownReport>>>,
}

pub fn serve<H>(handler: H) -> Running
where
    H: for<'r> Handler<'r> + Send + Sync + 'static,
{
    serve_with(|builder| builder, handler)
}

pub fn serve_with<H>(configure: impl FnOnce(ServerBuilder) -> ServerBuilder, handler: H) -> Running
where
    H: for<'r> Handler<'r> + Send + Sync + 'static,
{
    let builder = configure(Server::builder().bind("127.0.0.1:0").workers(1));
    let server = builder.build(handler).expect("a free port");
    let address = server.local_addrs()[0].as_tcp().expect("a TCP address");
    let handle = server.handle();
    let thread = Some(thread::spawn(move || server.run()));
    Running { address, handle, thread }
}

impl Running {
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Waits until the server has ended. The caller has stopped it before.
    pub fn join(mut self) -> Counters {
        self.end()
    }

    /// As [`join`](Self::join), but returns the report of the shutdown and checks no counters: for
    /// a server that leaves connections behind.
    pub fn join_report(mut self) -> ShutdownReport {
        let thread = self.thread.take().expect("it runs");
        thread.join().expect("the server does not panic").expect("the server runs")
    }

    /// The error of a server that ends by itself.
    pub fn join_error(mut self) -> std::io::Error {
        let thread = self.thread.take().expect("it runs");
        thread.join().expect("the server does not panic").expect_err("it ends by itself")
    }

    fn end(&mut self) -> Counters {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic").expect("the server runs");
        }
        let counters = self.handle.counters();
        assert_eq!(counters.accepted, counters.closed, "{counters:?}");
        assert_eq!(counters.requests, counters.answered + counters.unanswered, "{counters:?}");
        assert_eq!(counters.in_flight, 0, "{counters:?}");
        counters
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.thread.is_some() && !thread::panicking() {
            self.handle.shutdown();
            self.end();
        }
    }
}

pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// One line for each trailer.
    pub trailers: String,
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text")
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        // A test that fails should not hang.
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        Self { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
        self
    }

    pub fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).expect("an open stream");
        self
    }

    /// The next response; `has_body` is false after HEAD.
    pub fn receive_with(&mut self, has_body: bool) -> Answer {
        let end = loop {
            match self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end,
                None => assert!(self.fill(), "EOF in a head: {:?}", self.buffer.escape_ascii()),
            }
        };
        let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).expect("text");
        let status = head[9..12].parse().expect("a status");
        let mut answer = Answer { status, head, body: Vec::new(), trailers: String::new() };
        if !has_body {
            return answer;
        }
        answer.body = if answer.field("transfer-encoding") == Some("chunked") {
            let (body, trailers) = self.chunks();
            answer.trailers = trailers;
            body.expect("a whole body")
        } else {
            let length =
                answer.field("content-length").map_or(0, |text| text.parse().expect("digits"));
            self.exactly(length)
        };
        answer
    }

    /// The next `length` bytes.
    pub fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill(), "EOF in a body");
        }
        self.buffer.drain(..length).collect()
    }

    /// The next `length` bytes, or fewer if the connection ends before.
    pub fn up_to(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length && self.try_fill() {}
        let count = self.buffer.len().min(length);
        self.buffer.drain(..count).collect()
    }

    /// A chunked body and its trailers. If the body ends early, the error is the part that arrived.
    pub fn chunks(&mut self) -> (Result<Vec<u8>, Vec<u8>>, String) {
        let mut body = Vec::new();
        loop {
            let Some(line) = self.line() else {
                return (Err(body), String::new());
            };
            let size = usize::from_str_radix(&line, 16).expect("a size");
            if size == 0 {
                break;
            }
            assert!(!line.starts_with('0'), "{line}");
            while self.buffer.len() < size + 2 {
                if !self.fill() {
                    body.append(&mut self.buffer);
                    return (Err(body), String::new());
                }
            }
            body.extend(self.buffer.drain(..size));
            assert_eq!(self.exactly(2), b"\r\n");
        }
        let mut trailers = String::new();
        loop {
            match self.line().expect("trailers or an empty line") {
                line if line.is_empty() => return (Ok(body), trailers),
                line => trailers += &(line + "\n"),
            }
        }
    }

    /// The data of the next chunk; empty behind the last one, which has no trailers.
    pub fn chunk(&mut self) -> Vec<u8> {
        let line = self.line().expect("a chunk");
        let size = usize::from_str_radix(&line, 16).expect("a size");
        let data = self.exactly(size);
        assert_eq!(self.exactly(2), b"\r\n");
        data
    }

    /// The next line without its CRLF; `None` if the connection ends.
    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.buffer.drain(..end + 2).take(end).collect();
                return Some(String::from_utf8(line).expect("text"));
            }
            if !self.fill() {
                return None;
            }
        }
    }

    /// All bytes until the server closes the connection without a reset.
    pub fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    pub fn receive(&mut self) -> Answer {
        self.receive_with(true)
    }

    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> Answer {
        self.send(bytes).receive()
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"))
    }

    /// Whether the server has closed the connection without a reset, and no bytes are left to read.
    pub fn is_at_end(&mut self) -> bool {
        self.buffer.is_empty() && !self.fill()
    }

    /// Waits until the connection has ended, with or without a reset.
    pub fn wait_for_end(&mut self) {
        let mut scratch = [0; 1024];
        loop {
            match self.stream.read(&mut scratch) {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    assert_ne!(error.kind(), ErrorKind::WouldBlock, "still open");
                    return;
                }
            }
        }
    }

    /// Waits for a whole head, or until the connection has ended.
    pub fn wait_for_end_or_answer(&mut self) {
        let mut scratch = [0; 1024];
        while !self.buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            match self.stream.read(&mut scratch) {
                Ok(0) => return,
                Ok(count) => self.buffer.extend_from_slice(&scratch[..count]),
                Err(error) => {
                    assert_ne!(error.kind(), ErrorKind::WouldBlock, "neither");
                    return;
                }
            }
        }
    }

    /// As [`fill`](Self::fill); a reset is an end.
    fn try_fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                count > 0
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
                false
            }
        }
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let count = self.stream.read(&mut chunk).expect("the server answers or closes");
        self.buffer.extend_from_slice(&chunk[..count]);
        count > 0
    }
}
