//! Streams: all data arrives, whole and in order, and the reader sees an end or an error.

#[path = "../common/mod.rs"]
mod common;

mod a_dead_peer_is_an_error;
mod a_half_closed_stream_goes_on_in_the_other_direction;
mod a_large_transfer_arrives_whole;
mod a_reader_and_a_writer_share_a_socket;
mod a_stream_can_go_to_another_shard;
mod a_stream_in_memory_behaves_as_a_socket;
mod an_echo_serves_many_clients;
mod an_end_of_stream_is_never_missed;
#[cfg(all(feature = "tokio-io", feature = "futures-io"))]
mod asynchronous_code_runs_on_a_fiber;
mod urgent_data_hides_nothing;
