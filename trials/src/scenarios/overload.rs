//! More connections and requests than the server may accept: the surplus is refused at once with
//! `Retry-After`, and the clients that are served notice nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use straightline::sched;

use crate::client::{Client, Heard, MARGIN, get_once};
use crate::metrics::Metrics;
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, each, eventually, joined, tally_of};

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    too_many_connections(trial)?;
    too_many_requests(trial)?;
    too_many_that_wait(trial)?;
    too_many_of_one_peer(trial)
}

fn too_many_connections(trial: &mut Trial) -> io::Result<()> {
    let most = trial.options.connections(20, 200);
    let time = trial.options.seconds(1.0, 10.0);
    trial.doing(format!("{most} connections at work for {time:?}, {most} too many"));
    // The timeouts are so long that no idle connection is evicted for a new client.
    let flags = format!("--max-connections {most} --overload-policy reject {LONG_TIMES}");
    let server = trial.start(&flags, 3 * most)?;
    let before = trial.scrape(&server);
    let mut held = hold(trial, &server, most)?;
    let begun = Instant::now();
    let (busy, surplus) = sched::scope(|s| {
        let surplus = s.spawn(|| each(0..most, |_| rejected(&server, begun, time)));
        let busy = each(&mut held, |client| keep_asking(client, begun, time));
        (busy, joined(surplus))
    });
    let surplus = surplus?;
    let tries: usize = surplus.iter().map(Tally::total).sum();
    expect_each(
        trial,
        format!("surplus: each 503 with Retry-After within {MARGIN:?}"),
        &surplus,
        &Outcome::Answered(503),
    );
    expect_each(
        trial,
        format!("the {most}: each 200 within {MARGIN:?}"),
        &busy,
        &Outcome::Answered(200),
    );

    trial.doing("all clients leave");
    drop(held);
    let mut outcome = Outcome::Hung;
    eventually(MARGIN, || {
        outcome = hello(&server);
        Ok(outcome == Outcome::Answered(200))
    })?;
    trial.expect("a new client: 200", outcome.to_string(), outcome == Outcome::Answered(200));
    let after = trial.scrape(&server);
    let refused = "straightline_connections_rejected_total";
    trial.expect_growth(&before, &after, refused, tries);
    Ok(())
}

fn too_many_requests(trial: &mut Trial) -> io::Result<()> {
    let most = trial.options.connections(20, 100);
    trial.doing(format!(
        "{most} requests for {HELD_TIME:?}, {most} whose bodies do not come, {most} too many, \
         4 workers"
    ));
    // With so many workers the kernel hardly ever divides the connections evenly. So the trial
    // notices a shard that counts only its own share.
    let flags = format!("--workers 4 --max-in-flight {most} --overload-policy reject");
    let server = trial.start(&flags, 4 * most)?;
    // A handler that waits for its client's body takes no place.
    let late = each(0..most, |_| {
        let mut client = Client::connect(server.address())?;
        client.send(b"POST /echo HTTP/1.1\r\nHost: trials\r\nContent-Length: 9\r\n\r\nhalf")?;
        Ok(client)
    });
    let late = late.into_iter().collect::<io::Result<Vec<_>>>()?;
    let held = each(0..most, |_| {
        let mut client = Client::connect(server.address())?;
        client.ask(&format!("/slow?ms={}", HELD_TIME.as_millis()))?;
        Ok(client)
    });
    let held = held.into_iter().collect::<io::Result<Vec<_>>>()?;
    eventually(MARGIN, || Ok(refused_hello(&server) == Outcome::Answered(503)))?;
    let surplus = tally_of(0..most, |_| refused_hello(&server));
    let refused = surplus.all(|outcome| *outcome == Outcome::Answered(503));
    let expected = format!("surplus: each 503 with Retry-After within {MARGIN:?}");
    trial.expect(expected, surplus.to_string(), refused);
    let tally = tally_of(held, |mut client| client.reply(HELD_TIME + MARGIN).into());
    let all = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect(format!("the {most}: each 200"), tally.to_string(), all);
    let tally = tally_of(late, |mut client| match client.send(b" more") {
        Ok(()) => client.reply(MARGIN).into(),
        Err(error) => error.into(),
    });
    let all = tally.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect(format!("the {most} late ones: each 200"), tally.to_string(), all);
    let outcome = hello(&server);
    trial.expect(
        "afterwards a new client: 200",
        outcome.to_string(),
        outcome == Outcome::Answered(200),
    );
    let after = trial.scrape(&server);
    let responses = "straightline_responses_total{class=\"5xx\"}";
    trial.expect_growth(&Metrics::default(), &after, responses, most);
    Ok(())
}

fn too_many_that_wait(trial: &mut Trial) -> io::Result<()> {
    let most = trial.options.connections(10, 100);
    trial.doing(format!("{most} connections, and {most} more that must wait"));
    let flags = format!("--max-connections {most} --overload-policy queue {LONG_TIMES}");
    let server = trial.start(&flags, 2 * most)?;
    let held = hold(trial, &server, most)?;
    let late = each(0..most, |_| {
        let mut client = Client::connect(server.address())?;
        client.ask("/hello")?;
        let waits = matches!(client.hear(WAIT)?, Heard::Silence);
        io::Result::Ok((client, waits))
    });
    let late = late.into_iter().collect::<io::Result<Vec<_>>>()?;
    let waited = late.iter().filter(|client| client.1).count();
    drop(held);
    let tally = tally_of(late, |(mut client, _)| client.reply(MARGIN).into());
    trial.expect(format!("all {most} wait"), format!("{waited} wait"), waited == most);
    let held = tally.all(|outcome| *outcome == Outcome::Answered(200));
    let expected = format!("each 200 within {MARGIN:?}, once the other clients have left");
    trial.expect(expected, tally.to_string(), held);
    Ok(())
}

