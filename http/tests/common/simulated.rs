//! A server and its clients in a simulation, where time is exact and costs nothing.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use straightline::net::TcpStream;
use straightline::sched::{self, sim};
use straightline::{Counters, Handler, Request, Server, ServerBuilder, ServerHandle};

pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Runs a server and its client; returns what the server counted.
pub fn simulated<H>(
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder + 'static,
    make_handler: impl Fn() -> H + Send + Sync + 'static,
    client: impl FnOnce(SocketAddr) + 'static,
) -> Counters
where
    H: for<'r> Handler<'r> + 'static,
{
    simulated_to_its_end(configure, make_handler, |address, _| client(address))
}

/// The same with a client that may stop the server.
pub fn simulated_to_its_end<H>(
    configure: impl FnOnce(ServerBuilder) -> ServerBuilder + 'static,
    make_handler: impl Fn() -> H + Send + Sync + 'static,
    client: impl FnOnce(SocketAddr, &ServerHandle) + 'static,
) -> Counters
where
    H: for<'r> Handler<'r> + 'static,
{
    let counted = Rc::new(RefCell::new(Counters::default()));
    let counts = Rc::clone(&counted);
    let once = RefCell::new(Some((configure, make_handler, client)));
    sim::run(7, move || {
        let (configure, make_handler, client) = once.take().expect("one run");
        let builder = configure(Server::builder().bind("127.0.0.1:0").workers(1));
        let server = builder.build_with(make_handler).expect("a port");
        let address = server.local_addrs()[0].as_tcp().expect("a TCP address");
        let handle = server.handle();
        let serving = sched::spawn(|| server.run());
        client(address, &handle);
        if handle.is_ready() {
            handle.shutdown();
        }
        serving.join().expect("no panic").expect("the server ends well");
        let counters = handle.counters();
        assert_eq!(counters.accepted, counters.closed, "{counters:?}");
        assert_eq!(counters.requests, counters.answered + counters.unanswered, "{counters:?}");
        counts.replace(counters);
    });
    counted.take()
}

pub struct Client {
    pub stream: TcpStream,
    pub since: Duration,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        Self { stream, since: sim::elapsed() }
    }

    pub fn send(&mut self, text: &str) -> &mut Self {
        self.stream.write_all(text.as_bytes()).expect("the server reads");
        self
    }

    /// All text until the connection ends, and the time from connecting to that end.
    pub fn rest(&mut self) -> (String, Duration) {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).expect("an end in good order");
        (String::from_utf8(bytes).expect("text"), time_since(self.since))
    }

    /// One response with a `Content-Length`.
    pub fn receive(&mut self) -> String {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("a head");
            text.push(byte[0]);
        }
        let head = String::from_utf8(text).expect("text");
        let length = head
            .split("Content-Length: ")
            .nth(1)
            .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).expect("a body");
        head + std::str::from_utf8(&body).expect("text")
    }
}

pub fn time_since(begin: Duration) -> Duration {
    sim::elapsed().saturating_sub(begin)
}

pub fn assert_between(time: Duration, from: Duration, to: Duration) {
    assert!(time >= from && time <= to, "{time:?} is not from {from:?} to {to:?}");
}

pub fn plain() -> impl for<'r> Handler<'r> + 'static {
    |request: &mut Request| request.path().to_owned()
}

pub const GET: &str = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
