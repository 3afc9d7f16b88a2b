//! A shard's time: when its turn began, and the two forms of a point in time.
//!
//! It is read once a turn, so that all that happens in a turn happens at one time; a deadline is
//! compared with that. It never goes back.

use std::cell::Cell;
use std::time::Instant;

use crate::driver::Driver;
use crate::fiber::Tick;

pub(crate) struct Clock {
    started_at: Instant,
    turn: Cell<Tick>,
}

impl Clock {
    pub(super) fn new(driver: &Driver) -> Self {
        let turn = Cell::new(Tick::from_nanos(driver.elapsed_nanos()));
        Self { started_at: driver.started_at(), turn }
    }

    /// The time of the turn.
    #[inline]
    pub(super) fn turn(&self) -> Tick {
        self.turn.get()
    }

    #[inline]
    pub(super) fn set_turn(&self, now: Tick) {
        self.turn.set(now);
    }

    #[inline]
    pub(super) fn tick_of(&self, at: Instant) -> Tick {
        Tick::of(at, self.started_at)
    }

    #[inline]
    pub(super) fn instant_of(&self, tick: Tick) -> Instant {
        tick.instant(self.started_at)
    }
}
