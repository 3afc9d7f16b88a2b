//! Each program is run as a process and does what it says, and so does the same program with axum.

mod chat;
mod database;
mod events;
mod file;
mod http2;
mod lines;
mod process;
mod proxied;
mod readme;
mod redis;
mod rest;
mod spans;
mod sqlite;
mod tls;
mod uploads;
mod upstream;
