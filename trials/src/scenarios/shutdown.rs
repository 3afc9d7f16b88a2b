//! SIGTERM under load: requests in flight get their whole responses, idle connections are closed at
//! once, no response is cut, and the process ends in time with status 0.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use straightline::sched;
use straightline_harness::{End, READ_BYTES};

use crate::client::{Client, MARGIN, get_once};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, each, eventually, joined, requests_are_read};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    drains(trial)?;
    tells_first(trial)?;
    gives_up(trial)
}

/// The orderly stop, with clients of every kind.
fn drains(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(20, 200);
    let slow = trial.options.pick(Duration::from_millis(1500), Duration::from_secs(5));
    let drain = 4 * slow;
    let flags = format!("--drain-timeout {}ms --ready-delay 0ms", drain.as_millis());
    let mut server = trial.start(&flags, 4 * clients)?;

    trial.doing(format!(
        "SIGTERM; {clients} each in /slow?ms={}, in /big, sending requests all the time, and idle",
        slow.as_millis()
    ));
    let moment = Moment::default();
    let groups = sched::scope(|s| {
        let group = |of: fn(&Server, &Moment, Duration) -> io::Result<Outcome>| {
            let (server, moment) = (&server, &moment);
            s.spawn(move || each(0..clients, |_| timed(server, moment, of, slow)))
        };
        let (in_flight, streaming, idle) = (group(in_flight), group(streaming), group(idle));
        // Two requests of each client in /slow and /big, one of each idle client.
        moment.wait_for(3 * clients);
        requests_are_read(&server, 5 * clients)?;
        let asking = group(asking);
        moment.wait_for(4 * clients);
        moment.sent.set(Some(Instant::now()));
        server.terminate()?;
        io::Result::Ok([in_flight, streaming, asking, idle].map(joined))
    })?;
    let tally = |outcomes: io::Result<Vec<_>>| outcomes.map(Tally::from_iter);
    let [in_flight, streaming, asking, idle] = groups.map(tally);
    let (in_flight, streaming, asking, idle) = (in_flight?, streaming?, asking?, idle?);
    let good = |outcome: &Outcome| *outcome == Outcome::Answered(200);
    trial.expect("in flight: each 200", in_flight.to_string(), in_flight.all(good));
    trial.expect("streamed: each 200 and whole", streaming.to_string(), streaming.all(good));
    // The close may overtake a request: the client then gets no response, but never half of one.
    let held = asking.all(|outcome| matches!(outcome, Outcome::Ended(_)));
    trial.expect("sending: whole responses, then an end", asking.to_string(), held);
    let early = idle.last() < in_flight.first();
    let held = idle.all(|outcome| *outcome == Outcome::Ended(End::Closed)) && early;
    trial.expect(
        "idle: each closed before the first response to one in flight",
        idle.to_string(),
        held,
    );

    let status = server.wait(drain + MARGIN)?;
    let sent = moment.sent.get().unwrap_or_else(Instant::now);
    let seen = status.map_or("still there".to_owned(), |status| {
        format!("{status} after {:.2} s", sent.elapsed().as_secs_f64())
    });
    let held = status.is_some_and(|status| status.success());
    trial.expect(format!("exit status 0 within {drain:?} (+ {MARGIN:?})"), seen, held);
    let late = Client::connect(server.address()).map(|_| ());
    let seen = late.as_ref().map_or_else(ToString::to_string, |()| "connected".to_owned());
    trial.expect("afterwards a connect is refused", seen, late.is_err());
    Ok(())
}

/// The ready delay: a load balancer learns of the stop, and all clients are still served.
fn tells_first(trial: &mut Trial) -> io::Result<()> {
    let delay = trial.options.pick(Duration::from_secs(1), Duration::from_secs(3));
    trial.doing(format!("SIGTERM with a ready delay of {delay:?}"));
    let flags = format!("--drain-timeout 5s --ready-delay {}ms", delay.as_millis());
    let mut server = trial.start(&flags, 4)?;
    let before = status_of(&server, "/readyz");
    trial.expect("/readyz before: 200", before.to_string(), before == Outcome::Answered(200));
    let begun = Instant::now();
    server.terminate()?;
    let announced =
        eventually(delay + MARGIN, || Ok(status_of(&server, "/readyz") != Outcome::Answered(200)))?;
    let ready = status_of(&server, "/readyz");
    let alive = status_of(&server, "/healthz");
    let hello = status_of(&server, "/hello");
    let time = begun.elapsed();
    let seen = format!("{ready}, {alive}, {hello}, {:.2} s after", time.as_secs_f64());
    // If the machine is too slow, the delay is over by now, and this check fails.
    let held = announced && (ready == Outcome::Answered(503) && alive == hello && hello == OK);
    trial.expect("/readyz 503, /healthz and /hello 200, on new connections", seen, held);
    let status = server.wait(delay + MARGIN)?;
    let seen = status.map_or("still there".to_owned(), |status| {
        format!("{status} after {:.2} s", begun.elapsed().as_secs_f64())
    });
    let held = status.is_some_and(|status| status.success()) && begun.elapsed() >= delay;
    trial.expect(format!("exit status 0, after {delay:?} (+ {MARGIN:?})"), seen, held);
    Ok(())
}

