//! After a spike of fibers the memory of their stacks goes back to the system.
//!
//! The test has a process to itself, because the memory of a process is counted together.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use crate::common::own_process::in_a_process;
use straightline_sched::{self as sched, Config};

/// A field of `/proc/self/status`, in KiB.
fn status(field: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
    line.trim_start_matches(':').trim_end_matches("kB").trim().parse().expect("a number")
}

/// Runs fibers that all wait at the same time, and have ended when this function returns. Returns
/// the memory and the page tables at the peak.
fn spike() -> (usize, usize) {
    let fibers: Vec<_> = (0..FIBERS).map(|_| sched::spawn(sched::park)).collect();
    sched::yield_now();
    let peak = (status("VmRSS"), status("VmPTE"));
    fibers.iter().for_each(|fiber| fiber.fiber().unpark());
    for fiber in fibers {
        fiber.join().expect("the fiber was woken");
    }
    peak
}

#[test]
fn most_of_a_spikes_growth_comes_back_when_the_shard_is_idle() {
    in_a_process(|| {
        // Without stall reports: a backtrace loads debug information, and that memory does not come
        // back.
        let config = Config::default().with_stall_limit(None);
        sched::run_with(config, || {
            let (before, tables_before) = (status("VmRSS"), status("VmPTE"));
            for _ in 0..2 {
                let (peak, tables_peak) = spike();
                assert!(peak - before > FIBERS * 4, "each fiber touches a page at least");
                let deadline = Instant::now() + Duration::from_secs(60);
                loop {
                    let (rest, tables_rest) = (status("VmRSS"), status("VmPTE"));
                    let returned = rest.saturating_sub(before) * 5 < peak - before;
                    let tables_returned =
                        tables_rest.saturating_sub(tables_before) * 5 < tables_peak - tables_before;
                    if returned && tables_returned {
                        break;
                    }
                    assert!(
                        Instant::now() < deadline,
                        "memory {before} {peak} {rest}, tables {tables_before} {tables_peak} \
                     {tables_rest}"
                    );
                    // No other fiber can run during this sleep, and an idle shard gives memory
                    // back.
                    sched::sleep(Duration::from_millis(50));
                }
            }
        })
        .unwrap();
    });
}

const FIBERS: usize = 20_000;
