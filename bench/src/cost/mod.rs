//! The instructions that a request costs, and the bytes that an idle connection costs. These
//! numbers do not depend on how busy the machine is. They are compared with a record, so that a
//! change which makes the hot path longer is noticed when it is made.
//!
//! The server runs under valgrind. `callgrind` counts the instructions that the server executes in
//! user space; `dhat` counts the bytes of heap that the server holds at its end. Each figure is the
//! difference of two runs, one with few requests and one with many, so that start and end cancel
//! out. In user space, an idle connection costs nothing but its heap.
//!
//! A figure depends on the compiler. It depends also on the processor, because the standard library
//! and `memchr` choose code by the processor's features. The record names both. If one of them
//! differs, the figures are printed and not compared.

mod heads;
mod record;
mod valgrind;

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use rustix::process::Signal;
use straightline_harness::ReplyReader;

use heads::BROWSER_LINES;
pub(crate) use heads::{Parsed, Reader, parse};
use record::{Conditions, Record, record_path};
use valgrind::Valgrind;

use crate::reply::{read_end, read_expected, unasked};
use crate::serve::PATH;

/// Measures, prints, and compares with the record; false if a figure is too high.
pub(crate) fn run(update: bool) -> io::Result<bool> {
    let conditions = Conditions::here()?;
    let record = Record::read()?;
    println!("{conditions}");
    let mut figures: Vec<(&str, u64)> = Vec::new();
    for &(name, kind) in FIGURES {
        let figure = match kind {
            Kind::Instructions(head, depth) => instructions(PLAIN, head, depth),
            Kind::Routed => instructions(ROUTED, Head::Small, 1),
            Kind::Short => instructions_short(),
            Kind::Idle => bytes_at_rest(),
            Kind::Parsed(head) => heads::instructions_of(name, head),
        }?;
        println!("{name} {figure}");
        figures.push((name, figure));
    }
    if update {
        let figures = figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect();
        Record { conditions, figures }.write()?;
        println!("recorded in {}", record_path().display());
        return Ok(true);
    }
    let figure_of = |name: &str| figures.iter().find(|(other, _)| *other == name);
    if let (Some((_, plain)), Some((_, routed))) =
        (figure_of("instructions_plaintext"), figure_of("instructions_routed"))
    {
        let more = routed.saturating_sub(*plain);
        println!("the router and its two wrappers take {more} of at most {ROUTED_MORE_MAX}");
        if more > ROUTED_MORE_MAX {
            return Ok(false);
        }
    }
    if record.conditions != conditions {
        println!("not compared: the record is of {}", record.conditions);
        return Ok(true);
    }
    Ok(record.allows(&figures))
}

/// The figures: the name in the record, and the kind.
const FIGURES: &[(&str, Kind)] = &[
    ("instructions_plaintext", Kind::Instructions(Head::Small, 1)),
    ("instructions_routed", Kind::Routed),
    ("instructions_short", Kind::Short),
    ("instructions_pipelined", Kind::Instructions(Head::Small, 16)),
    ("instructions_target", Kind::Instructions(Head::Target, 1)),
    ("instructions_target_pipelined", Kind::Instructions(Head::Target, 16)),
    ("instructions_browser", Kind::Instructions(Head::Browser, 1)),
    ("instructions_browser_pipelined", Kind::Instructions(Head::Browser, 16)),
    ("instructions_parse_small", Kind::Parsed(Parsed::Small)),
    ("instructions_parse_browser", Kind::Parsed(Parsed::Browser)),
    ("instructions_parse_cookies", Kind::Parsed(Parsed::Cookies)),
    ("bytes_idle_connection", Kind::Idle),
];

#[derive(Clone, Copy)]
enum Kind {
    /// The instructions of one request with this head, if so many requests are sent at a time.
    Instructions(Head, u64),
    /// The instructions of one request that goes through a router.
    Routed,
    /// The instructions of one connection with one request, behind which the server closes it.
    Short,
    /// The bytes of one connection that has sent its response and is idle.
    Idle,
    /// The instructions that this head takes to parse.
    Parsed(Parsed),
}

#[derive(Clone, Copy)]
enum Head {
    /// The request line and one field line, the same each time.
    Small,
    /// The same with another target each time.
    Target,
    /// The ten field lines of a browser; the target and one line differ each time.
    Browser,
    /// The small one, and a line that asks the server to close.
    Closing,
}

impl Head {
    fn request(self, server: SocketAddr, number: u64) -> String {
        match self {
            Self::Small => format!("GET {PATH} HTTP/1.1\r\nHost: {server}\r\n\r\n"),
            Self::Target => {
                format!("GET {PATH}?n={number:08} HTTP/1.1\r\nHost: {server}\r\n\r\n")
            }
            Self::Browser => format!(
                "GET {PATH}?n={number:08} HTTP/1.1\r\nHost: {server}\r\n{BROWSER_LINES}\
                 X-Request-Id: {number:08}-aaaa-bbbb\r\n\r\n"
            ),
            Self::Closing => {
                format!("GET {PATH} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n")
            }
        }
    }
}

