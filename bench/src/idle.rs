//! The memory of a connection at rest, which has had one request.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::cpu::{self, Pinning};
use crate::report;
use crate::serve::{BODY, Kind, PATH};
use crate::server::{self, Server};

/// Measures the servers, one after the other, and prints the table.
#[allow(clippy::cast_precision_loss)] // counts stay far below 2^52
pub(crate) fn run(connections: usize, pinning: Pinning) -> io::Result<bool> {
    println!("{}\n", report::machine(pinning)?);
    println!("| server | connections | MiB more | KiB each |\n|---|--:|--:|--:|");
    server::raise_descriptor_limit()?;
    if let Some(cpu) = pinning.load() {
        cpu::pin(cpu)?;
    }
    for kind in [Kind::Straightline, Kind::Hyper] {
        let server = Server::start(kind, &mut server::command("serve", kind, pinning.server())?)?;
        // The first ones make the server allocate what all of them share.
        let first = connect(server.address(), FIRST_CLIENTS)?;
        let before = server.settled_kib()?;
        let clients = connect(server.address(), connections)?;
        let kib = server.settled_kib()?.saturating_sub(before) as f64;
        drop((first, clients));
        println!(
            "| {kind} | {connections} | {:.1} | {:.2} |",
            kib / 1024.0,
            kib / connections as f64
        );
    }
    Ok(true)
}

/// Clients that have had the response to a request, and then rest.
pub(crate) fn connect(server: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: {server}\r\n\r\n");
    let one = |_| {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(ANSWER_TIME_MAX))?;
        stream.write_all(request.as_bytes())?;
        let mut response = Vec::new();
        let mut piece = [0; 1024];
        while !response.ends_with(BODY.as_bytes()) {
            match stream.read(&mut piece)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => response.extend_from_slice(&piece[..count]),
            }
        }
        Ok(stream)
    };
    (0..count).map(one).collect()
}

/// Arbitrary: enough that all pools are filled.
const FIRST_CLIENTS: usize = 100;

/// Arbitrary: on loopback it takes microseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
