//! The fields of proxies: `http/src/internals/fuzz_forwarded.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_forwarded(data));
