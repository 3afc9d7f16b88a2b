//! How fibers and shards begin and end, what they return, and which values belong to one fiber or
//! shard.

#[path = "../common/mod.rs"]
mod common;

mod a_join_returns_what_the_fiber_did;
mod a_logger_follows_its_fiber;
mod a_panic_is_its_joiners;
mod a_run_has_its_thread_to_itself;
mod a_shard_local_is_made_once_for_each_shard;
mod an_activation_runs_on_demand;
mod fiber_locals_belong_to_one_fiber;
#[cfg(feature = "tracing")]
mod spans_follow_their_fiber;
mod the_end_of_a_shard_waits_for_an_uncancellable_section;
mod the_end_of_run_leaves_nothing_behind;
