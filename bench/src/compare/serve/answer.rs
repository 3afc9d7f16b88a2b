//! What the servers in Rust answer, and how they listen.

use std::io;
use std::net::TcpListener;

use serde::Serialize;

use crate::compare::mode::PIECE_BYTES;
use crate::serve;

/// The object of [`Mode::Json`](crate::compare::mode::Mode::Json).
#[derive(Serialize)]
pub(super) struct Message {
    message: &'static str,
}

pub(super) const MESSAGE: Message = Message { message: serve::BODY };

/// A piece of the body of [`Mode::Streaming`](crate::compare::mode::Mode::Streaming).
pub(super) static PIECE: [u8; PIECE_BYTES] = [b'x'; PIECE_BYTES];

/// A listener with the backlog of the other servers, which says where it listens.
pub(super) fn listen() -> io::Result<TcpListener> {
    let listener = ::straightline::net::ListenOptions::new().bind(serve::ANY_PORT)?.into_std()?;
    announce(listener.local_addr()?);
    Ok(listener)
}

pub(super) fn announce(address: impl std::fmt::Display) {
    println!("{}{address}", straightline_harness::READY);
}

/// A runtime of tokio for hyper and axum.
pub(super) fn runtime(threads: usize) -> io::Result<tokio::runtime::Runtime> {
    if threads == 1 {
        return tokio::runtime::Builder::new_current_thread().enable_all().build();
    }
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build()
}
