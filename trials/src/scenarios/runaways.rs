//! Handlers that never yield. Other shards accept in the place of a thread that a handler occupies,
//! so that new clients hardly notice. When the thread has been stuck for longer than a limit,
//! another one replaces it, and no client waits for ever.

use std::io;
use std::time::{Duration, Instant};

use straightline::sched;

use crate::client::{Client, MARGIN, get_once, within};
use crate::metrics::Metrics;
use crate::outcome::{Outcome, Tally};
use crate::server::Server;
use crate::trial::{Trial, each, eventually, figure, joined, tally_of};
use straightline_harness::Histogram;

pub(crate) fn run(trial: &mut Trial) -> io::Result<()> {
    for workers in [1, 2] {
        newcomers(trial, workers)?;
    }
    all_stuck(trial)?;
    let limit = trial.options.pick(Duration::from_millis(300), Duration::from_secs(2));
    // Longer than a scenario may take: the handler does not return before the end.
    stuck(trial, limit, &["/spin?ms=1200000"])?;
    if !trial.options.quick {
        stuck(trial, limit, &["/hang"])?;
    }
    // One handler for each worker.
    stuck(trial, limit, &["/hang", "/hang"])?;
    comes_back(trial, limit)
}

/// New clients connect at a rate, while a handler computes on one of the threads for less than the
/// stuck limit.
fn newcomers(trial: &mut Trial, workers: usize) -> io::Result<()> {
    let time = trial.options.seconds(1.0, 4.0);
    let spin = time + Duration::from_secs(1);
    let rate = 1.0 / NEWCOMER_EVERY.as_secs_f64();
    trial.doing(format!(
        "/spin for {spin:?} on one of {workers} threads, and {rate:.0} new clients a second"
    ));
    let count =
        usize::try_from(time.as_millis() / NEWCOMER_EVERY.as_millis()).unwrap_or(usize::MAX);
    let mut server = trial.start(&format!("--workers {workers} --stuck-limit 60s"), count)?;
    let before = trial.scrape(&server);
    let target = format!("/spin?ms={}", spin.as_millis());
    let (spinning, fresh) = sched::scope(|s| {
        let spinning = s.spawn(|| get_once(server.address(), &target, spin + MARGIN));
        sched::sleep(SPIN_BEGINS);
        let fresh = each(0..count, |index| {
            sched::sleep(NEWCOMER_EVERY * u32::try_from(index).unwrap_or(0));
            let begun = Instant::now();
            (newcomer(&server).unwrap_or_else(Outcome::from), begun.elapsed())
        });
        (joined(spinning), fresh)
    });
    let mut latencies = Histogram::default();
    fresh.iter().for_each(|(_, time)| latencies.record(*time, 1));
    let fresh: Tally = fresh.into_iter().collect();
    let held = fresh.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect("each new client: 200", fresh.to_string(), held);
    let [median, most] = [0.5, 0.99].map(|part| latencies.quantile(part));
    let seen = format!(
        "median {:.1} ms, p99 {:.0} ms",
        median.as_secs_f64() * 1e3,
        most.as_secs_f64() * 1e3
    );
    let expected = format!("99 of 100 of them within {NEWCOMER_MOST:?}");
    trial.expect(expected, seen, most <= NEWCOMER_MOST);
    let spinning = spinning?;
    let held = spinning == Outcome::Answered(200);
    trial.expect("the client of /spin: 200", spinning.to_string(), held);
    let after = trial.scrape(&server);
    trial.expect_growth(&before, &after, "straightline_connections_accepted_total", count + 1);
    trial.expect_growth(&before, &after, "straightline_listeners_lent_total", 1);
    expect_gone(trial, &mut server, true)
}

/// A client that connects, sends one request, and leaves.
fn newcomer(server: &Server) -> io::Result<Outcome> {
    let mut client = Client::connect(server.address())?;
    let outcome = client.outcome_of("/hello", MARGIN);
    client.reset()?;
    Ok(outcome)
}

/// When every thread is stuck, and none may be replaced, the process ends with an error.
fn all_stuck(trial: &mut Trial) -> io::Result<()> {
    let limit = trial.options.pick(Duration::from_millis(300), Duration::from_secs(2));
    trial.doing(format!("/hang on the only thread, stuck limit {limit:?}, no replacement"));
    let flags = format!("--workers 1 --replacements 0 --stuck-limit {}ms", limit.as_millis());
    let mut server = trial.start(&flags, 1)?;
    let outcome = get_once(server.address(), "/hang", limit + MARGIN);
    trial.expect("its client: an end", outcome.to_string(), outcome.is_refusal(503));
    let status = server.wait(MARGIN)?;
    let seen = status.map_or("still there".to_owned(), |status| status.to_string());
    let held = status.and_then(|status| status.code()) == Some(1);
    trial.expect("the process ends by itself, with exit status 1", seen, held);
    Ok(())
}

