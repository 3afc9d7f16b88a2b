//! PROXY headers: `http/src/internals/fuzz_proxy_protocol.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_proxy_protocol(data));
