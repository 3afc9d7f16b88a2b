//! The pool against a real PostgreSQL, of which each test starts one, and against a pretended one
//! in simulation.
//!
//! The former are ignored by default, because they need the package `postgresql`: `scripts/test
//! --services` runs them.

#![allow(clippy::unwrap_used, reason = "clippy does not see that the helpers are of tests")]

mod a_network_fails;
mod addresses_lead_to_a_server;
mod broken_connections_are_replaced;
mod calls_answer_as_blocking_code_expects;
mod fibers_wait_in_order;
mod messages_reach_those_who_listen;
#[path = "../common/postgres_server.rs"]
mod postgres_server;
mod pretended_server;
mod server;
mod unwound_work_is_stopped;
