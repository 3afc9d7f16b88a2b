//! Handshakes that take too long: the timeout ends each, and others are served meanwhile.

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use straightline::net::TcpStream;
use straightline::sched;
use straightline_harness::End;

use super::site::{Site, failed};
use crate::client::{MARGIN, within};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::tls::{connect_raw, hello};
use crate::trial::{Trial, each, most_of};

pub(super) fn run(trial: &mut Trial, site: &Site) -> io::Result<()> {
    let clients = trial.options.connections(60, 300);
    let timeout = trial.options.pick(Duration::from_secs(1), Duration::from_secs(3));
    let flags = format!("--handshake-timeout {}ms", timeout.as_millis());
    let mut server = site.start(trial, &flags, clients)?;
    let hello = hello(&site.connector()?)?;
    site.warm_up(&server)?;
    let descriptors = server.process().descriptors()?;
    let before = site.metrics(&server)?;
    let healthy = site.healthy(&server)?;
    site.doing(
        trial,
        &format!(
            "{clients} clients: a hello byte by byte, half a hello, a hello and no more; \
             --handshake-timeout {timeout:?}"
        ),
    );
    let bound = timeout + MARGIN;
    let tally: Tally =
        each(0..clients, |index| one(&server, index, &hello, bound)).into_iter().collect();
    let is_in_time = tally.first() >= most_of(timeout) && tally.last() <= bound;
    let held = tally.all(|outcome| matches!(outcome, Outcome::Ended(_))) && is_in_time;
    trial.expect(format!("an end after {timeout:?} (+ {MARGIN:?})"), tally.to_string(), held);
    healthy.finish(trial)?;
    site.expect_all_closed(trial, &server, descriptors)?;
    let after = site.metrics(&server)?;
    trial.expect_growth(&before, &after, &failed("timed_out"), clients);
    site.expect_an_end(trial, &mut server)
}

/// Runs a client. Returns how it ended, and how long after its first byte.
fn one(server: &Server, index: usize, hello: &[u8], bound: Duration) -> (Outcome, Duration) {
    let talk = || -> io::Result<(Outcome, Duration)> {
        let mut stream = connect_raw(server.address())?;
        let begun = Instant::now();
        let sent = match index % 3 {
            0 => &hello[..1],
            1 => &hello[..hello.len() / 2],
            _ => hello,
        };
        stream.write_all(sent)?;
        let rest = if index.is_multiple_of(3) { &hello[1..] } else { &[] };
        let outcome = sched::scope(|s| {
            let (stream, rest) = (&stream, &rest);
            s.spawn(move || drip(stream, rest));
            let outcome = wait_for_the_end(stream, bound);
            s.cancel();
            outcome
        });
        Ok((outcome, begun.elapsed()))
    };
    talk().unwrap_or_else(|error| (error.into(), Duration::ZERO))
}

/// Sends byte by byte. It is cancelled before it has sent all.
fn drip(mut stream: &TcpStream, bytes: &[u8]) {
    for byte in bytes {
        sched::sleep(DRIP_PAUSE);
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
    }
}

/// Reads what the server sends until it closes.
fn wait_for_the_end(mut stream: &TcpStream, bound: Duration) -> Outcome {
    let end = within(bound, || {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer)? > 0 {}
        Ok(End::Closed)
    });
    match end {
        Ok(end) => Outcome::Ended(end),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Outcome::Ended(End::Reset),
        Err(error) => error.into(),
    }
}

const DRIP_PAUSE: Duration = Duration::from_millis(50);