/// Makes as many shards stuck as there are targets, one after the other, and sends requests on old
/// and on new connections.
fn stuck(trial: &mut Trial, limit: Duration, targets: &[&str]) -> io::Result<()> {
    let (count, most) = (targets.len(), limit + MARGIN);
    trial.doing(format!("{count} × {} with 2 workers, stuck limit {limit:?}", targets[0]));
    let mut server = start(trial, limit, count + 1)?;
    let before = trial.scrape(&server);
    let old = each(0..OLD, |_| {
        let mut client = Client::connect(server.address())?;
        client.get("/hello").map(|_| client)
    });
    let old = old.into_iter().collect::<io::Result<Vec<_>>>()?;

    let (ends, fresh, metrics) = sched::scope(|s| {
        let fresh = s.spawn(|| new_clients(&server, limit / 10));
        let (mut stuck_clients, mut metrics) = (Vec::new(), Metrics::default());
        for (index, target) in targets.iter().enumerate() {
            let address = server.address();
            stuck_clients.push(s.spawn(move || {
                let begun = Instant::now();
                (get_once(address, target, most), begun.elapsed())
            }));
            metrics = metrics_once_replaced(&server, &before, index + 1, most);
        }
        let ends: io::Result<Tally> = stuck_clients.into_iter().map(joined).collect();
        (ends, joined(fresh), metrics)
    });
    let (ends, fresh) = (ends?, fresh?);
    trial.expect_growth(&before, &metrics, REPLACEMENTS, count);
    // A client that a shard accepted just before it got stuck is closed with the shard.
    let held = fresh.all(|outcome| outcome.is_refusal(200)) && fresh.answered(200) * 2 > CLIENTS;
    trial.expect(
        format!("{CLIENTS} new clients: each 200 or an end within {most:?}, most of them 200"),
        fresh.to_string(),
        held,
    );
    let late = get_once(server.address(), "/hello", MARGIN);
    let held = late == Outcome::Answered(200);
    trial.expect("one more, after the replacement: 200", late.to_string(), held);

    let old = tally_of(old, |mut client| client.outcome_of("/hello", most));
    let held = old.all(|outcome| outcome.is_refusal(200));
    let expected = format!("{OLD} old connections: each 200 or an end within {most:?}");
    trial.expect(expected, old.to_string(), held);
    let held = ends.all(|outcome| outcome.is_refusal(503));
    trial.expect(
        format!("the clients of the stuck handlers: an end within {most:?}"),
        ends.to_string(),
        held,
    );
    expect_gone(trial, &mut server, false)
}

/// A shard is stuck only for a while. Afterwards no shard is stuck, and the process has not
/// crashed.
fn comes_back(trial: &mut Trial, limit: Duration) -> io::Result<()> {
    let spin = limit * 3;
    trial.doing(format!("/spin for {spin:?}, three times the limit, and then no handler is stuck"));
    let mut server = start(trial, limit, 1)?;
    let target = format!("/spin?ms={}", spin.as_millis());
    let begun = Instant::now();
    let outcome = get_once(server.address(), &target, spin + MARGIN);
    let time = begun.elapsed();
    let seen = format!("{outcome} after {:.2} s", time.as_secs_f64());
    let held = outcome.is_refusal(200);
    trial.expect(format!("200 or an end within {:?}", spin + MARGIN), seen, held);
    // If the connection of its client was ended, the handler still spins.
    sched::sleep(spin.saturating_sub(time));
    let fresh = new_clients(&server, Duration::ZERO);
    let held = fresh.all(|outcome| *outcome == Outcome::Answered(200));
    trial.expect(format!("afterwards {CLIENTS} new clients: each 200"), fresh.to_string(), held);
    expect_gone(trial, &mut server, true)
}

/// Asks the server to stop, and expects that it does.
fn expect_gone(trial: &mut Trial, server: &mut Server, well: bool) -> io::Result<()> {
    server.terminate()?;
    let status = server.wait(DRAIN + MARGIN)?;
    let seen = status.map_or("still there".to_owned(), |status| status.to_string());
    let held = status.is_some_and(|status| status.success() || !well);
    let how = if well { "exit status 0" } else { "gone" };
    trial.expect(format!("SIGTERM: {how} within {DRAIN:?} (+ {MARGIN:?})"), seen, held);
    Ok(())
}

fn start(trial: &Trial, limit: Duration, replacements: usize) -> io::Result<Server> {
    let flags = format!(
        "--workers 2 --stuck-limit {}ms --replacements {replacements} --drain-timeout {}ms",
        limit.as_millis(),
        DRAIN.as_millis()
    );
    trial.start(&flags, 2 * (OLD + CLIENTS))
}

/// Clients connect one after the other, `distance` apart.
fn new_clients(server: &Server, distance: Duration) -> Tally {
    tally_of(0..CLIENTS, |index| {
        sched::sleep(distance * u32::try_from(index).unwrap_or(0));
        get_once(server.address(), "/hello", 2 * MARGIN)
    })
}

/// Waits until `count` shards have been replaced, for `bound` at most.
fn metrics_once_replaced(
    server: &Server,
    before: &Metrics,
    count: usize,
    bound: Duration,
) -> Metrics {
    let mut metrics = Metrics::default();
    let least = before.value(REPLACEMENTS).unwrap_or(0.0) + figure(count);
    // If it never happens, the returned metrics show it.
    let _ = eventually(bound, || {
        // A connection that a stuck shard accepts gets no response; the next try may reach another.
        let scraped = within(bound / 4, || Metrics::scrape(server.address()));
        metrics = scraped.unwrap_or_default();
        Ok(metrics.value(REPLACEMENTS).is_some_and(|value| value >= least))
    });
    metrics
}

const REPLACEMENTS: &str = "straightline_replacements_total";

/// Connections that are opened before. There are so many that each of two shards has some, except
/// in one of 2^19 runs.
const OLD: usize = 20;

/// New connections. They are opened a tenth of the limit apart: while a shard is stuck, and after.
const CLIENTS: usize = 20;

/// The drain timeout. If a thread never returns, the server waits so long in vain.
const DRAIN: Duration = Duration::from_millis(300);

/// A thousand new clients a second.
const NEWCOMER_EVERY: Duration = Duration::from_millis(1);

/// How long nearly all new clients may take. It is far less than the handler computes, and ten
/// times the time after which other shards accept. On an idle machine the clients take a tenth of
/// it.
const NEWCOMER_MOST: Duration = Duration::from_secs(1);

/// How long to wait until the handler of /spin has begun. An earlier client is only served faster.
const SPIN_BEGINS: Duration = Duration::from_millis(20);
