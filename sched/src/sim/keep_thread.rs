//! A simulated fiber that keeps its thread.

use std::rc::Rc;
use std::time::Duration;

use super::shard::{Shards, SimShard};
use crate::core::{Report, shard_id, uncancellable, yield_now};
use crate::driver::World;
use crate::watchdog::CALM;

/// Keeps the thread for that virtual time, as a computation or a blocking call would: no fiber of
/// this shard runs meanwhile, and the fibers of other shards do. A time longer than
/// [`Config::busy_limit`](crate::Config) is reported, as it is outside of a simulation; the other
/// limits have no effect here.
///
/// # Blocking
///
/// Not a yield point, except for the fibers of other shards.
///
/// # Panics
///
/// Outside of a fiber of a simulation.
///
/// ```
/// use std::time::Duration;
/// use straightline_sched::{self as sched, sim};
///
/// sim::run(7, || {
///     let sleeper = sched::spawn(|| {
///         sched::sleep(Duration::from_secs(1));
///         sim::elapsed()
///     });
///     sched::yield_now(); // it sleeps
///     sim::keep_thread(Duration::from_secs(60));
///     assert!(sleeper.join().unwrap() >= Duration::from_secs(60));
/// });
/// ```
#[track_caller]
pub fn keep_thread(time: Duration) {
    let world = World::expect_current();
    let id = shard_id();
    let shards = world.local(Shards::default);
    let shard = shards.list.borrow().iter().find(|shard| shard.shard.id == id).map(Rc::clone);
    let shard = shard.expect("the calling fiber's shard");
    world.note(|| format!("keeps its thread for {time:?}"));
    keep(&shard, &world, time);
    // While the shard is kept, no fiber runs there, so this does not return.
    uncancellable(yield_now);
}

fn keep(shard: &Rc<SimShard>, world: &Rc<World>, time: Duration) {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    shard.kept_until.set(world.now().saturating_add(nanos));
    let Some(limit) = shard.busy_limit.filter(|limit| time >= *limit) else { return };
    let number = shard.kept.get() + 1;
    shard.kept.set(number);
    let own = Rc::clone(shard);
    let busy = move || {
        if !own.over.get() && !own.is_reported_busy.replace(true) {
            own.shard.report(&Report::Busy(limit));
        }
    };
    world.after(limit, Box::new(busy));
    let own = Rc::clone(shard);
    let free = move || {
        let is_free = own.kept.get() == number && !own.over.get();
        if is_free && own.is_reported_busy.replace(false) {
            own.shard.report(&Report::Free);
        }
    };
    let calm = time.saturating_add(limit.saturating_mul(CALM));
    world.after(calm, Box::new(free));
}