fn too_many_of_one_peer(trial: &mut Trial) -> io::Result<()> {
    trial.doing(format!("{} connections of one peer, where {PER_PEER} are allowed", 2 * PER_PEER));
    let flags = format!("--max-connections-per-peer {PER_PEER} --idle-timeout 60s");
    let server = trial.start(&flags, 3 * PER_PEER)?;
    let held = hold(trial, &server, PER_PEER)?;
    let surplus = tally_of(0..PER_PEER, |_| hello(&server));
    let refused = surplus.all(|outcome| outcome.is_refusal(503));
    trial.expect("surplus: each 503 or an end", surplus.to_string(), refused);
    let other = IpAddr::from(Ipv4Addr::new(127, 0, 0, 2));
    let outcome = match Client::connect_from(other, server.address()) {
        Ok(mut client) => client.outcome_of("/hello", MARGIN),
        Err(error) => error.into(),
    };
    trial.expect("another peer: 200", outcome.to_string(), outcome == Outcome::Answered(200));
    drop(held);
    Ok(())
}

/// Opens as many connections as are allowed, and expects that each is served.
fn hold(trial: &mut Trial, server: &Server, count: usize) -> io::Result<Vec<Client>> {
    // The connection of the last request for metrics may still be counted.
    let mut first = None;
    eventually(MARGIN, || {
        first = served(server).ok();
        Ok(first.is_some())
    })?;
    let rest = each(0..count - usize::from(first.is_some()), |_| served(server));
    let (mut clients, mut errors) = (Vec::from_iter(first), Vec::new());
    for client in rest {
        match client {
            Ok(client) => clients.push(client),
            Err(error) => errors.push(error.to_string()),
        }
    }
    let mut seen = format!("{} served", clients.len());
    if let Some(error) = errors.first() {
        seen = format!("{seen}; {error}");
    }
    trial.expect(format!("the first {count} are served"), seen, errors.is_empty());
    Ok(clients)
}

fn served(server: &Server) -> io::Result<Client> {
    let mut client = Client::connect(server.address())?;
    match client.get("/hello")?.status {
        200 => Ok(client),
        status => Err(io::Error::other(format!("status {status}"))),
    }
}

/// A client inside the capacity sends requests until the time is over.
fn keep_asking(client: &mut Client, begun: Instant, time: Duration) -> Tally {
    let mut tally = Tally::default();
    while begun.elapsed() < time {
        let asked = Instant::now();
        let outcome = client.outcome_of("/hello", MARGIN);
        let failed = outcome != Outcome::Answered(200);
        tally.add(outcome, asked.elapsed());
        if failed {
            break;
        }
        sched::sleep(ASK_PAUSE);
    }
    tally
}

/// A surplus client is refused, and connects again and again.
fn rejected(server: &Server, begun: Instant, time: Duration) -> Tally {
    let mut tally = Tally::default();
    while begun.elapsed() < time {
        let asked = Instant::now();
        let outcome = refused_hello(server);
        let failed = outcome != Outcome::Answered(503);
        tally.add(outcome, asked.elapsed());
        if failed {
            break;
        }
        sched::sleep(10 * ASK_PAUSE);
    }
    tally
}

fn hello(server: &Server) -> Outcome {
    get_once(server.address(), "/hello", MARGIN)
}

/// As [`hello`]; a 503 without `Retry-After` is a failure.
fn refused_hello(server: &Server) -> Outcome {
    let answer = Client::connect(server.address()).and_then(|mut client| {
        // The server may have sent the refusal and closed before the request is written.
        let _ = client.ask("/hello");
        client.answer(MARGIN)
    });
    match answer {
        Ok(answer) if answer.status == 503 && !says_when(answer.field("retry-after")) => {
            Outcome::Failed(format!("503 with Retry-After {:?}", answer.field("retry-after")))
        }
        Ok(answer) => Outcome::Answered(answer.status),
        Err(error) => error.into(),
    }
}

/// Whether the value is seconds: one of the two forms of RFC 9110, 10.2.3.
fn says_when(field: Option<&str>) -> bool {
    field.is_some_and(|seconds| seconds.parse::<u32>().is_ok())
}

/// Expects every outcome of every tally to be `outcome`.
fn expect_each(trial: &mut Trial, expected: String, tallies: &[Tally], outcome: &Outcome) {
    let held = !tallies.is_empty() && tallies.iter().all(|tally| tally.all(|f| f == outcome));
    let mut all = Tally::default();
    tallies.iter().for_each(|tally| all.merge(tally));
    trial.expect(expected, all.to_string(), held);
}

/// Long enough for the surplus clients to connect and to be refused, also in a debug build.
const HELD_TIME: Duration = MARGIN.saturating_mul(2);

const LONG_TIMES: &str = "--head-timeout 120s --idle-timeout 120s";

const PER_PEER: usize = 5;

/// How long a client listens before it counts as waiting. A response would come much earlier.
const WAIT: Duration = Duration::from_millis(500);

const ASK_PAUSE: Duration = Duration::from_millis(5);
