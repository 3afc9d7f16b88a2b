//! Responses of upstreams: `http/src/internals/fuzz_response.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_response(data));
