//! The stacks of fibers: how deep they are, what they cost, and what happens when one is too small.

#[path = "../common/mod.rs"]
mod common;

mod a_backtrace_needs_room_or_is_left_out;
mod a_resting_fiber_holds_no_stack;
mod a_sample_takes_none_of_a_fibers_stack;
mod a_spikes_memory_comes_back;
mod a_stack_is_deep_enough;
mod a_stack_overflow_is_reported;
mod stacks_that_run_out_are_an_error;
mod switches_for_tests_are_checked;
mod ten_thousand_fibers_wait_at_once;
mod the_use_of_stacks_is_measured;
