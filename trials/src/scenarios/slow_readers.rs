//! Clients that do not read their response: each connection is cut in bounded time, the cut
//! response does not look whole, and the server keeps no response in memory.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use straightline::sched;
use straightline_harness::READ_BYTES;

use crate::client::{Client, Heard, MARGIN};
use crate::healthy::Healthy;
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::server::Server;
use crate::trial::{Trial, eventually, figure, joined, mebibytes, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(20, 100);
    let timeout = trial.options.pick(Duration::from_secs(1), Duration::from_secs(5));
    let flags = format!(
        "--write-timeout {0}ms --write-grace {0}ms --write-rate {RATE} --idle-timeout 60s \
         --handler-timeout 120s",
        timeout.as_millis()
    );
    let server = trial.start(&flags, 2 * clients)?;
    // The first response makes the server allocate memory that it keeps. This is not a response.
    Client::connect(server.address())?.get("/big?bytes=1000000")?;
    let before = trial.scrape(&server);
    let descriptors = server.process().descriptors()?;
    let memory = server.process().memory()?;
    let healthy = Healthy::start(server.address(), false);

    trial.doing(format!(
        "{clients} that read nothing of 1 GiB, {clients} that read at most {} B/s; the minimum \
         is {RATE} B/s",
        READ_BYTES as u128 * 1_000 / PAUSE.as_millis()
    ));
    let (begun, shared) = (Instant::now(), Shared::default());
    let (groups, cut) = sched::scope(|s| {
        let groups = [false, true].map(|slowly| {
            let (server, shared) = (&server, &shared);
            s.spawn(move || tally_of(0..clients, |_| read(server, shared, slowly)))
        });
        // A client that does not read does not notice the cut, so the server's descriptors are
        // counted.
        let (process, few) = (server.process(), descriptors + 2);
        let all_cut = || Ok(shared.asked.get() == 2 * clients && process.descriptors()? <= few);
        let cut = eventually(2 * timeout + MARGIN, all_cut).map(|cut| (cut, begun.elapsed()));
        shared.over.set(true);
        (groups.map(joined), cut)
    });
    let [still, slow] = groups;
    let (cut, after) = cut?;
    let peak = server.process().memory()?.peak;
    let seen = if cut {
        format!("all gone after {:.2} s", after.as_secs_f64())
    } else {
        format!("still {} descriptors", server.process().descriptors()?)
    };
    trial.expect(format!("the server closes all within {:?}", 2 * timeout + MARGIN), seen, cut);
    for (name, tally) in [("those that read nothing", still?), ("those that trickle", slow?)] {
        let held = tally.all(|outcome| matches!(outcome, Outcome::Half(_) | Outcome::Ended(_)));
        trial.expect(format!("{name}: each response cut"), tally.to_string(), held);
    }
    let most = MEMORY_SLACK_BYTES + 2 * clients as u64 * MEMORY_EACH_BYTES_MAX;
    let grown = peak.saturating_sub(memory.resident);
    let expected = format!("resident memory grows by {} at most", mebibytes(most));
    trial.expect(expected, mebibytes(grown), grown <= most);
    healthy.finish(trial)?;

    whole_answer(trial, &server)?;
    trial.expect_all_closed(&server, descriptors)?;
    let after = trial.scrape(&server);
    expect_timeouts(trial, &before, &after, 2 * clients);
    Ok(())
}

/// A client that reads gets all of a long response.
fn whole_answer(trial: &mut Trial, server: &Server) -> io::Result<()> {
    trial.doing("64 MiB to a client that reads");
    let read = Client::connect(server.address())?.get(&format!("/big?bytes={}", 64 << 20));
    let seen = read.as_ref().map_or_else(ToString::to_string, |answer| {
        format!("{}, {}", answer.status, mebibytes(answer.body_bytes))
    });
    let held = read.is_ok_and(|answer| answer.status == 200 && answer.body_bytes == 64 << 20);
    trial.expect("200 and all of it", seen, held);
    Ok(())
}

/// Expects the server to have counted a timeout for each of the clients.
fn expect_timeouts(trial: &mut Trial, before: &Metrics, after: &Metrics, clients: usize) {
    // While its window is closed, a trickling reader looks to the server like one that reads
    // nothing. So either of the two timeouts may end it, and only their sum is known.
    let total = "straightline_timeouts_total";
    let kinds = ["write", "write_rate"].map(|kind| {
        let key = format!("{total}{{kind=\"{kind}\"}}");
        trial.expect_exists(after, &key);
        after.value(&key).unwrap_or(0.0) - before.value(&key).unwrap_or(0.0)
    });
    let both = kinds.iter().sum::<f64>();
    let expected = format!("{total}: write and write_rate together {clients} at least");
    trial.expect(expected, format!("{both}"), both >= figure(clients));
}

/// What the clients share with the fiber that watches the server.
#[derive(Default)]
struct Shared {
    /// How many clients have sent their request, or failed to.
    asked: Cell<usize>,
    /// Whether the clients may read the rest.
    over: Cell<bool>,
}

/// Requests a long response and reads little or nothing until `over` is set. Then reads the rest.
fn read(server: &Server, shared: &Shared, slowly: bool) -> Outcome {
    let ask = || {
        let mut client = Client::connect(server.address())?;
        client.keep_little()?;
        client.ask(&format!("/big?bytes={}", 1 << 30))?;
        io::Result::Ok(client)
    };
    let asked = ask();
    shared.asked.set(shared.asked.get() + 1);
    let talk = || {
        let mut client = asked?;
        while !shared.over.get() {
            sched::sleep(PAUSE);
            if slowly && matches!(client.hear(PAUSE)?, Heard::End(_)) {
                break;
            }
        }
        client.reply(MARGIN)
    };
    Outcome::from(talk())
}

/// The least rate of a client: bytes a second. Arbitrary.
const RATE: u32 = 1_000_000;

/// A client that trickles reads a few KiB in each pause: a tenth of the rate.
const PAUSE: Duration = Duration::from_millis(100);

/// For each slow response: its pieces, its stack, and the buffers of its connection.
const MEMORY_EACH_BYTES_MAX: u64 = 256 * 1024;

/// For what the first responses allocate once: stacks, buffers, the allocator's arenas.
const MEMORY_SLACK_BYTES: u64 = 16 << 20;
