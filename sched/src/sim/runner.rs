//! Who has the turn: the loop of a simulation.
//!
//! One step is one turn of one fiber, or one look outside, of a shard drawn from those that have
//! something to do. After it the clock goes on a little. When no shard has anything to do, the
//! clock jumps to the next alarm or event.
//!
//! A shard's round is a shuffle of its run queue. Fibers that yielded are last in it: they asked
//! for the others' turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use super::plan::Plans;
use super::settings::{Failure, FailureKind, Sim};
use crate::core::{
    Builder, Config, JoinError, JoinHandle, Shard, ThreadBoundWait, discard, enter, is_on_a_shard,
};
use crate::driver::{Driver, SimulatedDriver, World};
use crate::fiber::{FiberCell, Tick, Wait, overflow, unwind};

/// One of a simulation's shards.
pub(super) struct SimShard {
    pub(super) shard: Shard,
    /// In the order in which they were made; the first is 0.
    pub(super) number: usize,
    /// Who runs before the shard looks outside again.
    round: RefCell<VecDeque<Rc<FiberCell>>>,
    root: Box<dyn Root>,
    /// Its fibers are being ended, and given up then.
    give_up_at: Cell<Option<Tick>>,
    pub(super) over: Cell<bool>,
    /// A fiber keeps the thread until then; see `keep_thread`.
    pub(super) kept_until: Cell<u64>,
    /// How often one has kept it for longer than the limit.
    pub(super) kept: Cell<u64>,
    pub(super) busy_limit: Option<Duration>,
    /// It was told as busy, and not as free again.
    pub(super) is_told_busy: Cell<bool>,
}

/// A simulation's shards that are not over.
#[derive(Default)]
pub(super) struct Shards {
    pub(super) list: RefCell<Vec<Rc<SimShard>>>,
    made: Cell<usize>,
    /// What [`Sim::tripwire`] says, for all of them.
    tripwire: Cell<Option<bool>>,
}

/// A shard's first fiber, whatever it returns.
trait Root {
    fn is_finished(&self) -> bool;
    /// Hands over what it returned. Called once, when the shard is over.
    fn settle(&self);
}

struct RootFiber<T, F> {
    handle: RefCell<Option<JoinHandle<T>>>,
    settle: Cell<Option<F>>,
}

/// What the whole of a simulation is at.
#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// The root fiber runs.
    Running,
    /// It has ended; the others have time to until then.
    Settling(u64),
    /// What is left is ended.
    Ending,
}

struct Runner {
    world: Rc<World>,
    shards: Rc<Shards>,
    sim: Sim,
    turns: u64,
    phase: Phase,
    failure: Option<(Duration, FailureKind)>,
    /// When the root fiber had ended by itself.
    root_ended_at: Option<Duration>,
}

#[track_caller]
pub(super) fn run<T: 'static>(
    mut sim: Sim,
    root: impl FnOnce() -> T + 'static,
) -> Result<T, Failure> {
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
                (at.unwrap_or_default(), FailureKind::of_root(error))
            }
        },
        (value, failure) => {
            discard(value);
            failure.unwrap_or((world.elapsed(), FailureKind::GivenUp))
        }
    };
    Err(Failure { seed, at, kind, planned: plans.count() })
}

