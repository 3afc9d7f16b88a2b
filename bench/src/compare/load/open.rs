//! Requests at a fixed rate: an open loop.
//!
//! The times at which requests are due are chosen before the run, whatever the server does: they
//! are those of independent users, so the gaps between them have the exponential distribution. A
//! free connection takes the next due time, waits for it, and sends. While no connection is free a
//! request waits, and its time counts **from when it was due**. A closed loop would send nothing
//! while the server stands still, and so leave out just those times that are long ("coordinated
//! omission").
//!
//! The generator itself may be late. Its lateness is in the latencies, and it is counted by itself
//! as well, so that a reader sees what of a latency may be the generator's.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use straightline::sched;

use super::Load;
use super::connection::{Connection, bytes_to_send};
use super::outcome::Outcome;
use super::start::Run;

/// Sends `rate` requests a second, on average, for the time of the load.
pub(in crate::compare) fn run(load: Load, rate: u32) -> io::Result<Outcome> {
    sched::run(move || {
        let schedule = Rc::new(Schedule::new(rate));
        let run = Rc::new(Run::new(load));
        for _ in 0..run.load.clients {
            let (run, schedule) = (Rc::clone(&run), Rc::clone(&schedule));
            sched::FiberBuilder::new().spawn(move || {
                client(&run, &schedule);
                run.finish();
            })?;
        }
        run.drive()
    })
}

fn client(run: &Run, schedule: &Schedule) {
    let mut connection = Connection::open(&run.load);
    let (begun, end) = run.wait_for_start();
    // A server that is slower than the rate gets as much time again for what was due.
    let give_up = end + run.load.time;
    let bytes = bytes_to_send(&run.load);
    loop {
        let due = begun + schedule.next();
        if due >= end {
            return;
        }
        sched::sleep(due.saturating_duration_since(Instant::now()));
        let lateness = due.elapsed();
        let is_too_late = Instant::now() >= give_up;
        let result = match &mut connection {
            _ if is_too_late => Err(io::ErrorKind::TimedOut.into()),
            Ok(connection) => connection.exchange(&run.load, &bytes, |_, _| {}),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        let mut outcome = run.outcome.borrow_mut();
        outcome.lateness.record(lateness, 1);
        let Err(error) = result else {
            outcome.count(1, due.elapsed());
            continue;
        };
        // A request without response counts, too, with the time until it was given up.
        outcome.latencies.record(due.elapsed(), 1);
        outcome.count_error(&error);
        drop(outcome);
        if !is_too_late {
            connection = Connection::open(&run.load);
        }
    }
}

/// When requests are due, from the start of the run.
struct Schedule {
    mean_gap: f64,
    due: Cell<f64>,
    random: Cell<u64>,
}

impl Schedule {
    /// All runs have the same due times, so that each server gets the same bursts.
    fn new(rate: u32) -> Self {
        Self {
            mean_gap: 1.0 / f64::from(rate),
            due: Cell::new(0.0),
            random: Cell::new(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// The next time.
    fn next(&self) -> Duration {
        let due = self.due.get() - self.mean_gap * (1.0 - self.uniform()).ln();
        self.due.set(due);
        Duration::from_secs_f64(due)
    }

    /// A number from 0 to below 1, by xorshift64*.
    #[allow(clippy::cast_precision_loss)] // 53 bits, which f64 holds
    fn uniform(&self) -> f64 {
        let mut value = self.random.get();
        value ^= value >> 12;
        value ^= value << 25;
        value ^= value >> 27;
        self.random.set(value);
        (value.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_due_times_have_the_rate_and_vary() {
        let schedule = Schedule::new(10_000);
        let times: Vec<_> = (0..100_000).map(|_| schedule.next()).collect();
        assert!(times.is_sorted());
        let last = times[times.len() - 1].as_secs_f64();
        assert!((9.8..10.2).contains(&last), "{last}");
        // Of exponential gaps, as many are shorter than the mean as 1 - 1/e.
        let mean = Duration::from_micros(100);
        let short = times.windows(2).filter(|two| two[1] < two[0] + mean).count();
        assert!((62_500..64_000).contains(&short), "{short}");
    }
}
