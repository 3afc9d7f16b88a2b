//! Encoded bodies: `http/src/internals/fuzz_decode.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_decode(data));
