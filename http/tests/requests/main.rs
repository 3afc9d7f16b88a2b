//! Requests: how they are read, which ones are refused, and what a request may cost.

#[path = "../common/mod.rs"]
mod common;

mod bodies;
mod bounds;
mod chunked;
mod made;
mod refusals;
