//! Random sleeps under random deadlines: no wait ends before its time, no wait goes on after a
//! deadline, and all waits end.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::common::run;
use quickcheck::{Arbitrary, Gen, quickcheck};
use straightline_sched as sched;

#[derive(Clone, Debug)]
enum Step {
    Sleep(Duration),
    ParkFor(Duration),
    Yield,
    Within(Duration, Vec<Step>),
    Uncancellable(Vec<Step>),
    /// Runs the steps in a fiber of a scope, which inherits the deadlines.
    Child(Vec<Step>),
}

/// The latest possible times of the deadlines around a step.
type Deadlines = Vec<Instant>;

type Faults = Rc<RefCell<Vec<String>>>;

quickcheck! {
    fn nothing_is_early_and_nothing_is_forgotten(programs: Vec<Program>) -> bool {
        run(move || {
            let faults = Faults::default();
            let before = sched::stats();
            let start = |Program(steps)| {
                let faults = Rc::clone(&faults);
                sched::spawn(move || take(&steps, &[], &faults))
            };
            let fibers: Vec<_> = programs.into_iter().map(start).collect();
            fibers.into_iter().for_each(|fiber| fiber.join().expect("no deadline is left"));
            assert_eq!(*faults.borrow(), Vec::<String>::new());
            let after = sched::stats();
            assert_eq!(
                (after.fibers, after.timers, after.abandoned),
                (before.fibers, before.timers, 0)
            );
        });
        true
    }
}

fn take(steps: &[Step], deadlines: &[Instant], faults: &Faults) {
    let check = |holds: bool, what: &str, step: &Step| {
        if !holds {
            faults.borrow_mut().push(format!("{what}: {step:?}"));
        }
    };
    for step in steps {
        let called = Instant::now();
        match step {
            Step::Sleep(time) => {
                sched::sleep(*time);
                check(called.elapsed() >= *time, "early", step);
            }
            Step::ParkFor(time) => sched::park_timeout(*time),
            Step::Yield => sched::yield_now(),
            Step::Within(time, steps) => {
                let result = sched::deadline(*time, || {
                    let mut deadlines = deadlines.to_vec();
                    deadlines.push(Instant::now() + *time);
                    take(steps, &deadlines, faults);
                });
                check(result.is_ok() || called.elapsed() >= *time, "unwound early", step);
                continue; // not a yield point
            }
            Step::Uncancellable(steps) => {
                let before = sched::remaining().is_some();
                sched::uncancellable(|| take(steps, &[], faults));
                check(sched::remaining().is_some() == before, "lost its deadline", step);
                continue;
            }
            Step::Child(steps) => sched::scope(|s| {
                let inherited: Deadlines = deadlines.to_vec();
                s.spawn(move || take(steps, &inherited, faults));
            }),
        }
        // The step was a yield point, so by the shard's clock none of the deadlines has expired.
        let now = sched::turn_start();
        check(deadlines.iter().all(|at| *at > now), "went on behind its deadline", step);
    }
}

#[derive(Clone, Debug)]
struct Program(Vec<Step>);

impl Arbitrary for Program {
    fn arbitrary(g: &mut Gen) -> Self {
        Self(steps(g, 3))
    }

    fn shrink(&self) -> Box<dyn Iterator<Item = Self>> {
        let steps = self.0.clone();
        Box::new((0..steps.len()).map(move |number| {
            let mut fewer = steps.clone();
            fewer.remove(number);
            Self(fewer)
        }))
    }
}

fn steps(g: &mut Gen, depth: u32) -> Vec<Step> {
    (0..u8::arbitrary(g) % 4).map(|_| step(g, depth)).collect()
}

fn step(g: &mut Gen, depth: u32) -> Step {
    // Many sleeps have the same length, so that several timers are due at the same time.
    let time = Duration::from_micros(u64::from(u8::arbitrary(g) % 8) * 250);
    match u8::arbitrary(g) % if depth > 0 { 9 } else { 5 } {
        0 | 1 => Step::Sleep(time),
        2 => Step::ParkFor(time),
        3 | 4 => Step::Yield,
        5 | 6 => Step::Within(time, steps(g, depth - 1)),
        7 => Step::Uncancellable(steps(g, depth - 1)),
        _ => Step::Child(steps(g, depth - 1)),
    }
}
