//! Connections open in waves and end in every way: the server gives their memory back after the
//! waves, however many waves there were.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use straightline::sched;
use straightline_harness::Reply;

use crate::body::Body;
use crate::client::{Client, MARGIN};
use crate::outcome::{Outcome, Tally};
use crate::process::Process;
use crate::server::Server;
use crate::trial::{Trial, eventually, joined, mebibytes, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(500, 4_000);
    let time = trial.options.seconds(1.5, 20.0);
    let server = trial.start("--idle-timeout 60s --head-timeout 60s", clients)?;
    let process = server.process();

    trial.doing(format!("a wave of {}", clients / 10));
    let tally = wave(&server, clients.div_ceil(10));
    trial.expect("each request 200", tally.to_string(), tally.all(is_good));
    let descriptors = process.descriptors()?;
    let baseline = process.memory()?.resident;
    trial.figure(format!("{} resident", mebibytes(baseline)));
    let before = trial.scrape(&server);

    trial.doing(format!("waves of {clients} for {time:?}"));
    let stop = Cell::new(false);
    let begun = Instant::now();
    let (tally, waves, samples) = sched::scope(|s| {
        let samples = s.spawn(|| sample(process, &stop));
        let (mut tally, mut waves) = (Tally::default(), 0);
        // Two waves at least: with one nothing could accumulate.
        while waves < 2 || begun.elapsed() < time {
            tally.merge(&wave(&server, clients));
            waves += 1;
        }
        stop.set(true);
        (tally, waves, joined(samples))
    });
    let samples = samples??;
    let held = tally.all(is_good);
    trial.expect("each request 200", format!("{waves} waves: {tally}"), held);
    let peak = samples.iter().max().copied().unwrap_or_default();
    let seen = format!("{} at most, {} samples", mebibytes(peak), samples.len());
    let most = baseline + MEMORY_SLACK_BYTES + clients as u64 * MEMORY_EACH_BYTES_MAX;
    trial.expect(format!("resident: {} at most", mebibytes(most)), seen, peak <= most);

    trial.doing("all clients have left");
    let most = (baseline * MEMORY_FACTOR).max(baseline + MEMORY_SLACK_BYTES);
    let back = eventually(SETTLE_TIME_MAX, || Ok(process.memory()?.resident <= most))?;
    let expected = format!(
        "resident: {} at most ({MEMORY_FACTOR} × the beginning, or {} more) within \
         {SETTLE_TIME_MAX:?}",
        mebibytes(most),
        mebibytes(MEMORY_SLACK_BYTES)
    );
    trial.expect(expected, mebibytes(process.memory()?.resident), back);
    trial.expect_all_closed(&server, descriptors)?;
    let after = trial.scrape(&server);
    for counter in ["connections_accepted_total", "connections_closed_total"] {
        trial.expect_growth(&before, &after, &format!("straightline_{counter}"), tally.total());
    }
    Ok(())
}

/// Runs `clients` clients: each sends a request, waits until all have connected, sends another
/// one, and leaves in its own way.
fn wave(server: &Server, clients: usize) -> Tally {
    let there = Cell::new(0);
    tally_of(0..clients, |index| {
        let begun = Instant::now();
        let arrived = arrive(server);
        there.set(there.get() + 1);
        while there.get() < clients && begun.elapsed() < MARGIN {
            sched::sleep(LOOK_PAUSE);
        }
        arrived.and_then(|client| leave(client, index)).unwrap_or_else(Outcome::from)
    })
}

fn arrive(server: &Server) -> io::Result<Client> {
    let mut client = Client::connect(server.address())?;
    match client.get("/hello")?.status {
        200 => Ok(client),
        status => Err(io::Error::other(format!("status {status} at the first request"))),
    }
}

fn leave(mut client: Client, index: usize) -> io::Result<Outcome> {
    let body = Body { bytes: 20_000, chunked: index.is_multiple_of(2) };
    let head = body.head("/echo");
    let outcome = match client.exchange(head.as_bytes(), &body, MARGIN)? {
        Reply::Whole(answer) if answer.body_hash != body.hash() => {
            Outcome::Failed("another body".to_owned())
        }
        other => Outcome::from(Ok(other)),
    };
    match index % 4 {
        // In the middle of a head, and in the middle of a body.
        0 => client.send(b"GET /hello HTTP/1.1\r\nHo")?,
        1 => client.send(head.as_bytes())?,
        // After a request whose response is never read.
        2 => client.ask("/big?bytes=100000")?,
        _ => {}
    }
    if index.is_multiple_of(3) {
        client.reset()?;
    }
    Ok(outcome)
}

/// Samples the resident memory until `stop`.
fn sample(process: Process, stop: &Cell<bool>) -> io::Result<Vec<u64>> {
    let mut samples = Vec::new();
    while !stop.get() {
        samples.push(process.memory()?.resident);
        sched::sleep(SAMPLE_PAUSE);
    }
    Ok(samples)
}

fn is_good(outcome: &Outcome) -> bool {
    *outcome == Outcome::Answered(200)
}

/// How much memory the server may keep, in multiples of the memory before, as `trials/README.md`
/// says.
const MEMORY_FACTOR: u64 = 2;

/// How much more memory a small server may keep: for stacks in the pool, and the arenas of the
/// allocator.
const MEMORY_SLACK_BYTES: u64 = 16 << 20;

/// For each active client: a stack of a few pages, its buffers, pieces of a streamed response.
const MEMORY_EACH_BYTES_MAX: u64 = 192 * 1024;

/// Generous: the server gives memory back in bounded amounts.
const SETTLE_TIME_MAX: Duration = MARGIN.saturating_mul(3);

const SAMPLE_PAUSE: Duration = Duration::from_millis(50);

const LOOK_PAUSE: Duration = Duration::from_millis(10);
