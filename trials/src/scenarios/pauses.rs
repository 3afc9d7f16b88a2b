//! A server does not run for longer than its timeouts. Its process is stopped (like a frozen
//! container or a suspended virtual machine), or a handler occupies the only thread. Clients that
//! have sent or read in time are served when the server runs again.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use straightline::sched;

use crate::client::{Client, MARGIN, get, get_once};
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, each, joined, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    pause(trial, "SIGSTOP", |server, time| {
        server.signal(Signal::STOP)?;
        sched::sleep(time);
        server.signal(Signal::CONT)
    })?;
    pause(trial, "a handler that computes", |server, time| {
        let mut client = Client::connect(server.address())?;
        client.ask(&format!("/spin?ms={}", time.as_millis()))?;
        client.answer(time + MARGIN).map(drop)
    })
}

fn pause(
    trial: &mut Trial,
    what: &str,
    keep: fn(&Server, Duration) -> io::Result<()>,
) -> io::Result<()> {
    let clients = trial.options.connections(100, 1_000);
    let timeout = trial.options.pick(Duration::from_secs(2), Duration::from_secs(5));
    let ms = timeout.as_millis();
    let flags = format!(
        "--workers 1 --head-timeout {ms}ms --body-timeout {ms}ms --write-timeout {ms}ms \
         --idle-timeout {ms}ms --stuck-limit 60s"
    );
    let server = trial.start(&flags, 2 * clients + 1)?;
    trial.doing(format!(
        "{what} for {:?}, timeouts of {timeout:?}; {clients} with half a head, {} each with half a \
         body, a response half read, and idle",
        timeout * 2,
        clients / 4
    ));
    let kinds = [Kind::Head, Kind::Body, Kind::Download, Kind::Rest];
    let number = |kind| if kind == Kind::Head { clients } else { clients / 4 };
    let all = kinds.into_iter().flat_map(|kind| (0..number(kind)).map(move |_| kind));
    let begun = Instant::now();
    let waiting: io::Result<Vec<_>> =
        each(all, |kind| kind.begin(&server).map(|client| (kind, client))).into_iter().collect();
    let mut waiting = waiting?;
    // When the server responds to this, it has read the bytes that the clients sent before, and
    // their timeouts run.
    let _ = trial.scrape(&server);
    let seen = format!("{:.2} s", begun.elapsed().as_secs_f64());
    trial.expect(format!("all are connected within {timeout:?}"), seen, begun.elapsed() < timeout);
    let outcomes = sched::scope(|s| {
        let kept = s.spawn(|| keep(&server, timeout * 2));
        // The pause must have begun before the clients send the rest.
        sched::sleep(timeout / 20);
        for (kind, client) in &mut waiting {
            client.send(kind.rest().as_bytes())?;
        }
        let outcomes = each(waiting, |(kind, mut client)| {
            let begun = Instant::now();
            let outcome = Outcome::from(client.reply(timeout * 2 + MARGIN));
            (kind, outcome, begun.elapsed())
        });
        joined(kept)??;
        io::Result::Ok(outcomes)
    })?;
    for kind in kinds {
        let of_kind = outcomes.iter().filter(|(of, ..)| *of == kind);
        let tally: Tally = of_kind.map(|(_, outcome, time)| (outcome.clone(), *time)).collect();
        let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
        trial.expect(format!("{}: each 200", kind.name()), tally.to_string(), held);
    }
    let others = tally_of(0..20, |_| get_once(server.address(), "/hello", MARGIN));
    let held = others.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("20 new clients afterwards: each 200", others.to_string(), held);
    Ok(())
}

/// What a client is doing when the pause begins.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Head,
    Body,
    Download,
    Rest,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Head => "the rest of the head sent in the pause",
            Self::Body => "the rest of the body sent in the pause",
            Self::Download => "the rest of the response read in the pause",
            Self::Rest => "another request sent in the pause",
        }
    }

    fn begin(self, server: &Server) -> io::Result<Client> {
        let mut client = Client::connect(server.address())?;
        match self {
            Self::Head => client.send(b"GET /hello HTTP/1.1\r\n")?,
            Self::Body => {
                let head = "POST /upload HTTP/1.1\r\nHost: trials\r\nContent-Length: 8";
                client.send(format!("{head}\r\n\r\nhalf").as_bytes())?;
            }
            Self::Download => {
                client.keep_little()?;
                client.ask(&format!("/big?bytes={DOWNLOAD_BYTES}"))?;
            }
            Self::Rest => drop(client.get("/hello")?),
        }
        Ok(client)
    }

    /// What the client sends during the pause.
    fn rest(self) -> String {
        match self {
            Self::Head => "Host: trials\r\n\r\n".to_owned(),
            Self::Body => "half".to_owned(),
            Self::Download => String::new(),
            Self::Rest => get("/hello"),
        }
    }
}

/// More than the kernel buffers for one connection.
const DOWNLOAD_BYTES: usize = 4 << 20;
