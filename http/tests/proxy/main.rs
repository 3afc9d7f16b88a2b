//! The reverse proxy: what it passes on, what it refuses, and what becomes of requests when an
//! upstream or a client fails.

#[path = "../common/mod.rs"]
mod common;

mod early_answers;
mod faults;
mod full_upstreams;
mod hostile_upstreams;
mod passing;
mod same_as_direct;
mod scripted;
mod switching;
mod uploads_under_fire;
mod well_and_ill;
