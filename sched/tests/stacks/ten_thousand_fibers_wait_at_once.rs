//! Ten thousand fibers with stacks of their own can wait at the same time.
//!
//! The test has a process to itself, because the stacks of a process are counted together.

use std::time::Duration;

use crate::common::own_process::in_a_process;
use straightline_sched as sched;

#[test]
fn each_of_ten_thousand_parks_and_sleeps() {
    in_a_process(|| {
        let sum: u64 = sched::run(|| {
            let fibers: Vec<_> = (0..10_000_u64)
                .map(|number| {
                    sched::spawn(move || {
                        sched::park();
                        sched::sleep(Duration::from_millis(number % 10));
                        number
                    })
                })
                .collect();
            sched::yield_now();
            assert!(fibers.iter().all(|fiber| !fiber.is_finished()));
            fibers.iter().for_each(|fiber| fiber.fiber().unpark());
            fibers.into_iter().map(|fiber| fiber.join().unwrap()).sum()
        });
        assert_eq!(sum, 10_000 * 9_999 / 2);
        // The end of the shard cancels all of them at once. The next shard can use their stacks.
        for _ in 0..2 {
            sched::run(|| {
                (0..10_000).for_each(|_| drop(sched::spawn(sched::park)));
                sched::yield_now();
            });
        }
    });
}
