//! Serves a directory.

fn main() {}
