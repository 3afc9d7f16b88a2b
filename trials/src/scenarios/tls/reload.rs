//! New certificates by SIGHUP, under load: no request fails, and a half-written pair is not taken.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use straightline::sched;

use super::site::Site;
use crate::client::MARGIN;
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::tls::{Pair, TlsClient};
use crate::trial::{Trial, each, eventually, joined};

pub(super) fn run(trial: &mut Trial, site: &Site, server: &Server) -> io::Result<()> {
    let rounds = trial.options.pick(2, 10);
    site.doing(
        trial,
        &format!("{rounds} new pairs by SIGHUP, {CLIENTS} clients that connect anew"),
    );
    let stop = Cell::new(false);
    let (tally, taken) = sched::scope(|s| {
        let load = s.spawn(|| load(site, server, &stop));
        let taken = (1..=rounds).map(|round| replace(site, server, &site.pairs[round % 2]));
        let taken = taken.collect::<io::Result<Vec<bool>>>();
        stop.set(true);
        (joined(load), taken)
    });
    let tally = tally?;
    let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("each request 200", tally.to_string(), held);
    let taken = taken?;
    let seen = format!("{} of {}", taken.iter().filter(|&&taken| taken).count(), taken.len());
    let held = taken.iter().all(|&taken| taken);
    trial.expect("half a pair is counted and not taken, the whole one is", seen, held);
    Ok(())
}

/// Replaces the certificate in two steps. Returns whether the server kept the old one after the
/// first step, and has the new one after the second.
fn replace(site: &Site, server: &Server, new: &Pair) -> io::Result<bool> {
    let old = certificate(site, server)?;
    site.files.write_certificate(new)?;
    let is_refused = reload(site, server, "straightline_tls_reloads_failed_total")?;
    let is_kept = certificate(site, server)? == old;
    site.files.write_key(new)?;
    let is_read = reload(site, server, "straightline_tls_reloads_total")?;
    let is_taken = certificate(site, server)? == new.der;
    Ok(is_refused && is_kept && is_read && is_taken)
}

/// Sends the signal, and waits until the counter grows.
fn reload(site: &Site, server: &Server, key: &str) -> io::Result<bool> {
    let value = || -> io::Result<f64> { Ok(site.metrics(server)?.value(key).unwrap_or(0.0)) };
    let before = value()?;
    server.signal(Signal::HUP)?;
    eventually(MARGIN, || Ok(value()? > before))
}

/// The certificate of the server, in DER.
fn certificate(site: &Site, server: &Server) -> io::Result<Vec<u8>> {
    let client = TlsClient::connect(server.address(), &site.connector()?)?;
    let certificate = client.certificate().to_vec();
    client.reset()?;
    Ok(certificate)
}

/// Clients that connect, ask and leave until `stop`; every other connection resumes a session.
fn load(site: &Site, server: &Server, stop: &Cell<bool>) -> Tally {
    let outcomes = each(0..CLIENTS, |_| {
        let mut outcomes = Vec::new();
        let mut connector = site.connector();
        while !stop.get() {
            let begun = Instant::now();
            if outcomes.len() % 2 == 0 {
                connector = site.connector();
            }
            let talk = || -> io::Result<Outcome> {
                let connector =
                    connector.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
                let mut client = TlsClient::connect(server.address(), connector)?;
                let outcome = client.outcome_of("/hello");
                client.reset()?;
                Ok(outcome)
            };
            outcomes.push((talk().unwrap_or_else(Outcome::from), begun.elapsed()));
            sched::sleep(PAUSE);
        }
        outcomes
    });
    outcomes.into_iter().flatten().collect()
}

const CLIENTS: usize = 8;

/// The slower provider makes some hundred handshakes a second.
const PAUSE: Duration = Duration::from_millis(10);
