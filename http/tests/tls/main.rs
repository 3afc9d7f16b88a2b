//! A server that speaks TLS, and clients that speak it by rustls over std's sockets.
//!
//! The client's cryptography is AWS-LC's. The server's is that of each provider which the build
//! offers.

#![allow(clippy::unwrap_used)] // also in what the tests share

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "websocket-deflate")]
#[path = "../websocket/peer.rs"]
#[allow(dead_code)] // the tests of `websocket` use all of it
mod peer;

mod client;
mod ends;
mod failures;
mod operating;
mod proxies;
mod requests;
#[cfg(feature = "websocket-deflate")]
mod websockets;
