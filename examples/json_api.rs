//! A REST API over SQLite.

fn main() {}
