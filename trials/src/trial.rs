//! The interface of a scenario: through it the scenario starts servers, says what it does, and
//! records what it sees beside what it expects.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline::sched::{self, JoinHandle};

use crate::client::MARGIN;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::outcome::{Outcome, Tally};
use crate::progress::Progress;
use crate::report::{Check, Report};
use crate::server::{Bounds, Server, make_room};
#[cfg(feature = "tls")]
use crate::tls::Files;

/// A scenario while it runs.
pub(crate) struct Trial {
    pub(crate) options: Rc<Options>,
    progress: Rc<Progress>,
    scenario: &'static str,
    begun: Instant,
    doing: String,
    checks: Vec<Check>,
}

impl Trial {
    pub(crate) fn new(
        scenario: &'static str,
        options: Rc<Options>,
        progress: Rc<Progress>,
    ) -> Self {
        progress.say(scenario.to_owned());
        let (begun, doing) = (Instant::now(), String::new());
        Self { options, progress, scenario, begun, doing, checks: Vec::new() }
    }

    pub(crate) fn into_report(self) -> Report {
        let elapsed = self.begun.elapsed();
        Report { scenario: self.scenario, elapsed, checks: self.checks }
    }

    /// Starts the server for `clients` clients with these flags, which are separated by spaces. The
    /// server has two workers unless the flags say otherwise.
    pub(crate) fn start(&self, flags: &str, clients: usize) -> io::Result<Server> {
        make_room(clients)?;
        Server::start(&self.options.server, &split(flags), Bounds::default())
    }

    /// As [`start`](Self::start); the server speaks TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn start_https(
        &self,
        files: &Files,
        flags: &str,
        clients: usize,
    ) -> io::Result<Server> {
        make_room(clients)?;
        let flags: Vec<String> = split(flags).into_iter().chain(files.flags()).collect();
        Server::start(&self.options.https, &flags, Bounds::default())
    }

    /// As [`start`](Self::start), with limits.
    pub(crate) fn start_within(
        &self,
        bounds: Bounds,
        flags: &str,
        clients: usize,
    ) -> io::Result<Server> {
        make_room(clients)?;
        Server::start(&self.options.server, &split(flags), bounds)
    }

    /// As [`start`](Self::start), with at most `descriptors` descriptors.
    pub(crate) fn start_short_of(&self, descriptors: u64, flags: &str) -> io::Result<Server> {
        let bounds = Bounds { descriptors: Some(descriptors), ..Bounds::default() };
        Server::start(&self.options.server, &split(flags), bounds)
    }

    /// As [`start`](Self::start), at this address.
    pub(crate) fn start_at(&self, address: SocketAddr, flags: &str) -> io::Result<Server> {
        Server::start_at(address, &self.options.server, &split(flags))
    }

    /// As [`start`](Self::start); nothing reads the output of the server.
    pub(crate) fn start_unread(&self, flags: &str, clients: usize) -> io::Result<Server> {
        make_room(clients)?;
        Server::start_unread(&self.options.server, &split(flags))
    }

    /// Says what the scenario does from now on.
    pub(crate) fn doing(&mut self, what: impl Into<String>) {
        self.doing = what.into();
        self.progress.say(format!("{}: {}", self.scenario, self.doing));
    }

    /// Records what was seen, what was expected, and whether that held.
    pub(crate) fn expect(
        &mut self,
        expected: impl Into<String>,
        seen: impl Into<String>,
        held: bool,
    ) {
        let (expected, seen) = (Some(expected.into()), seen.into());
        self.checks.push(Check { done: self.doing.clone(), seen, expected, held });
    }

    /// Records a figure without an expectation.
    pub(crate) fn figure(&mut self, seen: impl Into<String>) {
        let (done, seen) = (self.doing.clone(), seen.into());
        self.checks.push(Check { done, seen, expected: None, held: true });
    }

    /// Requests the server's counters. A failure is recorded, and the scenario goes on.
    pub(crate) fn scrape(&mut self, server: &Server) -> Metrics {
        Metrics::scrape(server.address()).unwrap_or_else(|error| {
            self.expect("/metrics responds", error.to_string(), false);
            Metrics::default()
        })
    }

    /// Expects a counter to have grown by at least `least`.
    pub(crate) fn expect_growth(
        &mut self,
        before: &Metrics,
        after: &Metrics,
        key: &str,
        least: usize,
    ) {
        let expected = format!("{key} grows by {least} at least");
        match after.value(key) {
            None => self.expect(expected, format!("there is no {key}"), false),
            Some(value) => {
                let grown = value - before.value(key).unwrap_or(0.0);
                let held = grown >= figure(least);
                self.expect(expected, format!("{grown}"), held);
            }
        }
    }

    /// Expects a counter to exist.
    pub(crate) fn expect_exists(&mut self, metrics: &Metrics, key: &str) {
        let value = metrics.value(key);
        let seen = value.map_or(format!("there is no {key}"), |value| format!("{value}"));
        self.expect(format!("{key} exists"), seen, value.is_some());
    }

    /// Expects the server to have closed the connections that its clients left, by its count of
    /// connections and by its descriptors.
    pub(crate) fn expect_all_closed(
        &mut self,
        server: &Server,
        descriptors_before: usize,
    ) -> io::Result<()> {
        let process = server.process();
        let few = descriptors_before + DESCRIPTORS_SLACK;
        let closed = eventually(MARGIN, || Ok(process.descriptors()? <= few))?;
        let seen = format!("{} descriptors open", process.descriptors()?);
        self.expect(format!("at most {few}, {DESCRIPTORS_SLACK} more than before"), seen, closed);

        let active = "straightline_connections_active";
        let mut value = self.scrape(server).value(active);
        eventually(MARGIN, || {
            if value.is_some_and(|value| value > ACTIVE_MAX) {
                value = Metrics::scrape(server.address())?.value(active);
            }
            Ok(value.is_none_or(|value| value <= ACTIVE_MAX))
        })?;
        let seen = value.map_or(format!("there is no {active}"), |value| format!("{value}"));
        let held = value.is_some_and(|value| value <= ACTIVE_MAX);
        self.expect(format!("{active} at most {ACTIVE_MAX}"), seen, held);
        Ok(())
    }
}

