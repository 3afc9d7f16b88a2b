//! The clients: each sends an order, reads the answer whole, and sends the next.

use std::cell::Cell;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use straightline::net::TcpStream;
use straightline_harness::{FromReply, Head, Reply, ReplyReader};

use super::serve::{Bill, Item, Order, PATH};
use crate::clients::{self, Outcome};

/// Runs the clients on the calling thread.
pub(super) fn run(server: SocketAddr, connections: u16, time: Duration) -> io::Result<Outcome> {
    clients::run(connections, time, move |deadline, requests| ask(server, deadline, requests))
}

fn ask(server: SocketAddr, deadline: Instant, requests: &Cell<u64>) -> io::Result<()> {
    let (request, expected) = exchange(server)?;
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let mut replies = ReplyReader::default();
    while Instant::now() < deadline {
        stream.write_all(&request)?;
        match replies.reply::<Whole>(&mut stream)? {
            Reply::Whole(Whole(body)) if body == expected => clients::count(requests),
            Reply::Whole(Whole(body)) => {
                let text = String::from_utf8_lossy(&body).into_owned();
                return Err(io::Error::new(ErrorKind::InvalidData, text));
            }
            Reply::Nothing(_) | Reply::Half(_) => return Err(ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(())
}

/// A request, and the body of its response.
fn exchange(server: SocketAddr) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let items = (0..20).map(|id| Item {
        id,
        name: format!("an item with the number {id}"),
        cents: 100 + id,
        tags: vec!["fragile".to_owned(), "\u{fc}ber".to_owned()],
    });
    let order = Order { customer: "Ada".to_owned(), note: None, items: items.collect() };
    let body = serde_json::to_vec(&order)?;
    let mut request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    let cents = order.items.iter().map(|item| item.cents).sum();
    Ok((request, serde_json::to_vec(&Bill { cents, order })?))
}

/// The body of a response whose status is 200.
struct Whole(Vec<u8>);

impl FromReply for Whole {
    fn from_head(head: &Head<'_>) -> io::Result<Self> {
        match head.status() {
            200 => Ok(Self(Vec::new())),
            status => Err(io::Error::new(ErrorKind::InvalidData, format!("status {status}"))),
        }
    }

    fn add_body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
