//! A server in a simulation that follows a script, to be called.
#![allow(unreachable_pub)]

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use straightline::net::sim::{network, on_host};
use straightline::net::{TcpListener, TcpStream};
use straightline::sched::{self, JoinHandle, now, sim};

pub const MS: Duration = Duration::from_millis(1);

pub const ADDRESS: &str = "10.0.0.9:80";

pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// The URL of a path on the server at [`ADDRESS`].
pub fn url(path: &str) -> String {
    format!("http://{ADDRESS}{path}")
}

/// A server. When it is dropped, it accepts no more.
pub struct Upstream {
    accepting: JoinHandle<()>,
    seen: Rc<Seen>,
}

/// What a server has seen.
#[derive(Default)]
pub struct Seen {
    connections: Cell<usize>,
    /// The heads of the requests, in the order of their arrival.
    heads: RefCell<Vec<String>>,
    /// When connections were closed by the client, in the time of the simulation.
    ends: RefCell<Vec<Duration>>,
}

/// One connection of a server.
pub struct Conversation {
    pub stream: TcpStream,
    seen: Rc<Seen>,
    /// What was read behind a head.
    rest: Vec<u8>,
}

impl Upstream {
    /// Talks with each client at [`ADDRESS`].
    pub fn start(talk: impl Fn(Conversation) + 'static) -> Self {
        Self::at(ADDRESS, talk)
    }

    pub fn at(address: &str, talk: impl Fn(Conversation) + 'static) -> Self {
        let host: IpAddr = address.rsplit_once(':').expect("a port").0.parse().expect("an address");
        let listener = on_host(host, || TcpListener::bind(address)).expect("a free port");
        let (seen, talk) = (Rc::<Seen>::default(), Rc::new(talk));
        let noted = Rc::clone(&seen);
        let accepting = sched::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                noted.connections.set(noted.connections.get() + 1);
                let (talk, seen) = (Rc::clone(&talk), Rc::clone(&noted));
                sched::spawn(move || talk(Conversation { stream, seen, rest: Vec::new() }));
            }
        });
        Self { accepting, seen }
    }

    /// A server that answers each request of a connection with the same text.
    pub fn answering(text: &'static str) -> Self {
        Self::start(move |mut conversation| {
            while conversation.hear().is_some() {
                conversation.say(text);
            }
        })
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.get()
    }

    /// The first lines of the requests.
    pub fn requests(&self) -> Vec<String> {
        let first = |head: &String| head.lines().next().unwrap_or_default().to_owned();
        self.seen.heads.borrow().iter().map(first).collect()
    }

    pub fn head(&self, index: usize) -> String {
        self.seen.heads.borrow()[index].clone()
    }

    /// When the clients have closed connections.
    pub fn ends(&self) -> Vec<Duration> {
        self.seen.ends.borrow().clone()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.accepting.cancel();
    }
}

impl Conversation {
    /// The head of the next request; `None` at the end of the connection, which is noted.
    pub fn hear(&mut self) -> Option<String> {
        let end = |bytes: &[u8]| bytes.windows(4).position(|four| four == b"\r\n\r\n");
        while end(&self.rest).is_none() {
            let mut piece = [0; 4096];
            let count = self.stream.read(&mut piece).unwrap_or(0);
            if count == 0 {
                self.seen.ends.borrow_mut().push(sim::elapsed());
                return None;
            }
            self.rest.extend_from_slice(&piece[..count]);
        }
        let behind = end(&self.rest).expect("a head") + 4;
        let head = self.rest.drain(..behind).collect();
        let head = String::from_utf8(head).expect("a text");
        self.seen.heads.borrow_mut().push(head.clone());
        Some(head)
    }

    /// Writes; the client may have gone.
    pub fn say(&mut self, text: &str) {
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// Waits until the client has closed the connection, and notes the time.
    pub fn wait_for_end(&mut self) {
        while self.stream.read(&mut [0; 1 << 14]).is_ok_and(|count| count > 0) {}
        self.seen.ends.borrow_mut().push(sim::elapsed());
    }
}

impl Read for Conversation {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.rest.is_empty() {
            return self.stream.read(buffer);
        }
        let count = (&self.rest[..]).read(buffer)?;
        self.rest.drain(..count);
        Ok(count)
    }
}

/// Runs a test with some seeds. At its end no socket is left.
pub fn check(test: impl Fn() + 'static) {
    sim::Check::new().seeds(20).run(move || {
        test();
        // The scripts see the ends of their connections.
        sched::sleep(10 * MS);
        assert_eq!(network().open_sockets(), 0, "sockets are left");
    });
}

/// The time that `body` takes.
pub fn time_of(body: impl FnOnce()) -> Duration {
    let start = now();
    body();
    now() - start
}