/// The instructions that the server executes for one request.
fn instructions(kind: &str, head: Head, depth: u64) -> io::Result<u64> {
    let count = |requests: u64| {
        let server = Valgrind::start("callgrind", "--callgrind-out-file=/dev/null", kind)?;
        let mut client = connect(server.address())?;
        for batch in 0..requests / depth {
            let numbers = batch * depth..(batch + 1) * depth;
            let batch: String =
                numbers.map(|number| head.request(server.address(), number)).collect();
            client.write_all(batch.as_bytes())?;
            read_answers(&mut client, depth)?;
        }
        server.end("Collected :")
    };
    let (few, many) = (count(REQUESTS_FEW)?, count(REQUESTS_MANY)?);
    Ok(many.saturating_sub(few) / (REQUESTS_MANY - REQUESTS_FEW))
}

/// The instructions that the server executes for a connection with one request.
fn instructions_short() -> io::Result<u64> {
    let ask = |server: SocketAddr, number: u64| -> io::Result<TcpStream> {
        let mut client = connect(server)?;
        client.write_all(Head::Closing.request(server, number).as_bytes())?;
        Ok(client)
    };
    let count = |connections: u64| {
        let server = Valgrind::start("callgrind", "--callgrind-out-file=/dev/null", PLAIN)?;
        for _ in 0..connections / SHORT_AT_A_TIME {
            // The server sees none before all of them are in its queue, with their requests: so
            // each run has the same to do.
            server.signal(Signal::STOP)?;
            let clients = (0..SHORT_AT_A_TIME).map(|number| ask(server.address(), number));
            let clients: io::Result<Vec<_>> = clients.collect();
            server.signal(Signal::CONT)?;
            for mut client in clients? {
                let mut reader = ReplyReader::default();
                read_expected(&mut reader, &mut client)?;
                read_end(&mut reader, &mut client)?;
                // A close with a reset leaves nothing behind in the kernel's table.
                set_socket_linger(&client, Some(Duration::ZERO))?;
            }
        }
        server.end("Collected :")
    };
    let (few, many) = (count(SHORT_FEW)?, count(SHORT_MANY)?);
    Ok(many.saturating_sub(few) / (SHORT_MANY - SHORT_FEW))
}

/// The bytes of heap that the server holds for one idle connection.
fn bytes_at_rest() -> io::Result<u64> {
    let count = |connections: u64| {
        let server = Valgrind::start("dhat", "--dhat-out-file=/dev/null", PLAIN)?;
        let mut clients = Vec::new();
        for number in 0..connections {
            let mut client = connect(server.address())?;
            client.write_all(Head::Small.request(server.address(), number).as_bytes())?;
            read_answers(&mut client, 1)?;
            clients.push(client);
        }
        // One thread has answered them in order, so all but the last are idle by now.
        server.end("At t-end:")
    };
    let (few, many) = (count(CONNECTIONS_FEW)?, count(CONNECTIONS_MANY)?);
    Ok(many.saturating_sub(few) / (CONNECTIONS_MANY - CONNECTIONS_FEW))
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let client = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    Ok(client)
}

/// Reads `count` responses, and makes sure that no bytes follow them.
fn read_answers(client: &mut TcpStream, count: u64) -> io::Result<()> {
    let mut reader = ReplyReader::default();
    (0..count).try_for_each(|_| read_expected(&mut reader, client))?;
    if reader.is_empty() { Ok(()) } else { Err(unasked()) }
}

/// The servers, as `serve` calls them.
const PLAIN: &str = "straightline";
const ROUTED: &str = "straightline-routed";

/// How many more instructions a request may take behind a router with 100 routes and two wrappers.
/// The fields that the wrappers add are part of it: the head of the plain response, which is the
/// same each time, is one copy.
const ROUTED_MORE_MAX: u64 = 300;

/// Enough requests to fill caches, pools and tables.
const REQUESTS_FEW: u64 = 1_600;
const REQUESTS_MANY: u64 = 9_600;

/// The same for connections with one request each.
const SHORT_FEW: u64 = 800;
const SHORT_MANY: u64 = 4_000;
const SHORT_AT_A_TIME: u64 = 8;

/// Powers of two: tables that grow by doubling are full in both runs.
const CONNECTIONS_FEW: u64 = 128;
const CONNECTIONS_MANY: u64 = 1_024;

/// Arbitrary: a thousand times the time of a response under valgrind.
const PATIENCE: Duration = Duration::from_secs(30);
