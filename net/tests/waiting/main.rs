//! Calls that wait for the network: what ends a wait, and which calls may be made outside of a
//! fiber.

#[path = "../common/mod.rs"]
mod common;

mod a_cancelled_reader_loses_no_data;
mod a_destructor_does_not_wait_for_the_network;
mod a_select_does_not_spin;
mod a_shutdown_ends_every_wait;
mod a_timeout_ends_a_wait_and_loses_nothing;
mod a_try_never_waits;
mod nothing_panics_outside_of_a_run;
