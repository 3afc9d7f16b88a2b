//! Files and child processes of the system.

#[path = "../common/mod.rs"]
mod common;

mod a_child_has_pipes;
mod a_child_is_waited_for_by_a_fiber;
mod a_dropped_child_is_killed_and_reaped;
mod a_file_call_keeps_no_shard_waiting;
mod a_simulation_has_files_and_no_processes;
mod a_whole_file_is_moved_in_pieces;
mod files_behave_as_stds;
mod folders_are_read_in_batches;
mod scratch;
mod the_output_of_a_child_is_bounded;
