//! Cookies, received and set: `http/src/internals/fuzz_cookies.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_cookies(data));
