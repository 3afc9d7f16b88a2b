//! Routes, parameters and middleware.

fn main() {}
