//! Frames of a WebSocket: `http/src/internals/fuzz_websocket.rs` says what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| straightline::internals::fuzz_websocket(data));
