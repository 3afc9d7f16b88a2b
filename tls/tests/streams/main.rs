//! TLS streams: they read, write and wait as sockets do, and a handshake keeps to its limits.

#![cfg(any(feature = "mbedtls", feature = "aws-lc-rs"))]

#[path = "../common/mod.rs"]
mod common;

mod a_handshake_keeps_to_its_limits;
mod a_large_transfer_arrives_whole;
mod a_simulation_repeats_itself;
mod a_wait_ends_in_time;
mod an_unwind_leaves_a_clear_state;
mod what_was_written_is_sent;
