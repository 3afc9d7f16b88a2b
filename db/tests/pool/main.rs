//! The pool in simulation, with connections that a test makes up.

#![allow(clippy::unwrap_used, reason = "clippy does not see that the helpers are of tests")]

mod connections_come_and_go_in_time;
mod fake;
mod fibers_are_served_in_order;
mod nothing_is_lost_whatever_happens;
