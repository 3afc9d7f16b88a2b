//! A shard that does not poll its driver in time is reported as busy, whatever the reason. It is
//! reported as free when it has polled in time for a while.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use straightline_sched::{self as sched, Config, Report, Reporter, sim};

const LIMIT: Duration = Duration::from_millis(40);

/// How often a shard was reported as busy, and how often as free.
#[derive(Clone, Default)]
struct ReportCounts {
    busy: Arc<AtomicU32>,
    free: Arc<AtomicU32>,
}

impl ReportCounts {
    fn config(&self) -> Config {
        let report_counts = self.clone();
        let reporter = Reporter::new(move |report| {
            match report {
                Report::Busy(time) => {
                    assert!(*time >= LIMIT);
                    report_counts.busy.fetch_add(1, Ordering::SeqCst)
                }
                Report::Free => report_counts.free.fetch_add(1, Ordering::SeqCst),
                other => panic!("{other}"),
            };
        });
        Config::default()
            .with_stall_limit(None)
            .with_busy_limit(Some(LIMIT))
            .with_reporter(reporter)
    }

    fn counts(&self) -> (u32, u32) {
        (self.busy.load(Ordering::SeqCst), self.free.load(Ordering::SeqCst))
    }
}

/// Keeps the thread until `condition` holds. After each `piece` other fibers may run.
fn compute_until(piece: Duration, condition: impl Fn() -> bool) {
    let bound = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < bound, "the shard is never reported");
        let end = Instant::now() + piece;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
        sched::yield_now();
    }
}

/// Waits until `condition` holds, and lets the shard poll its driver meanwhile.
fn wait_until(condition: impl Fn() -> bool) {
    let bound = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < bound, "the shard is never reported");
        sched::sleep(Duration::from_millis(1));
    }
}

#[test]
fn one_fiber_that_keeps_the_thread_is_enough() {
    let report_counts = ReportCounts::default();
    let in_run = report_counts.clone();
    sched::run_with(report_counts.config(), move || {
        let bound = Instant::now() + Duration::from_secs(30);
        while in_run.counts() == (0, 0) {
            assert!(Instant::now() < bound, "the shard is never reported");
            std::hint::spin_loop();
        }
        assert_eq!(in_run.counts(), (1, 0));
        wait_until(|| in_run.counts().1 > 0);
    })
    .expect("a shard");
}

#[test]
fn many_fibers_that_take_turns_are_enough() {
    let report_counts = ReportCounts::default();
    let in_run = report_counts.clone();
    sched::run_with(report_counts.config(), move || {
        // No fiber keeps the thread for as long as the limit, but one turn of each together does.
        let fibers: Vec<_> = (0..10)
            .map(|_| {
                let in_run = in_run.clone();
                sched::spawn(move || compute_until(LIMIT / 4, || in_run.counts().0 > 0))
            })
            .collect();
        fibers.into_iter().for_each(|fiber| fiber.join().expect("no panic"));
    })
    .expect("a shard");
}

#[test]
fn a_simulated_shard_is_reported_at_its_time_and_the_others_go_on() {
    sim::check(|| {
        let (report_counts, times) = (ReportCounts::default(), Arc::new(Mutex::new(Vec::new())));
        let in_run = Arc::clone(&times);
        let reporter = Reporter::new(move |report| {
            let is_busy = matches!(report, Report::Busy(_));
            in_run.lock().expect("no panic").push((is_busy, sim::elapsed().as_secs()));
        });
        let busy_limit = Some(Duration::from_secs(1));
        let config = report_counts.config().with_busy_limit(busy_limit).with_reporter(reporter);
        let shard = sched::spawn_shard("busy", config, || {
            let ticks = sched::spawn(|| (0..100).for_each(|_| sched::sleep(TICK)));
            sched::yield_now();
            let begin = sim::elapsed();
            // Two sleeps: the shard is not free in between.
            sim::keep_thread(Duration::from_secs(5));
            sched::sleep(Duration::from_secs(2));
            sim::keep_thread(Duration::from_secs(3));
            assert!(sim::elapsed() >= begin + Duration::from_secs(10));
            sched::sleep(Duration::from_secs(30));
            ticks.join().expect("the ticks go on");
        });
        let begin = sim::elapsed();
        (0..100).for_each(|_| sched::sleep(TICK));
        assert!(sim::elapsed() < begin + Duration::from_secs(2), "this shard is not kept");
        shard.expect("a shard").join().expect("no panic").expect("a result");
        assert_eq!(*times.lock().expect("no panic"), [(true, 1), (false, 20)]);
    });
}

const TICK: Duration = Duration::from_millis(10);
