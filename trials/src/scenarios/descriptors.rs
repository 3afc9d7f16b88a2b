//! A server that runs out of descriptors: the connected clients are served, the others wait or are
//! refused, the server does not spin, and it serves new clients again once clients leave.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use straightline::sched;

use crate::client::{Client, Heard, MARGIN, get_once};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, each, eventually, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    // By default, the limit on connections follows from the descriptors, so they do not run out.
    run_out(trial, "")?;
    run_out(trial, "--max-connections 100000")
}

fn run_out(trial: &mut Trial, flags: &str) -> io::Result<()> {
    let descriptors: usize = trial.options.pick(64, 256);
    let clients = 2 * descriptors;
    let mut server = trial.start_short_of(descriptors as u64, &format!("{LONG_TIMES} {flags}"))?;
    let note = if flags.is_empty() { String::new() } else { format!(", {flags}") };
    trial.doing(format!("a server with {descriptors} descriptors{note}"));
    // The server opens some descriptors for its first client: these are no connections left open.
    let _ = trial.scrape(&server);
    let before = server.process().descriptors()?;

    trial.doing(format!("{clients} clients of a server with {descriptors} descriptors{note}"));
    let outcomes = each(0..clients, |_| arrive(&server));
    let mut groups = Groups::default();
    for outcome in outcomes {
        groups.add(outcome);
    }
    let seen = groups.to_string();
    // More than half of the descriptors is left for connections in any case.
    let good = groups.served.len() >= descriptors / 2 && groups.failed.total() == 0;
    let surplus = groups.waiting.len() + groups.refused.total() >= clients - descriptors;
    let expected = format!("at least {} served; the others wait or are refused", descriptors / 2);
    trial.expect(expected, seen, good && surplus);

    expect_rest(trial, &server)?;

    trial.doing("the served clients send another request");
    let tally = ask_again(&mut groups.served);
    expect_served(trial, &tally);

    trial.doing("half of the served clients leave");
    let left = groups.served.len() / 2;
    groups.served.truncate(groups.served.len() - left);
    let free = left.min(groups.waiting.len());
    // Each waiting client leaves once it has its response, and makes room for the next.
    let tally = tally_of(groups.waiting, |mut client| client.reply(MARGIN).into());
    let answered = tally.answered(200);
    if tally.total() > 0 {
        let expected = format!("at least {free} of the waiting clients: 200 within {MARGIN:?}");
        trial.expect(expected, tally.to_string(), answered >= free);
    }
    // The server notices only after a moment that the clients have left.
    eventually(MARGIN, || Ok(hello(&server) == Outcome::Answered(200)))?;
    trial.doing(format!("{} new clients", left / 2));
    expect_served(trial, &tally_of(0..left / 2, |_| hello(&server)));
    trial.doing("the clients that stayed send another request");
    let tally = ask_again(&mut groups.served);
    expect_served(trial, &tally);

    trial.doing("all leave, and new clients come");
    drop(groups.served);
    eventually(MARGIN, || Ok(server.process().descriptors()? <= before + 4))?;
    let others = tally_of(0..20, |_| hello(&server));
    expect_served(trial, &others);
    trial.expect(
        "the process has not ended",
        format!("{}", server.is_running()),
        server.is_running(),
    );
    trial.expect_all_closed(&server, before)?;
    let metrics = trial.scrape(&server);
    for key in ["straightline_accept_errors_total", "straightline_connections_rejected_total"] {
        trial.expect_exists(&metrics, key);
    }
    Ok(())
}

/// Expects the server to do next to nothing while no client asks.
fn expect_rest(trial: &mut Trial, server: &Server) -> io::Result<()> {
    let time = trial.options.pick(Duration::from_secs(1), Duration::from_secs(5));
    trial.doing(format!("no client asks for {time:?}"));
    let cpu = server.process().cpu_time()?;
    let begun = Instant::now();
    sched::sleep(time);
    let share = (server.process().cpu_time()?.saturating_sub(cpu)).as_secs_f64()
        / begun.elapsed().as_secs_f64();
    let seen = format!("{:.1} % of a CPU", share * 100.0);
    trial.expect("20 % of a CPU at most", seen, share <= 0.2);
    Ok(())
}

/// The outcome of a client's first request.
enum Arrival {
    Served(Client),
    Waiting(Client),
    Other(Outcome, Duration),
}

#[derive(Default)]
struct Groups {
    served: Vec<Client>,
    waiting: Vec<Client>,
    refused: Tally,
    failed: Tally,
}

impl Groups {
    fn add(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Served(client) => self.served.push(client),
            Arrival::Waiting(client) => self.waiting.push(client),
            Arrival::Other(outcome, time) if outcome.is_refusal(503) => {
                self.refused.add(outcome, time);
            }
            Arrival::Other(outcome, time) => self.failed.add(outcome, time),
        }
    }
}

impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (served, waiting) = (self.served.len(), self.waiting.len());
        write!(f, "{served} served, {waiting} wait; refused: {}", self.refused)?;
        match self.failed.total() {
            0 => Ok(()),
            _ => write!(f, "; failed: {}", self.failed),
        }
    }
}

fn arrive(server: &Server) -> Arrival {
    let begun = Instant::now();
    let mut client = match Client::connect(server.address()) {
        Ok(client) => client,
        Err(error) => return Arrival::Other(error.into(), begun.elapsed()),
    };
    let heard = client.ask("/hello").and_then(|()| client.hear(WAIT));
    match heard {
        Ok(Heard::Silence) => Arrival::Waiting(client),
        Ok(Heard::End(end)) => Arrival::Other(Outcome::Ended(end), begun.elapsed()),
        Ok(Heard::Bytes) => match Outcome::from(client.reply(MARGIN)) {
            Outcome::Answered(200) => Arrival::Served(client),
            other => Arrival::Other(other, begun.elapsed()),
        },
        Err(error) => Arrival::Other(error.into(), begun.elapsed()),
    }
}

fn hello(server: &Server) -> Outcome {
    get_once(server.address(), "/hello", MARGIN)
}

fn ask_again(clients: &mut [Client]) -> Tally {
    tally_of(clients, |client| client.outcome_of("/hello", MARGIN))
}

fn expect_served(trial: &mut Trial, tally: &Tally) {
    let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("each 200", tally.to_string(), held);
}

/// How long a client listens before it counts as waiting; more than a served client needs.
const WAIT: Duration = Duration::from_secs(1);

/// No connection is idle for so long that it loses its place to a new client.
const LONG_TIMES: &str = "--head-timeout 120s --idle-timeout 120s";
