//! Ranges and conditions: `http/src/internals/fuzz_ranges.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_ranges(data));
