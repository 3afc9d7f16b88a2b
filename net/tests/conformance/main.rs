//! The same programs over the system's sockets and over simulated ones.
//!
//! Each test is one body, which asserts what Linux does. It runs on real sockets first, then in the
//! simulation: on a quiet network, and on networks drawn from the seeds. These are slow or narrow,
//! with tiny buffers and pieces. Where the two differ, the simulation is wrong.

#[path = "../common/mod.rs"]
mod common;

mod both;
mod clocks;
mod connecting;
mod ends;
mod flow;
mod resets;
mod selects;
mod udp;
mod unix;
mod waits;
