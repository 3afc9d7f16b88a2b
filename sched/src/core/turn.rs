//! One turn of the scheduler: it runs the ready fibers, and polls for events.
//!
//! **The turn.** Run every fiber that is ready now, once; drain the mailbox; poll the driver,
//! waiting until the next timer if no fiber can run; read the clock once; fire the timers that are
//! due. While fibers keep the run queue busy the driver is polled only every few turns. After a
//! pause (a fiber kept the thread, or the process was stopped) the driver is polled until it has
//! reported everything, before any timer is looked at: data that came in time is in time.

use std::mem;
use std::rc::Rc;
use std::time::Duration;

use corosensei::CoroutineResult;

use super::abandon::{abandon, finish, forget_body};
use super::check_wait::look_at_wait;
use super::messages::drain_mailbox;
use super::on_switch::{after_suspend, before_resume, drop_switch_hooks};
use super::report::Report;
use super::shard::Shard;
use super::sources::on_readiness;
use super::spawn::new_worker;
use super::timer::{fire_timers, is_timer_due};
use crate::driver::{EVENTS_MAX, Heard};
use crate::fiber::{Body, FiberCell, Resume, Stackless, Suspend, Tick, while_running};

/// Whether the ready fibers may go on for now before the driver is polled.
#[inline]
pub(super) fn is_busy(shard: &Shard) -> bool {
    !shard.queue.is_empty() && shard.fairness.may_go_on(shard.pulse.beats())
}

/// The second half of a turn: messages, events, the clock, timers.
///
/// It waits no longer than `until`.
pub(crate) fn poll_driver(shard: &Shard, until: Option<Tick>) {
    let busy = !shard.queue.is_empty() && !shard.fairness.is_idle();
    let ran = shard.fairness.record_look(shard.pulse.beats());
    if shard.inbox.is_pending() {
        drain_mailbox(shard, shard.inbox.take());
    }
    // If it is not going to wait, the clock that is read behind it is enough.
    let mut timeout = Some(Duration::ZERO);
    let mut asked = shard.clock.turn();
    if !busy {
        asked = shard.clock();
        if ran {
            record_turn(shard, asked);
        }
        timeout = wait_max(shard, asked, until);
    }
    if shard.stacks.is_trimming() {
        timeout = shard.stacks.trim(shard.clock.turn(), shard.pulse.beats(), timeout);
    }
    let heard = listen(shard, asked, timeout);
    let now = shard.clock();
    if busy {
        record_turn(shard, now);
    }
    shard.clock.set_turn(now);
    if is_timer_due(shard, now) {
        hear_out(shard, heard, asked, timeout);
        fire_timers(shard);
    }
    shard.pulse.turn();
    shard.counters.ready.set(shard.queue.len() as u64);
}

/// Runs each fiber that is ready now once; fibers that become ready meanwhile wait.
pub(super) fn run_ready(shard: &Shard) {
    if shard.tripwire.is_some() {
        return run_ready_watched(shard);
    }
    let count = shard.queue.len();
    for _ in 0..count {
        let Some(fiber) = shard.queue.pop() else { break };
        resume(shard, fiber);
    }
}

/// The same, and checks with the tripwire where each of them then waits.
#[cold]
fn run_ready_watched(shard: &Shard) {
    let count = shard.queue.len();
    for _ in 0..count {
        let Some(fiber) = shard.queue.pop() else { break };
        resume(shard, Rc::clone(&fiber));
        if let Some(wait) = look_at_wait(shard, &fiber) {
            shard.report(&Report::ThreadBoundWait(wait));
        }
    }
}

