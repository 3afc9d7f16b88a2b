//! Single operations of the scheduler, beside those of its peers.
//!
//! Everything runs in this process, on one CPU, in interleaved rounds: each peer does each
//! operation in turn, and the ratio to straightline is made within a round. Straightline is
//! measured twice in each round: the difference of these two figures is the noise.

mod may;
mod operation;
mod ours;
mod threads;
mod tokio;

use std::io;
use std::time::Duration;

use self::operation::Operation;
use crate::cpu::{self, Pinning};
use crate::report::median;

/// Does an operation so many times, and returns how long that took. `None` if the peer does not
/// have the operation.
type Measure = fn(Operation, u64) -> Option<Duration>;

const PEERS: [(&str, Measure); 5] = [
    ("straightline", ours::measure),
    ("may", may::measure),
    ("tokio (current thread)", tokio::measure),
    ("threads", threads::measure),
    ("straightline again", ours::measure),
];

const OPERATIONS: [Operation; 8] = [
    Operation::SpawnJoin,
    Operation::Yield,
    Operation::PingPong,
    Operation::MutexHandOver,
    Operation::TimeoutSetAndCancel,
    Operation::Cancel,
    Operation::BlockOnReady,
    Operation::BlockOnWoken,
];

/// Measures everything and prints a table; false if an operation of straightline could not be
/// measured.
pub(crate) fn run(rounds: u32, scale: u64) -> io::Result<bool> {
    if let Some(cpu) = Pinning::choose()?.server() {
        cpu::pin(cpu)?;
    }
    println!("nanoseconds an operation, median of {rounds} rounds (ratio to straightline)\n");
    print!("| operation |");
    PEERS.iter().for_each(|(name, _)| print!(" {name} |"));
    print!("\n|---|");
    PEERS.iter().for_each(|_| print!("--:|"));
    println!();
    let mut complete = true;
    for operation in OPERATIONS {
        let mut figures: Vec<Vec<Option<f64>>> = vec![Vec::new(); PEERS.len()];
        for round in 0..=rounds {
            for ((_, measure), figures) in PEERS.iter().zip(&mut figures) {
                let figure = nanoseconds(*measure, operation, scale);
                // The first round warms up.
                if round > 0 {
                    figures.push(figure);
                }
            }
        }
        print!("| {operation} |");
        for of_peer in &figures {
            print!(" {} |", cell(of_peer, &figures[0]));
        }
        println!();
        complete &= figures[0].iter().all(Option::is_some);
    }
    Ok(complete)
}

// A count of operations stays far below 2^52, where f64 would begin to round.
#[allow(clippy::cast_precision_loss)]
fn nanoseconds(measure: Measure, operation: Operation, scale: u64) -> Option<f64> {
    let count = operation.count() * scale;
    let took = measure(operation, count)?;
    Some(took.as_secs_f64() * 1e9 / count as f64)
}

fn cell(of_peer: &[Option<f64>], ours: &[Option<f64>]) -> String {
    let own: Option<Vec<f64>> = of_peer.iter().copied().collect();
    let Some(own) = own.filter(|own| !own.is_empty()) else { return "-".to_owned() };
    let ratios = own.iter().zip(ours).filter_map(|(own, ours)| Some(own / (*ours)?)).collect();
    format!("{:.0} ({:.2})", median(own), median(ratios))
}
