//! Bodies that stall and bodies that trickle: both end in bounded time, and an upload that is slow
//! but above the least rate is accepted whole.

use std::io;
use std::time::{Duration, Instant};

use straightline::sched;

use crate::client::{Client, Heard, MARGIN};
use crate::healthy::Healthy;
use crate::outcome::Outcome;
use crate::server::Server;
use crate::trial::{Trial, joined, most_of, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    let clients = trial.options.connections(20, 200);
    let timeout = trial.options.pick(Duration::from_secs(1), Duration::from_secs(5));
    // Longer than the timeout, so that the two can be distinguished.
    let grace = timeout * 3 / 2;
    let flags = format!(
        "--body-timeout {}ms --body-grace {}ms --body-rate {RATE} --head-timeout 60s \
         --idle-timeout 60s --handler-timeout 60s",
        timeout.as_millis(),
        grace.as_millis()
    );
    let server = trial.start(&flags, 3 * clients)?;
    let before = trial.scrape(&server);
    let descriptors = server.process().descriptors()?;
    let healthy = Healthy::start(server.address(), false);

    trial.doing(format!(
        "{clients} stalled, {clients} of {} B/s, {clients} of {} B/s; the minimum is {RATE} B/s",
        SLOW.per_second(),
        FAST.per_second()
    ));
    let groups = sched::scope(|s| {
        let group = |upload: Upload, steps: Option<u32>| {
            let server = &server;
            s.spawn(move || {
                tally_of(0..clients, |index: usize| {
                    let chunked = !index.is_multiple_of(2);
                    send(server, upload, chunked, steps, timeout).unwrap_or_else(Outcome::from)
                })
            })
        };
        // The upload takes longer than the grace.
        let steps = u32::try_from(timeout.as_millis() * 2 / STEP.as_millis()).unwrap_or(1);
        let groups = [group(STALLED, None), group(SLOW, None), group(FAST, Some(steps))];
        groups.map(joined)
    });
    let [stalled, trickling, unhurried] = groups;
    let (stalled, trickling, unhurried) = (stalled?, trickling?, unhurried?);
    for (name, tally, least) in [("stalled", &stalled, timeout), ("trickling", &trickling, grace)] {
        let most = grace + MARGIN;
        let in_time = tally.first() >= most_of(least) && tally.last() <= most;
        trial.expect(
            format!("{name}: each 408 or an end, from {least:?} on, within {most:?}"),
            tally.to_string(),
            tally.all(|outcome| outcome.is_refusal(408)) && in_time,
        );
    }
    let held = unhurried.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("fast enough: each 200", unhurried.to_string(), held);
    healthy.finish(trial)?;
    trial.expect_all_closed(&server, descriptors)?;
    let after = trial.scrape(&server);
    let kind = |kind| format!("straightline_timeouts_total{{kind=\"{kind}\"}}");
    trial.expect_growth(&before, &after, &kind("body"), clients);
    trial.expect_growth(&before, &after, &kind("body_rate"), clients);
    Ok(())
}

/// How fast a body is sent: the bytes in each [`STEP`].
#[derive(Clone, Copy)]
struct Upload {
    step_bytes: u32,
}

impl Upload {
    fn per_second(self) -> u32 {
        self.step_bytes * 1_000 / u32::try_from(STEP.as_millis()).unwrap_or(1)
    }
}

/// Sends a body of `steps` steps and its end, or sends until the server responds or closes.
fn send(
    server: &Server,
    upload: Upload,
    chunked: bool,
    steps: Option<u32>,
    timeout: Duration,
) -> io::Result<Outcome> {
    let mut client = Client::connect(server.address())?;
    let length = steps.map_or(1 << 20, |steps| steps * upload.step_bytes);
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {length}")
    };
    client
        .send(format!("POST /upload HTTP/1.1\r\nHost: trials\r\n{framing}\r\n\r\n").as_bytes())?;
    let size = usize::try_from(upload.step_bytes).unwrap_or(0);
    let piece = "x".repeat(size);
    // A chunk of no bytes would be the last.
    let piece = if chunked && size > 0 { format!("{size:x}\r\n{piece}\r\n") } else { piece };
    let begun = Instant::now();
    let mut sent = 0;
    while steps.is_none_or(|steps| sent < steps) {
        if begun.elapsed() > 2 * timeout + MARGIN {
            return Ok(Outcome::Hung);
        }
        client.send(piece.as_bytes())?;
        sent += 1;
        match client.hear(STEP)? {
            Heard::Silence => {}
            Heard::Bytes => return Ok(client.reply(MARGIN).into()),
            Heard::End(end) => return Ok(Outcome::Ended(end)),
        }
    }
    if chunked {
        client.send(b"0\r\n\r\n")?;
    }
    Ok(client.reply(MARGIN).into())
}

/// The least rate of a body: bytes a second.
const RATE: u32 = 1_000;

const STEP: Duration = Duration::from_millis(100);

const STALLED: Upload = Upload { step_bytes: 0 };
/// A tenth of the rate. The pauses are shorter than the timeout.
const SLOW: Upload = Upload { step_bytes: 10 };
/// Ten times the rate, so that a busy machine does not fall below it.
const FAST: Upload = Upload { step_bytes: 1_000 };
