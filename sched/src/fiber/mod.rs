//! A fiber: a stackful coroutine, and the scheduler's record of it.
//!
//! There are two kinds of fibers. A *plain* fiber has a stack from its spawn to its end. An
//! *episodic* fiber is a closure that the scheduler keeps, and runs on a worker each time the fiber
//! is woken. Between two activations it holds no stack at all, which makes ten thousand idle
//! connections cheap. While an activation runs, the two kinds do not differ.
//!
//! This folder holds the machine-level half (the switch, the stacks, the unwinding). It knows no
//! queue and no descriptor, and reads no clock; `core` decides who runs.
//!
//! From the bottom up: `key`, `tick`, `label`, `wait`, `peek` and `abandoned` are words; `memory`,
//! `quota`, `slab`, `stack` and `pool` are what a fiber runs on, and `stack_usage` measures how
//! much of that it used; `unwind` ends its work, and `backtrace` shows where it stands; `switch` is
//! its way back to the scheduler, `worker` what runs activations, and `body` what is resumed;
//! `life`, `waiting`, `bounds` on `lease_hold`, `park_hooks`, `switch_hooks` and `locals` are parts
//! of its record, which is `cell`; `running` knows which fiber runs, and `overflow` reports a stack
//! overflow.

mod abandoned;
pub(crate) mod backtrace;
mod body;
mod bounds;
mod cell;
mod key;
mod label;
mod lease_hold;
mod life;
mod locals;
mod memory;
pub(crate) mod overflow;
mod park_hooks;
mod peek;
pub(crate) mod pool;
mod quota;
mod running;
mod slab;
pub(crate) mod stack;
pub(crate) mod stack_usage;
mod switch;
mod switch_hooks;
mod tick;
pub(crate) mod unwind;
mod wait;
mod waiting;
mod worker;

pub use abandoned::Abandoned;
pub(crate) use body::{Body, Stackless};
pub(crate) use bounds::{Deadline, Looked, Outer};
pub(crate) use cell::{Cold, EndWatcher, FiberCell, ScopeState, SpawnInfo};
pub(crate) use key::FiberKey;
pub use label::Label;
pub(crate) use lease_hold::LeaseHold;
pub(crate) use locals::{Inherit, Local, Locals};
pub(crate) use park_hooks::ParkHooks;
pub(crate) use peek::peek;
pub(crate) use running::{abandon_running, running, suspend_running, while_running, with_running};
pub(crate) use switch::{
    Activations, FiberCoroutine, Resume, Suspend, Yielder, take_depth, take_dump,
};
pub use switch_hooks::SwitchHook;
pub(crate) use switch_hooks::SwitchHooks;
pub(crate) use tick::Tick;
pub(crate) use unwind::{Frame, Frames};
pub(crate) use wait::{CallName, QueueWait, Standing, Wait};
pub(crate) use worker::Worker;
