//! The web kit, from outside: each module is a piece of it.

#[path = "../common/mod.rs"]
mod common;

mod compression;
mod forms;
mod json;
mod router;
mod testing_client;
