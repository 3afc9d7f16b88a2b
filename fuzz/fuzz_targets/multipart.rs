//! Multipart forms: `http/src/internals/fuzz_multipart.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_multipart(data));
