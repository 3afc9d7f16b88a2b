//! WebSockets, from outside: a peer that writes frames as it likes, and real time only where a real
//! socket is the point.

#[path = "../common/mod.rs"]
mod common;

mod autobahn;
mod closing;
#[cfg(feature = "websocket-deflate")]
mod compressed;
mod drains;
mod ends;
mod floods;
mod handshakes;
mod limits;
mod other_clients;
mod own_streams;
mod peer;
mod sending;
mod timers;
