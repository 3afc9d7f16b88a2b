//! A server and a handful of clients in a simulation: virtual time, a virtual network, and faults.
//!
//! `cargo run --release --example simulated -- --seeds 10000` runs ten thousand histories, each of
//! which is determined by its seed. `--seed N --trace` shows the history of a seed that has failed.
//!
//! In every history, whatever the network does, this must hold: every response belongs to its
//! request; no fiber, socket or buffer is left; every connection is closed; and once the network
//! has no more faults, every client is served. In one of four histories the network never has a
//! fault, and every client is always served.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use straightline::net::TcpStream;
use straightline::net::sim::{Fault, Link, network, on_host};
use straightline::sched::sim::{self, Failure, Random, Sim};
use straightline::sched::{self, deadline};
use straightline::{IntoResponse, Request, Response, Server, Timeouts};

/// Runs a server and its clients in a simulation, under faults.
#[derive(Parser)]
struct Args {
    /// The seed of the history to run, or of the first one with --seeds
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
    /// Prints only the events of that history
    #[arg(long, conflicts_with = "seeds")]
    trace: bool,
    /// Runs N histories, and prints how many have failed
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
}

const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);

/// For how long the network has faults.
const FAULTY: Duration = Duration::from_secs(120);

/// How long a client waits for a response.
const PATIENCE: Duration = Duration::from_secs(10);

/// A history, from the first bind to the last close.
fn history() {
    let mut random = sim::fork_random();
    let calm = random.chance(0.25);
    if calm {
        let pieces = 1..=[4, 100, 1_448][random.index(3)];
        network().set_link(Link::default().with_segment_bytes(pieces));
    } else {
        network().set_link(Link::draw(&mut random));
        network().schedule(sim::plan(|random| Fault::draw(random, FAULTY)));
    }
    let timeouts = Timeouts::default().with_head(PATIENCE / 2);
    let server = Server::builder().bind(SERVER).workers(1 + random.index(3)).timeouts(timeouts);
    let server = server.drain_timeout(Duration::from_secs(5)).build(answer).expect("a free port");
    let handle = server.handle();
    let serving =
        sched::FiberBuilder::new().name("server").spawn(|| server.run()).expect("a stack");

    let clients: Vec<_> = (1..=[3, 4, 5, 6][random.index(4)])
        .map(|number| {
            let (host, random) = (Ipv4Addr::new(10, 0, 1, number), random.fork());
            let client = sched::FiberBuilder::new().name(format!("client {number}"));
            let behave =
                move || on_host(host.into(), || Client::new(number, calm, random).behave());
            client.spawn(behave).expect("a stack")
        })
        .collect();
    let answers: u64 = clients.into_iter().map(|client| client.join().expect("no panic")).sum();

    handle.shutdown();
    serving.join().expect("no panic").expect("the server ends well");
    let counters = handle.counters();
    assert_eq!(counters.accepted, counters.closed, "a connection is left: {counters:?}");
    let ended = counters.answered + counters.unanswered;
    assert_eq!((counters.requests, counters.in_flight), (ended, 0), "{counters:?}");
    assert!(answers <= counters.requests, "{answers} answers, but {counters:?}");
    assert_eq!(counters.panicked, 0, "{counters:?}");
}

/// The server's handler.
fn answer(request: &mut Request) -> Response {
    let path = request.path().to_owned();
    if let Some(name) = path.strip_prefix("/slow/") {
        sched::sleep(Duration::from_millis(sched::random_u64() % 1_500));
        return name.to_owned().into_response();
    }
    if let Some(name) = path.strip_prefix("/busy/") {
        // This is often so long that other shards accept in the place of this one.
        sim::keep_thread(Duration::from_millis(sched::random_u64() % 400));
        return name.to_owned().into_response();
    }
    if path == "/echo" {
        // A body of known length is sent back when it is complete, a chunked body while it arrives.
        return match request.body().remaining() {
            Some(_) => request.body().read_to_vec(u64::MAX).into_response(),
            None => Response::stream(|request, body| request.body().copy_to(body).map(drop)),
        };
    }
    path.trim_start_matches('/').to_owned().into_response()
}

/// A client with one connection, which it opens again when necessary.
struct Client {
    number: u8,
    /// The network has no faults, so every exchange must succeed.
    calm: bool,
    random: Random,
    /// How many requests the client has made.
    made: u64,
    stream: Option<TcpStream>,
    /// The bytes that have arrived after the last response.
    unread: Vec<u8>,
}

impl Client {
    fn new(number: u8, calm: bool, random: Random) -> Self {
        Self { number, calm, random, made: 0, stream: None, unread: Vec::new() }
    }

    /// Sends requests as long as the network is faulty, and one more; returns the number of
    /// responses.
    fn behave(&mut self) -> u64 {
        let mut answers = 0;
        while sim::elapsed() < FAULTY {
            let before = sim::elapsed();
            match deadline(PATIENCE, || self.exchange()) {
                Ok(Ok(count)) => answers += count,
                outcome if self.calm => {
                    panic!("not served, without a fault: {outcome:?}")
                }
                // A fault of the network, or the response took too long: open a new connection.
                Ok(Err(_)) | Err(_) => self.hang_up(),
            }
            let pause = self.random.duration(Duration::ZERO..=Duration::from_secs(10));
            sched::sleep(pause);
            assert!(sim::elapsed() > before, "time stands still");
        }
        network().heal_all();
        self.hang_up();
        let last = deadline(PATIENCE, || self.ask(1)).expect("in time");
        last.expect("a response, now that the network has no faults");
        answers + 1
    }