/// Waits until `is` returns true, for at most `bound`; false if it never did.
pub(crate) fn eventually(
    bound: Duration,
    mut is: impl FnMut() -> io::Result<bool>,
) -> io::Result<bool> {
    let begun = Instant::now();
    loop {
        if is()? {
            return Ok(true);
        }
        if begun.elapsed() > bound {
            return Ok(false);
        }
        sched::sleep(LOOK_PAUSE);
    }
}

/// Waits until the server has read `requests` requests: only then is a request in flight. Waits for
/// [`MARGIN`] at most, because the server may have no counters. The counters must not have been
/// requested before.
pub(crate) fn requests_are_read(server: &Server, requests: usize) -> io::Result<bool> {
    let mut asked = 0;
    eventually(MARGIN, || {
        // Each request for the metrics is counted, too.
        asked += 1;
        let metrics = Metrics::scrape(server.address()).unwrap_or_default();
        let read = metrics.value("straightline_requests_total");
        Ok(read.is_some_and(|read| read >= figure(requests + asked)))
    })
}

/// Runs a fiber for each item, all at the same time, and waits for all of them.
pub(crate) fn each<I, T>(items: impl IntoIterator<Item = I>, body: impl Fn(I) -> T) -> Vec<T> {
    let body = &body;
    sched::scope(|s| {
        let fibers: Vec<_> = items.into_iter().map(|item| s.spawn(move || body(item))).collect();
        let join = |fiber: JoinHandle<T>| fiber.join().expect("a client does not panic");
        fibers.into_iter().map(join).collect()
    })
}

/// As [`each`]; returns the tally of the outcomes, each with the time that it took.
pub(crate) fn tally_of<I>(
    items: impl IntoIterator<Item = I>,
    body: impl Fn(I) -> Outcome,
) -> Tally {
    let timed = |item| {
        let begun = Instant::now();
        (body(item), begun.elapsed())
    };
    each(items, timed).into_iter().collect()
}

/// Joins a fiber. A panic of the fiber is an error.
pub(crate) fn joined<T>(fiber: JoinHandle<T>) -> io::Result<T> {
    fiber.join().map_err(|error| io::Error::other(error.to_string()))
}

/// A number of bytes in a readable form.
pub(crate) fn mebibytes(bytes: u64) -> String {
    // Numbers of bytes here stay far below 2^52, where f64 would begin to round.
    #[allow(clippy::cast_precision_loss)]
    let count = bytes as f64 / f64::from(1 << 20);
    format!("{count:.1} MiB")
}

/// A count as f64. Counts here stay far below 2^52, where f64 would begin to round.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn figure(count: usize) -> f64 {
    count as f64
}

/// A little less than a timeout, because client and server read their clocks at different moments.
pub(crate) fn most_of(timeout: Duration) -> Duration {
    timeout * 9 / 10
}

/// The flags, completed by the number of workers if they do not have it.
fn split(flags: &str) -> Vec<String> {
    let workers = if flags.contains("--workers") { "" } else { "--workers 2 " };
    format!("{workers}{flags}").split_whitespace().map(str::to_owned).collect()
}

/// How many descriptors a server may have opened for itself since it started: a file, a notifier, a
/// connection that was just closed.
const DESCRIPTORS_SLACK: usize = 4;

/// The connection that requests the metrics, and the one before it.
const ACTIVE_MAX: f64 = 2.0;

/// Short in comparison with the times to wait for, long in comparison with the cost of a check.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