/// A handler that takes longer than the drain timeout.
fn gives_up(trial: &mut Trial) -> io::Result<()> {
    let drain = trial.options.pick(Duration::from_millis(700), Duration::from_secs(3));
    trial.doing(format!("SIGTERM with a drain timeout of {drain:?}, during /slow?ms=600000"));
    let flags = format!("--drain-timeout {}ms --ready-delay 0ms", drain.as_millis());
    let mut server = trial.start(&flags, 4)?;
    let mut client = Client::connect(server.address())?;
    client.get("/hello")?;
    client.ask("/slow?ms=600000")?;
    requests_are_read(&server, 2)?;
    server.terminate()?;
    let outcome = Outcome::from(client.reply(drain + MARGIN));
    let held = outcome.is_refusal(503);
    trial.expect("its client: an end or a whole 503", outcome.to_string(), held);
    let status = server.wait(drain + MARGIN)?;
    let seen = status.map_or("still there".to_owned(), |status| status.to_string());
    trial.expect(format!("gone within {drain:?} (+ {MARGIN:?})"), seen, status.is_some());
    Ok(())
}

/// What the clients share with the fiber that sends the signal.
#[derive(Default)]
struct Moment {
    there: Cell<usize>,
    sent: Cell<Option<Instant>>,
}

impl Moment {
    fn arrive(&self) {
        self.there.set(self.there.get() + 1);
    }

    fn wait_for(&self, clients: usize) {
        let begun = Instant::now();
        // A client that fails never arrives.
        while self.there.get() < clients && begun.elapsed() < MARGIN {
            sched::sleep(LOOK_PAUSE);
        }
    }
}

/// The outcome of a client, and how long after the signal it was known.
fn timed(
    server: &Server,
    moment: &Moment,
    of: fn(&Server, &Moment, Duration) -> io::Result<Outcome>,
    slow: Duration,
) -> (Outcome, Duration) {
    let outcome = of(server, moment, slow).unwrap_or_else(Outcome::from);
    (outcome, moment.sent.get().map_or(Duration::ZERO, |sent| sent.elapsed()))
}

fn in_flight(server: &Server, moment: &Moment, slow: Duration) -> io::Result<Outcome> {
    let mut client = Client::connect(server.address())?;
    // After a first response the connection has certainly been accepted.
    client.get("/hello")?;
    client.ask(&format!("/slow?ms={}", slow.as_millis()))?;
    moment.arrive();
    Ok(client.reply(slow + MARGIN).into())
}

/// Reads so slowly that its response takes as long as a slow handler.
fn streaming(server: &Server, moment: &Moment, slow: Duration) -> io::Result<Outcome> {
    let mut client = Client::connect(server.address())?;
    client.keep_little()?;
    client.get("/hello")?;
    let reads = slow.as_millis() / READ_PAUSE.as_millis();
    let bytes = reads * READ_BYTES as u128;
    client.read_slowly(READ_PAUSE);
    client.ask(&format!("/big?bytes={bytes}"))?;
    moment.arrive();
    let outcome = Outcome::from(client.reply(2 * slow + MARGIN));
    Ok(outcome)
}

/// Sends requests until the connection ends, which it may do only between two responses.
fn asking(server: &Server, moment: &Moment, slow: Duration) -> io::Result<Outcome> {
    let begun = Instant::now();
    let mut client = Client::connect(server.address())?;
    client.get("/hello")?;
    moment.arrive();
    while begun.elapsed() < 2 * slow + 2 * MARGIN {
        // A write to a connection that has been closed in between fails.
        match client.outcome_of("/hello", MARGIN) {
            Outcome::Answered(200) => sched::sleep(ASK_PAUSE),
            other => return Ok(other),
        }
    }
    Ok(Outcome::Hung)
}

fn idle(server: &Server, moment: &Moment, slow: Duration) -> io::Result<Outcome> {
    let mut client = Client::connect(server.address())?;
    client.get("/hello")?;
    moment.arrive();
    Ok(client.reply(slow + 2 * MARGIN).into())
}

fn status_of(server: &Server, target: &str) -> Outcome {
    get_once(server.address(), target, MARGIN)
}

const OK: Outcome = Outcome::Answered(200);

const LOOK_PAUSE: Duration = Duration::from_millis(5);

const READ_PAUSE: Duration = Duration::from_millis(10);

const ASK_PAUSE: Duration = Duration::from_millis(5);