/// Adds a shard to the simulation, with `root` as its first fiber. `settle` gets what that
/// returned, when all the shard's fibers have ended.
pub(crate) fn add_shard<T: 'static>(
    world: &Rc<World>,
    config: &Config,
    spawned_at: &'static Location<'static>,
    root: impl FnOnce() -> T + 'static,
    settle: impl FnOnce(Result<T, JoinError>) + 'static,
) -> io::Result<()> {
    let shards = world.local(Shards::default);
    let number = shards.made.replace(shards.made.get() + 1);
    if number > 0 {
        world.note(|| format!("starts shard {number}"));
    }
    let tripwire = shards.tripwire.get().unwrap_or(config.tripwire);
    let config = Config { tripwire, ..config.clone() };
    let shard = Shard::new(&config, Driver::simulated(world));
    let handle = shard.spawn(Builder::new().name("root"), spawned_at, None, root)?;
    let root = RootFiber { handle: RefCell::new(Some(handle)), settle: Cell::new(Some(settle)) };
    shards.list.borrow_mut().push(Rc::new(SimShard {
        shard,
        number,
        round: RefCell::default(),
        root: Box::new(root),
        give_up_at: Cell::new(None),
        over: Cell::new(false),
        kept_until: Cell::new(0),
        kept: Cell::new(0),
        busy_limit: config.busy_limit,
        is_told_busy: Cell::new(false),
    }));
    Ok(())
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
            // Before time may pass: what still has to be done at a shard's end takes some.
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
                if let Some(wait) = chosen.step(&self.world) {
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

    /// Nothing can run: sets the clock to when something can.
    fn pass_time(&mut self, list: &[Rc<SimShard>]) {
        let settled_at = match self.phase {
            Phase::Settling(until) => Some(until),
            _ => None,
        };
        let alarms = list.iter().filter_map(|shard| shard.next_at(self.world.now()));
        let event = self.world.next_event_at();
        // That the time to settle is over matters only if something could have happened until then.
        match alarms.chain(event).min() {
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
                let is_quiet = list.iter().all(|shard| shard.shard.fibers.borrow().is_empty());
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

    /// The first failure is the one that is told. The rest of the simulation is its end.
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

impl SimShard {
    /// Whether it can do something now.
    fn can_run(&self, now: u64) -> bool {
        let shard = &self.shard;
        if now < self.kept_until.get() {
            return false;
        }
        !self.round.borrow().is_empty()
            || !shard.ready.borrow().is_empty()
            || shard.has_mail()
            || shard.driver.simulation().is_some_and(SimulatedDriver::has_news)
            || self.next_at(now).is_some_and(|at| at <= now)
    }

    /// When it next has something to do by itself.
    fn next_at(&self, now: u64) -> Option<u64> {
        if now < self.kept_until.get() {
            return Some(self.kept_until.get());
        }
        let alarm = self.shard.timers.borrow().next_at();
        alarm.into_iter().chain(self.give_up_at.get()).min().map(Tick::nanos)
    }

    /// Returns what the tripwire tells of the fiber that ran.
    fn step(&self, world: &World) -> Option<ThreadBoundWait> {
        let _entered = enter(&self.shard);
        let fiber = self.round.borrow_mut().pop_front();
        let Some(fiber) = fiber else {
            self.look_outside(world);
            return None;
        };
        fiber.queued.set(false);
        if world.is_traced() {
            self.resume_traced(world, &fiber);
        } else {
            self.shard.resume(Rc::clone(&fiber));
        }
        self.shard.look_at_wait(&fiber)
    }

    fn look_outside(&self, world: &World) {
        let woken_before = self.shard.ready.borrow().len();
        self.shard.look_outside(None);
        if world.is_traced() {
            self.note_woken(world, woken_before);
        }
        let mut round: Vec<_> = self.shard.ready.borrow_mut().drain(..).collect();
        if round.len() > 1 {
            world.order.borrow_mut().shuffle(&mut round);
            round.sort_by_key(|fiber| fiber.wait.get() == Wait::Turn);
        }
        self.round.replace(round.into());
    }

    /// A shard ends when its root has, except for the first one, whose other fibers have time.
    fn end_with_root(&self) {
        if self.number > 0 && self.root.is_finished() {
            self.begin_end();
        }
        let Some(give_up_at) = self.give_up_at.get() else { return };
        let entered = enter(&self.shard);
        let is_over = !self.over.get() && self.shard.end_if_over(give_up_at);
        drop(entered);
        if is_over {
            self.over.set(true);
            self.root.settle();
        }
    }

    fn begin_end(&self) {
        if self.give_up_at.get().is_none() {
            let _entered = enter(&self.shard);
            self.give_up_at.set(Some(self.shard.begin_end()));
        }
    }

    fn describe_all(list: &[Rc<Self>]) -> Vec<String> {
        let fibers = list.iter().flat_map(|shard| {
            let fibers = shard.shard.inspect().into_iter();
            fibers.map(move |fiber| match shard.number {
                0 => fiber.to_string(),
                number => format!("shard {number}: {fiber}"),
            })
        });
        fibers.collect()
    }
}

impl<T, F: FnOnce(Result<T, JoinError>)> Root for RootFiber<T, F> {
    fn is_finished(&self) -> bool {
        self.handle.borrow().as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn settle(&self) {
        let handle = self.handle.take();
        if let (Some(handle), Some(settle)) = (handle, self.settle.take()) {
            settle(handle.join());
        }
    }
}

impl FailureKind {
    fn of_root(error: JoinError) -> Self {
        match error.into_panic() {
            Ok(payload) => Self::Panic(payload),
            Err(_) => Self::GivenUp,
        }
    }
}
