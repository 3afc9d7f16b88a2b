//! The length of a body by its header fields: `http/src/internals/fuzz_content_length.rs` says what
//! must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_content_length(data));
