//! The web kit, from outside: each module is a piece of it.

#[path = "../common/mod.rs"]
mod common;

mod compression;
mod conditions;
mod cookies;
mod forms;
mod json;
mod middlewares;
mod multipart;
mod ranges;
mod router;
mod static_files;
mod testing_client;
