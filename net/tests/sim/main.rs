//! The simulated network: its faults, its datagrams, its hosts.

mod a_partition_delays_and_a_vanished_peer_times_out;
mod datagrams_are_lost_and_doubled;
mod faults_happen_as_they_are_set;
mod listeners_go_from_shard_to_shard;
mod streams_behave_as_on_a_system;
