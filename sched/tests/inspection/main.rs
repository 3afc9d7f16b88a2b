//! How a program inspects its fibers: listings, counters, and reports of faults.

#[path = "../common/mod.rs"]
mod common;

mod a_busy_shard_is_reported;
mod a_deadlock_is_reported_by_name;
mod a_fiber_that_waits_for_itself_is_reported;
mod a_join_that_could_never_end_panics;
mod a_reporter_that_panics_is_survived;
mod a_stall_names_its_fiber;
mod a_stuck_fiber_is_reported_with_its_label;
mod a_wait_inside_of_thread_state_is_reported;
mod a_writer_may_wait;
mod counters_add_up;
mod inspect_lists_what_each_fiber_does;