/// Runs a fiber until it suspends or ends, and records the outcome.
pub(crate) fn resume(shard: &Shard, fiber: Rc<FiberCell>) {
    let mut body = fiber.body.borrow_mut();
    let mut order = Resume::Run;
    if body.is_resting() {
        let Ok(worker) = shard.stacks.take_worker(new_worker) else {
            drop(body);
            shard.stacks.record_wanted();
            shard.wake(fiber);
            return;
        };
        fiber.switch.set_stack(worker.bounds());
        if let Body::Stackless(body) = &mut *body
            && let Stackless::Idle(Some(rest)) = mem::replace(body, Stackless::Working(worker))
        {
            order = Resume::Work(rest);
        }
    }
    let Some(coroutine) = body.coroutine() else {
        return; // over: the wake-up came late
    };
    shard.fairness.begin_turn();
    shard.pulse.beat();
    fiber.others_panic.set(std::thread::panicking());
    before_resume(shard, &fiber);
    let result = while_running(&fiber, || coroutine.resume(order));
    after_suspend(shard, &fiber);
    shard.pulse.beat();
    match result {
        CoroutineResult::Yield(Suspend::Parked) => return,
        CoroutineResult::Yield(Suspend::Rested(rest)) => {
            let rests = rest.is_some();
            if let Body::Stackless(body) = &mut *body
                && let Stackless::Working(worker) = mem::replace(body, Stackless::Idle(rest))
            {
                shard.stacks.give_worker(worker, fiber.spawn_info.spawned_at);
            }
            if rests {
                return;
            }
        }
        CoroutineResult::Yield(Suspend::Abandoned(why)) => {
            forget_body(shard, mem::replace(&mut *body, Body::OVER));
            drop(body);
            return abandon(shard, &fiber, why);
        }
        CoroutineResult::Return(()) => {
            if let Body::Stackful(coroutine) = mem::replace(&mut *body, Body::OVER) {
                shard.stacks.give(coroutine.into_stack(), fiber.spawn_info.spawned_at);
            }
        }
    }
    drop_switch_hooks(shard, &fiber);
    drop(body);
    finish(shard, &fiber);
}

/// Lets the driver report what became ready, for at most `timeout` from `now` on.
fn listen(shard: &Shard, now: Tick, timeout: Option<Duration>) -> Heard {
    match shard.driver.wait(now.nanos(), timeout, |readiness| on_readiness(shard, readiness)) {
        Ok(heard) => heard,
        Err(error) => panic!("straightline: waiting for events failed: {error}"),
    }
}

/// Before the turn's timers fire: polls for everything that had come until then. A peer whose data
/// was there in time is not late, however long this thread was kept, or the process stopped.
///
/// The driver was polled at `asked`, and has answered `heard` within `timeout`.
fn hear_out(shard: &Shard, mut heard: Heard, asked: Tick, timeout: Option<Duration>) {
    // Its answer is no older than that, and contains nothing that came later.
    let answered = match heard {
        Heard::Nothing => asked.saturating_add(timeout.unwrap_or_default()),
        Heard::All | Heard::Part => asked,
    };
    if heard != Heard::Part && shard.clock.turn().saturating_since(answered) < PAUSE_MIN {
        return;
    }
    // Each source is reported once before any is reported again, so as many rounds report them all.
    let rounds = shard.sources.borrow().len() / EVENTS_MAX + 1;
    for _ in 0..rounds {
        heard = listen(shard, asked, Some(Duration::ZERO));
        if heard != Heard::Part {
            break;
        }
    }
    if shard.inbox.is_pending() {
        drain_mailbox(shard, shard.inbox.take());
    }
}

/// Records that the turn's fibers have run until `now`.
fn record_turn(shard: &Shard, now: Tick) {
    let nanos = now.nanos().saturating_sub(shard.clock.turn().nanos());
    if nanos > shard.counters.longest_turn_nanos.read() {
        shard.counters.longest_turn_nanos.set(nanos);
    }
}

/// How long the driver may wait.
fn wait_max(shard: &Shard, now: Tick, until: Option<Tick>) -> Option<Duration> {
    if shard.stacks.take_wanted() {
        return Some(STARVED_WAIT);
    }
    if !shard.queue.is_empty() {
        return Some(Duration::ZERO);
    }
    let at = shard.timers.next_at().min(until.unwrap_or(Tick::NEVER)).ever()?;
    Some(at.saturating_since(now).min(WAIT_MAX))
}

/// If the driver was polled so shortly before a timer, it is not polled again for what came in
/// between. Arbitrary: far less than the precision of any timeout, and more than a quiet turn
/// takes.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// How long the shard waits for a stack before it looks again, if no event comes.
const STARVED_WAIT: Duration = Duration::from_millis(10);

/// The longest wait of the driver; then the shard looks again. kqueue refuses a wait of some years,
/// and before Linux 5.11 epoll cannot wait for more than 24 days.
const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
