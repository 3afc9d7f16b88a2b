//! Heads of one client: `http/src/internals/fuzz_heads.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_heads(data));
