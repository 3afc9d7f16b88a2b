//! Turns, wake-ups, descriptors and times: what ends a wait, and in which order fibers run.

#[path = "../common/mod.rs"]
mod common;

mod a_change_outlives_its_waiter;
mod a_flood_does_not_starve_the_rest;
mod a_reused_descriptor_number_starts_afresh;
mod a_source_goes_with_its_descriptor;
mod a_source_reports_every_change;
mod a_task_waits_for_a_source;
mod a_wakeup_is_kept_and_does_no_harm;
mod block_on_polls_when_woken;
mod hooks_run_at_each_switch;
mod hooks_run_before_a_wait;
mod leases_are_renewed;
mod ready_fibers_take_turns;
mod sleepers_wake_when_their_time_has_come;
mod the_driver_is_a_choice;
mod the_nearest_deadline_wins;
mod the_run_queue_is_round_robin;
mod timers_agree_with_a_model;
