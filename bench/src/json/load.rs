//! The clients: each sends an order, reads the answer whole, and sends the next.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline::net::TcpStream;
use straightline::sched;
use straightline_harness::{FromReply, Head, Reply, ReplyReader};

use super::serve::{Bill, Item, Order, PATH};

/// The result of one run.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) requests: u64,
    pub(super) errors: u64,
    /// The text of the first error.
    pub(super) first_error: Option<String>,
}

/// Runs the clients on the calling thread.
pub(super) fn run(server: SocketAddr, connections: u16, time: Duration) -> io::Result<Outcome> {
    let deadline = Instant::now() + time;
    sched::run(move || {
        let outcome = Rc::new(RefCell::new(Outcome::default()));
        let clients: Vec<_> = (0..connections)
            .map(|_| {
                let outcome = Rc::clone(&outcome);
                sched::spawn(move || {
                    // A client that hangs ends a little later than the others, as an error.
                    let patience = deadline.saturating_duration_since(Instant::now()) + GRACE;
                    let asked = sched::deadline(patience, || ask(server, deadline, &outcome));
                    let error = match asked {
                        Ok(Ok(())) => return,
                        Ok(Err(error)) => error.to_string(),
                        Err(late) => late.to_string(),
                    };
                    let mut outcome = outcome.borrow_mut();
                    outcome.errors += 1;
                    outcome.first_error.get_or_insert(error);
                })
            })
            .collect();
        for client in clients {
            client.join().map_err(io::Error::other)?;
        }
        Ok(outcome.take())
    })
}

fn ask(server: SocketAddr, deadline: Instant, outcome: &RefCell<Outcome>) -> io::Result<()> {
    let (request, expected) = exchange(server)?;
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let mut replies = ReplyReader::default();
    while Instant::now() < deadline {
        stream.write_all(&request)?;
        match replies.reply::<Whole>(&mut stream)? {
            Reply::Whole(Whole(body)) if body == expected => outcome.borrow_mut().requests += 1,
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

/// How long a client may wait beyond the end. Arbitrary: a server under load answers in
/// milliseconds.
const GRACE: Duration = Duration::from_secs(2);
