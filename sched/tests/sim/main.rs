//! Simulations: virtual time, seeds, and shards that take turns on one thread.

#[path = "../common/mod.rs"]
mod common;

mod a_handle_reaches_another_shard;
mod a_seed_determines_a_simulation;
mod a_simulation_says_why_it_failed;
mod offloaded_jobs_are_simulated;
mod shards_are_simulated_together;
mod virtual_time_passes_by_itself;
