//! Shards and threads: messages, offloaded jobs, processes that fork.

#[path = "../common/mod.rs"]
mod common;

mod a_bound_value_stays_with_its_shard;
mod a_forked_process_begins_afresh;
mod a_shard_asks_for_no_endless_wait;
mod a_shard_that_breaks_takes_nothing_more;
mod a_shard_that_ended_takes_no_messages;
mod an_offload_pool_keeps_its_bounds;
mod an_offloaded_job_returns_to_its_caller;
mod messages_of_other_threads_arrive;
mod output_keeps_no_caller_waiting;
mod threads_and_shards_meet;
