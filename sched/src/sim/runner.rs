//! The loop of a simulation: it decides which shard has the turn.
//!
//! One step is one turn of one fiber, or one poll of the driver, of a shard that is drawn from
//! those with work. After it the clock goes on a little. When no shard has work, the clock jumps to
//! the next timer or event.
//!
//! A shard's round is a shuffle of its run queue. Fibers that yielded come last, because they asked
//! for the other fibers' turn.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::plan::Plans;
use super::settings::{Failure, FailureKind, Sim};
use super::shard::{Shards, SimShard, add_shard};
use super::turn_trace::{record_woken, resume_traced};
use crate::core::{
    Config, JoinError, ThreadBoundWait, discard, enter, is_on_a_shard, look_at_wait, poll_driver,
    resume,
};
use crate::driver::World;
use crate::fiber::{Wait, overflow, unwind};

/// The phase of the whole simulation.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// The root fiber runs.
    Running,
    /// It has ended; the other fibers have until that time.
    Settling(u64),
    /// The fibers that are left are ended.
    Ending,
}

struct Runner {
    world: Rc<World>,
    shards: Rc<Shards>,
    sim: Sim,
    turns: u64,
    phase: Phase,
    failure: Option<(Duration, FailureKind)>,
    /// When the root fiber ended, if it ended by itself.
    root_ended_at: Option<Duration>,
}

#[track_caller]
fn run<T: 'static>(mut sim: Sim, root: impl FnOnce() -> T + 'static) -> Result<T, Failure> {
    assert!(!is_on_a_shard(), "straightline: a simulation inside of `run`");
    let seed = sim.seed;
    let world = Rc::new(World::new(seed, sim.offload_cost.clone(), sim.trace.take()));
    let _entered = world.enter();
    let plans = Plans::of(&world);
    plans.leave_out(std::mem::take(&mut sim.left_out));
    let shards = world.local(Shards::default);
    shards.tripwire.set(sim.tripwire);
    unwind::warm_up();
    let refused =
        |error| Failure { seed, at: Duration::ZERO, kind: FailureKind::Refused(error), planned: 0 };
    let _signals = overflow::watch().map_err(refused)?;
    let outcome = Rc::new(Cell::new(None));
    let settle = {
        let outcome = Rc::clone(&outcome);
        move |ended| outcome.set(Some(ended))
    };
    add_shard(&world, &Config::default(), Location::caller(), root, settle).map_err(refused)?;
    let mut runner = Runner {
        world: Rc::clone(&world),
        shards,
        sim,
        turns: 0,
        phase: Phase::Running,
        failure: None,
        root_ended_at: None,
    };
    // An event may panic; the fibers are ended all the same.
    while let Err(payload) = catch_unwind(AssertUnwindSafe(|| runner.run_to_end())) {
        runner.fail(FailureKind::Panic(payload));
    }
    runner.shards.list.take();
    let leaks = world.leaks();
    world.clear_events(discard);
    world.clear_locals(discard);
    if !leaks.is_empty() {
        runner.fail(FailureKind::Leak(leaks));
    }
    let root_ended_at = runner.root_ended_at;
    let (at, kind) = match (outcome.take(), runner.failure) {
        (Some(Ok(value)), None) => return Ok(value),
        (Some(Err(error)), failure) => match (root_ended_at, failure) {
            // It was cancelled because of the failure.
            (None, Some(failure)) => failure,
            (at, failure) => {
                discard(failure);
                (at.unwrap_or_default(), failure_of_root(error))
            }
        },
        (value, failure) => {
            discard(value);
            failure.unwrap_or((world.elapsed(), FailureKind::Abandoned))
        }
    };
    Err(Failure { seed, at, kind, planned: plans.count() })
}

impl Sim {
    /// Runs `root` as the first fiber, as [`sim::run`](super::run).
    ///
    /// # Blocking
    ///
    /// As [`sim::run`](super::run).
    ///
    /// # Errors
    ///
    /// The [`Failure`]. All fibers have ended then, too.
    ///
    /// # Panics
    ///
    /// Inside of a shard or another simulation.
    #[track_caller]
    pub fn run<T: 'static>(self, root: impl FnOnce() -> T + 'static) -> Result<T, Failure> {
        run(self, root)
    }
}

