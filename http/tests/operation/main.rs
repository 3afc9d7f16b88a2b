//! What an operator sees and does: listeners, signals, shutdowns, logs and metrics.

#[path = "../common/mod.rs"]
mod common;

mod admin;
mod draining;
mod ending;
mod existing_listeners;
mod handshakes;
mod hostile_values;
mod listeners;
mod local;
mod misuse;
mod operating;
mod page_of_operations;
mod programs;
mod proxies;
mod service_manager;
mod sharing;
mod stopping;
mod telemetry;
mod the_driver_is_a_choice;
mod told_faults;
mod wrappers;
