//! Many connections held open: all requests are answered, idle connections take little memory, and
//! the idle timeout closes every connection, none too early.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use straightline::sched;
use straightline_harness::End;

use crate::client::{Client, MARGIN};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, each, joined, mebibytes, most_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(500, 5_000);
    let idle = trial.options.pick(Duration::from_secs(2), Duration::from_secs(10));
    let rounds = trial.options.pick(3, 10);
    let server = trial.start(&format!("--idle-timeout {}ms", idle.as_millis()), clients)?;
    let before = trial.scrape(&server);
    let descriptors = server.process().descriptors()?;
    let memory = server.process().memory()?;

    trial.doing(format!("{clients} connections, {rounds} requests on each, then idle"));
    let open = Open::default();
    let pause = idle / 10;
    let tally: Tally = sched::scope(|s| {
        let memory_idle = s.spawn(|| memory_when_all_are_idle(&server, &open, clients));
        let outcomes = each(0..clients, |_| one(&server, rounds, pause, idle, &open));
        let held = joined(memory_idle)??;
        let seen = format!("{} held at once", open.peak.get());
        trial.expect(format!("{clients} held at once"), seen, open.peak.get() == clients);
        let grown = held.saturating_sub(memory.resident);
        let most = MEMORY_SLACK_BYTES + clients as u64 * MEMORY_EACH_BYTES_MAX;
        let each = grown / clients as u64;
        let seen = format!("{} more, {each} bytes each", mebibytes(grown));
        trial.expect(format!("resident memory grows by {} at most", mebibytes(most)), seen, {
            grown <= most
        });
        io::Result::Ok(outcomes.into_iter().collect())
    })?;
    let in_time = tally.first() >= most_of(idle) && tally.last() <= idle + MARGIN;
    trial.expect(
        format!("each answered 200, then closed {idle:?} after its last response (+ {MARGIN:?})"),
        tally.to_string(),
        tally.all(|outcome| *outcome == Outcome::Ended(End::Closed)) && in_time,
    );
    trial.expect_all_closed(&server, descriptors)?;
    let after = trial.scrape(&server);
    trial.expect_growth(&before, &after, "straightline_timeouts_total{kind=\"idle\"}", clients);
    trial.expect_growth(&before, &after, "straightline_requests_total", clients * rounds);
    Ok(())
}

/// How many connections are open, and how many have sent their last request.
#[derive(Default)]
struct Open {
    now: Cell<usize>,
    peak: Cell<usize>,
    asked: Cell<usize>,
}

/// Runs one connection. Returns its outcome, and how long after its last response it ended.
fn one(
    server: &Server,
    rounds: usize,
    pause: Duration,
    idle: Duration,
    open: &Open,
) -> (Outcome, Duration) {
    let talk = || {
        let mut client = Client::connect(server.address())?;
        for round in 0..rounds {
            let status = client.get("/hello")?.status;
            if status != 200 {
                return Err(io::Error::other(format!("status {status} in round {round}")));
            }
            if round == 0 {
                open.now.set(open.now.get() + 1);
                open.peak.set(open.peak.get().max(open.now.get()));
            }
            if round + 1 < rounds {
                sched::sleep(pause);
            }
        }
        io::Result::Ok(client)
    };
    let client = talk();
    let quiet = Instant::now();
    open.asked.set(open.asked.get() + 1);
    let outcome =
        client.map_or_else(Outcome::from, |mut client| client.reply(idle + MARGIN).into());
    open.now.set(open.now.get().saturating_sub(1));
    (outcome, quiet.elapsed())
}

/// The server's memory once all clients have sent their last request.
fn memory_when_all_are_idle(server: &Server, open: &Open, clients: usize) -> io::Result<u64> {
    while open.asked.get() < clients {
        sched::sleep(LOOK_PAUSE);
    }
    Ok(server.process().memory()?.resident)
}

/// Eight times the documented memory of an idle connection, which is more than a page of a stack.
const MEMORY_EACH_BYTES_MAX: u64 = 8 * 1024;

/// For what the first requests allocate once: stacks, buffers, the allocator's arenas.
const MEMORY_SLACK_BYTES: u64 = 16 << 20;

/// Short in comparison with the idle timeout.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