impl Runner {
    /// Returns when no shard is left.
    fn run_to_end(&mut self) {
        loop {
            self.world.run_events();
            let list = self.shards.list.borrow().clone();
            if list.is_empty() {
                return;
            }
            self.change_phase(&list);
            // Before time may pass: the work at a shard's end takes some.
            list.iter().for_each(|shard| shard.end_with_root());
            self.shards.list.borrow_mut().retain(|shard| !shard.over.get());
            let list = self.shards.list.borrow().clone();
            if list.is_empty() {
                return;
            }
            let busy: Vec<&Rc<SimShard>> =
                list.iter().filter(|shard| shard.can_run(self.world.now())).collect();
            if busy.is_empty() {
                self.pass_time(&list);
            } else {
                let chosen = busy[self.world.order.borrow_mut().index(busy.len())];
                if let Some(wait) = step(chosen, &self.world) {
                    self.fail(FailureKind::ThreadBoundWait(Box::new(wait)));
                }
                self.count_turn(&list);
            }
        }
    }

    fn count_turn(&mut self, list: &[Rc<SimShard>]) {
        let cost = self.world.order.borrow_mut().duration(self.sim.turn_cost.clone());
        let nanos = u64::try_from(cost.as_nanos()).unwrap_or(u64::MAX);
        self.world.set_now(self.world.now().saturating_add(nanos));
        self.turns += 1;
        if self.turns == self.sim.turns_max {
            self.fail(FailureKind::Endless(SimShard::describe_all(list)));
        }
    }

    /// No fiber can run: sets the clock to the next moment at which one can.
    fn pass_time(&mut self, list: &[Rc<SimShard>]) {
        let settled_at = match self.phase {
            Phase::Settling(until) => Some(until),
            _ => None,
        };
        let timers = list.iter().filter_map(|shard| shard.next_at(self.world.now()));
        let event = self.world.next_event_at();
        // The end of the grace matters only if something could have happened until then.
        match timers.chain(event).min() {
            Some(at) => {
                let at = settled_at.map_or(at, |until| at.min(until));
                self.world.set_now(at.max(self.world.now()));
            }
            None if matches!(self.phase, Phase::Settling(_)) => {
                self.phase = Phase::Settling(self.world.now());
            }
            None => self.fail(FailureKind::Deadlock(SimShard::describe_all(list))),
        }
    }

    fn change_phase(&mut self, list: &[Rc<SimShard>]) {
        let now = self.world.now();
        let first = list.iter().find(|shard| shard.number == 0);
        match self.phase {
            Phase::Running => {
                if first.is_none_or(|first| first.root.is_finished()) {
                    let grace = u64::try_from(self.sim.end_grace.as_nanos()).unwrap_or(u64::MAX);
                    self.phase = Phase::Settling(now.saturating_add(grace));
                    self.root_ended_at = Some(self.world.elapsed());
                }
            }
            Phase::Settling(until) => {
                let is_quiet = list.iter().all(|shard| shard.shard.fibers.is_empty());
                if is_quiet {
                    self.phase = Phase::Ending;
                } else if now >= until {
                    self.fail(FailureKind::Leak(SimShard::describe_all(list)));
                }
            }
            Phase::Ending => {}
        }
        if self.phase == Phase::Ending {
            list.iter().for_each(|shard| shard.begin_end());
        }
    }

    /// The first failure is reported. The rest of the simulation is its end.
    fn fail(&mut self, kind: FailureKind) {
        self.phase = Phase::Ending;
        if self.failure.is_none() {
            self.world.note(|| format!("fails: {kind}"));
            self.failure = Some((self.world.elapsed(), kind));
        } else {
            discard(kind);
        }
    }
}

fn failure_of_root(error: JoinError) -> FailureKind {
    match error.into_panic() {
        Ok(payload) => FailureKind::Panic(payload),
        Err(_) => FailureKind::Abandoned,
    }
}

/// Runs a fiber of the shard, or polls its driver; returns the tripwire's report of the fiber.
fn step(shard: &SimShard, world: &World) -> Option<ThreadBoundWait> {
    let _entered = enter(&shard.shard);
    let fiber = shard.round.borrow_mut().pop_front();
    let Some(fiber) = fiber else {
        look_around(shard, world);
        return None;
    };
    fiber.queued.set(false);
    if world.is_traced() {
        resume_traced(shard, world, &fiber);
    } else {
        resume(&shard.shard, Rc::clone(&fiber));
    }
    look_at_wait(&shard.shard, &fiber)
}

fn look_around(shard: &SimShard, world: &World) {
    let woken_before = shard.shard.queue.len();
    poll_driver(&shard.shard, None);
    if world.is_traced() {
        record_woken(shard, world, woken_before);
    }
    let mut round: Vec<_> = shard.shard.queue.drain();
    if round.len() > 1 {
        world.order.borrow_mut().shuffle(&mut round);
        round.sort_by_key(|fiber| fiber.waiting.wait() == Wait::Turn);
    }
    shard.round.replace(round.into());
}
