//! Heads that arrive byte by byte (slowloris): each connection ends at the head timeout, other
//! clients are served at the same time, and a slow head within the timeout is served.

use std::io;
use std::time::{Duration, Instant};

use straightline::sched;

use crate::client::{Client, Heard, MARGIN, get};
use crate::healthy::Healthy;
use crate::outcome::Outcome;
use crate::server::Server;
use crate::trial::{Trial, joined, most_of, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(50, 500);
    let timeout = trial.options.pick(Duration::from_secs(1), Duration::from_secs(5));
    let flags = format!("--head-timeout {0}ms --idle-timeout 60s", timeout.as_millis());
    let server = trial.start(&flags, clients)?;
    let before = trial.scrape(&server);
    let descriptors = server.process().descriptors()?;
    let healthy = Healthy::start(server.address(), false);

    trial.doing(format!("{clients} heads, a byte every {:?}; half are second ones", timeout / 20));
    let (tally, unhurried) = sched::scope(|s| {
        let unhurried = s.spawn(|| unhurried(&server, timeout));
        let tally = tally_of(0..clients, |index| {
            trickle(&server, timeout, index % 2 == 1).unwrap_or_else(Outcome::from)
        });
        (tally, joined(unhurried))
    });
    let in_time = tally.first() >= most_of(timeout) && tally.last() <= timeout + MARGIN;
    trial.expect(
        format!("each 408 or an end, after {timeout:?} (+ {MARGIN:?})"),
        tally.to_string(),
        tally.all(|outcome| outcome.is_refusal(408)) && in_time,
    );
    let outcome = unhurried?;
    let held = outcome == Outcome::Answered(200);
    trial.expect("200 for a head of five pieces in half the timeout", outcome.to_string(), held);
    healthy.finish(trial)?;
    trial.expect_all_closed(&server, descriptors)?;
    let after = trial.scrape(&server);
    trial.expect_growth(&before, &after, "straightline_timeouts_total{kind=\"head\"}", clients);
    Ok(())
}

/// Sends a head that never ends, until the server responds or closes.
fn trickle(server: &Server, timeout: Duration, second: bool) -> io::Result<Outcome> {
    let mut client = Client::connect(server.address())?;
    if second {
        client.get("/hello")?;
    }
    let begun = Instant::now();
    let head = b"GET /hello HTTP/1.1\r\nHost: trials\r\nX-Slow: ";
    for byte in head.iter().chain(std::iter::repeat(&b'x')) {
        if begun.elapsed() > timeout + MARGIN {
            return Ok(Outcome::Hung);
        }
        client.send(&[*byte])?;
        match client.hear(timeout / 20)? {
            Heard::Silence => {}
            Heard::End(end) => return Ok(Outcome::Ended(end)),
            // A response arrived. No request can follow on this connection, so it must end.
            Heard::Bytes => {
                let outcome = Outcome::from(client.reply(MARGIN));
                return Ok(match Outcome::from(client.reply(MARGIN)) {
                    Outcome::Ended(_) => outcome,
                    other => Outcome::Failed(format!("{outcome}, then {other}")),
                });
            }
        }
    }
    unreachable!("a head without end")
}

/// Sends a whole head in five pieces, which takes half of the timeout.
fn unhurried(server: &Server, timeout: Duration) -> Outcome {
    let talk = || {
        let mut client = Client::connect(server.address())?;
        let head = get("/hello");
        for piece in head.as_bytes().chunks(head.len().div_ceil(5)) {
            client.send(piece)?;
            sched::sleep(timeout / 10);
        }
        client.reply(MARGIN)
    };
    Outcome::from(talk())
}
