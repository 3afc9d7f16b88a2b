//! Cancels, deadlines and panics: what unwinds, what may be swallowed, and what is abandoned.

#[path = "../common/mod.rs"]
mod common;

mod a_cancel_prints_nothing;
mod a_cancel_unwinds_its_fiber;
mod a_fiber_that_is_abandoned_leaves_the_wait_queue;
mod a_panic_goes_no_further_than_it_must;
mod a_swallowed_cancel_comes_again;
mod a_swallowed_deadline_comes_again_and_is_bounded;
mod an_unwind_is_its_fibers_own;
mod an_unwinding_fiber_does_not_wait;
mod an_unwinding_fiber_waits_for_no_lock_or_message;
mod children_of_a_abandoned_parent_are_cancelled;
mod nothing_is_raised_while_a_fiber_unwinds;
mod uncancellable_defers_a_cancel;
mod what_is_lent_outlives_its_borrowers;
