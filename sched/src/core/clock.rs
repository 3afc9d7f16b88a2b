//! A shard's time: the beginning of its turn, and the two forms of a point in time.
//!
//! The clock is read once a turn, so that everything in a turn happens at one time; deadlines are
//! compared with it. It never goes back.

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
