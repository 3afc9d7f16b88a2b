//! A proxy and its upstream: `http/src/internals/fuzz_proxied.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_proxied(data));
