//! The web kit, from outside: each module is a piece of it.

#[path = "../common/mod.rs"]
mod common;

mod conditions;
mod ranges;
mod static_files;
mod testing_client;
