//! A client that behaves well, while other clients do not.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline::sched::{self, JoinHandle};

use crate::client::{Client, MARGIN};
use crate::trial::Trial;

/// The healthy client, on a fiber of its own.
pub(crate) struct Healthy {
    fiber: JoinHandle<Record>,
    stop: Rc<Cell<bool>>,
}

/// The results of its requests.
#[derive(Default)]
struct Record {
    answered: usize,
    failed: usize,
    first_error: Option<String>,
    slowest: Duration,
}

impl Healthy {
    /// Starts a client that requests `/hello` many times a second: on one connection, or each time
    /// on a new one.
    pub(crate) fn start(server: SocketAddr, anew: bool) -> Self {
        let mut client = None;
        Self::asking(move || {
            let result = ask(server, &mut client);
            if anew || result.is_err() {
                client = None;
            }
            result
        })
    }

    /// Starts a client that does this many times a second.
    pub(crate) fn asking(mut ask: impl FnMut() -> io::Result<()> + 'static) -> Self {
        let stop = Rc::new(Cell::new(false));
        let stopped = Rc::clone(&stop);
        let fiber = sched::spawn(move || {
            let mut record = Record::default();
            while !stopped.get() {
                let begun = Instant::now();
                match ask() {
                    Ok(()) => record.answered += 1,
                    Err(error) => {
                        record.failed += 1;
                        record.first_error.get_or_insert_with(|| error.to_string());
                    }
                }
                record.slowest = record.slowest.max(begun.elapsed());
                sched::sleep(PAUSE);
            }
            record
        });
        Self { fiber, stop }
    }

    /// Stops the client, and expects that all its requests were served.
    pub(crate) fn finish(self, trial: &mut Trial) -> io::Result<()> {
        self.stop.set(true);
        let record = self.fiber.join().map_err(|error| io::Error::other(error.to_string()))?;
        let slowest = record.slowest.as_secs_f64() * 1e3;
        let mut seen = format!("{} responses, slowest {slowest:.0} ms", record.answered);
        if let Some(error) = record.first_error {
            seen = format!("{seen}; {} failed: {error}", record.failed);
        }
        let expected = format!("a healthy client meanwhile: each response within {MARGIN:?}");
        trial.expect(expected, seen, record.answered > 0 && record.failed == 0);
        Ok(())
    }
}

fn ask(server: SocketAddr, client: &mut Option<Client>) -> io::Result<()> {
    let connected = match client {
        Some(client) => client,
        None => client.insert(Client::connect(server)?),
    };
    match connected.get("/hello")?.status {
        200 => Ok(()),
        status => Err(io::Error::other(format!("status {status}"))),
    }
}

/// Short enough to notice a server that stalls, long enough to be no load.
const PAUSE: Duration = Duration::from_millis(20);