    fn exchange(&mut self) -> io::Result<u64> {
        match self.random.below(8) {
            0 => self.leave_in_the_middle(),
            1 | 2 => self.echo(),
            3 => {
                let pipelined = 2 + self.random.below(5);
                self.ask(pipelined)
            }
            _ => self.ask(1),
        }
    }

    /// Sends `count` requests at once. Their responses must arrive in the same order.
    fn ask(&mut self, count: u64) -> io::Result<u64> {
        let mut requests = Vec::new();
        let mut names = Vec::new();
        for _ in 0..count {
            self.made += 1;
            let name = format!("{}-{}", self.number, self.made);
            let slow = ["", "", "", "", "", "", "", "slow/", "slow/", "busy/"];
            let slow = slow[self.random.index(slow.len())];
            write!(requests, "GET /{slow}{name} HTTP/1.1\r\nHost: server\r\n\r\n")?;
            names.push(name);
        }
        self.send(&requests)?;
        for name in names {
            assert_eq!(self.receive()?, name.as_bytes(), "the response to another request");
        }
        Ok(count)
    }

    /// Sends a body in two pieces or chunks, and reads it back.
    fn echo(&mut self) -> io::Result<u64> {
        let length = [10, 1_000, 20_000][self.random.index(3)];
        let length = self.random.index(length);
        let body: Vec<u8> = (0..length).map(|_| self.random.u64().to_le_bytes()[0]).collect();
        let (mut first, mut rest) = (body.clone(), Vec::new());
        rest.extend(first.drain(self.random.index(length + 1)..));
        let field = if self.random.chance(0.5) {
            (first, rest) = (chunk(&first), [&chunk(&rest)[..], b"0\r\n\r\n"].concat());
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {length}")
        };
        let head = format!("POST /echo HTTP/1.1\r\nHost: server\r\n{field}\r\n\r\n");
        self.send(head.as_bytes())?;
        self.send(&first)?;
        sched::sleep(self.random.duration(Duration::ZERO..=Duration::from_millis(100)));
        self.send(&rest)?;
        assert!(self.receive()? == body, "a body was changed on its way");
        Ok(1)
    }

    /// Closes the connection after a part of a request, sometimes only after the server's timeout.
    fn leave_in_the_middle(&mut self) -> io::Result<u64> {
        let request = b"POST /echo HTTP/1.1\r\nHost: server\r\nContent-Length: 10\r\n\r\nhalf of";
        let part = self.random.index(request.len() + 1);
        self.send(&request[..part])?;
        if self.random.below(4) == 0 {
            sched::sleep(PATIENCE * 3 / 4);
        }
        self.hang_up();
        Ok(0)
    }

    fn hang_up(&mut self) {
        self.stream = None;
        self.unread.clear();
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.stream.is_none() {
            self.stream = Some(TcpStream::connect(SERVER)?);
        }
        self.stream().write_all(bytes)
    }

    /// Reads the next response, and returns its body.
    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let head = self.until(b"\r\n\r\n")?.to_lowercase();
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let length = fields.find(|(name, _)| *name == "content-length");
        let body = match length.and_then(|(_, value)| value.parse().ok()) {
            Some(length) => self.exactly(length)?,
            None => self.chunks()?,
        };
        if !head.starts_with("http/1.1 200 ") {
            return Err(io::Error::other("refused"));
        }
        Ok(body)
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(self.until(b"\r\n")?.trim_end(), 16);
            let size = size.expect("the server writes sizes");
            body.extend(self.exactly(size)?);
            assert_eq!(self.exactly(2)?, b"\r\n", "a chunk without its end");
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn until(&mut self, end: &[u8]) -> io::Result<String> {
        let length = loop {
            match self.unread.windows(end.len()).position(|window| window == end) {
                Some(at) => break at + end.len(),
                None => self.fill()?,
            }
        };
        let bytes = self.exactly(length)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.fill()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1_024];
        let count = self.stream().read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        if count == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn stream(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect("open while it is used")
    }
}

/// A chunk with this data. No bytes for empty data, because an empty chunk would be the last one.
fn chunk(data: &[u8]) -> Vec<u8> {
    match data.len() {
        0 => Vec::new(),
        length => [format!("{length:x}\r\n").as_bytes(), data, b"\r\n"].concat(),
    }
}

fn run(seed: u64, trace: bool) -> Result<(), Failure> {
    let sim = Sim::new(seed);
    let sim = if trace { sim.trace(|line| println!("{line}")) } else { sim };
    sim.run(history)
}

fn main() -> ExitCode {
    let args = Args::parse();
    let (count, start) = (args.seeds.unwrap_or(1), Instant::now());
    let mut failures = 0;
    for seed in (0..count).map(|index| args.seed.wrapping_add(index)) {
        if let Err(failure) = run(seed, args.trace) {
            eprintln!("{failure}");
            failures += 1;
        }
    }
    if !args.trace {
        let per_second = u128::from(count) * 1_000_000_000 / start.elapsed().as_nanos().max(1);
        println!("seeds={count} failures={failures} seeds_per_second={per_second}");
    }
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
