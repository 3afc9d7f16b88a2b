//! What the servers are asked for, and by how many clients.

use std::fmt;

use clap::ValueEnum;

/// What the clients of a measurement do.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One small request at a time on a connection that stays open
    Plaintext,
    /// The same, with an object that is serialised for each response
    Json,
    /// The same small request on 1,024 open connections that take turns
    KeepAlive,
    /// Sixteen small requests at a time on a connection that stays open
    Pipelined,
    /// One small request for each connection, which the server closes
    Short,
    /// One of 100 routes, with a parameter in the path
    Routed,
    /// A body of 64 KiB in 16 pieces, whose length the head does not say
    Streaming,
    /// A file of 16 KiB
    File,
    /// A small job on the threads for calls that block
    Offload,
    /// The small request, while 500 other clients send their requests byte by byte
    Slow,
    /// The small request over TLS 1.3, on connections that stay open
    Tls,
    /// A message of 32 bytes that comes back over a WebSocket
    Websocket,
    /// The memory of 10,000 connections at rest
    Idle,
}

impl Mode {
    /// The path of the request.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Json => JSON_PATH,
            Self::Routed => "/orders/42/comments",
            Self::Streaming => STREAM_PATH,
            Self::File => "/static/page.txt",
            Self::Offload => OFFLOAD_PATH,
            Self::Websocket => WEBSOCKET_PATH,
            Self::Plaintext
            | Self::KeepAlive
            | Self::Pipelined
            | Self::Short
            | Self::Slow
            | Self::Tls
            | Self::Idle => crate::serve::PATH,
        }
    }

    /// How many requests a client sends at a time.
    pub(super) fn depth(self) -> usize {
        if self == Self::Pipelined { 16 } else { 1 }
    }

    /// How many connections each client has open. It uses them in turn.
    pub(super) fn connections_each(self) -> usize {
        if self == Self::KeepAlive { 16 } else { 1 }
    }

    /// Whether the program says anything about the servers with two threads in this mode.
    pub(super) fn is_for_two_cores(self) -> bool {
        matches!(self, Self::Plaintext | Self::Short | Self::Offload)
    }

    /// The heading of its table, and what a reader has to know.
    pub(super) fn explained(self) -> &'static str {
        match self {
            Self::Plaintext => "64 clients, each on a connection of its own that stays open.",
            Self::Json => {
                "`{\"message\":\"Hello, World!\"}`, which is serialised for each response."
            }
            Self::KeepAlive => {
                "64 clients with 16 open connections each, 1,024 in all. A client uses them in \
                 turn, so a connection rests between two requests."
            }
            Self::Pipelined => "64 clients, each with 16 requests at a time.",
            Self::Short => "A connection for each request; the server closes it.",
            Self::Routed => "100 routes; the path has a parameter, which is the response.",
            Self::Streaming => {
                "A body of 64 KiB that the program writes in 16 pieces. The response is chunked, \
                 because its head does not say the length."
            }
            Self::File => "A file of 16 KiB from the page cache, as each server sends files.",
            Self::Offload => {
                "The handler gives a job of some 20 µs to the threads for calls that block. Go has \
                 no such threads: its handler does the job itself."
            }
            Self::Slow => {
                "As plaintext, while 500 other clients send a byte of a request's head every \
                 50 ms. Their work is in the CPU time of the 64 fast ones."
            }
            Self::Tls => "As plaintext over TLS 1.3 with AES-128-GCM, without handshakes.",
            Self::Websocket => "A text of 32 bytes that comes back, 64 clients.",
            Self::Idle => {
                "10,000 connections that have had one request. Memory is what the process has \
                 more of, without the kernel's part."
            }
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plaintext => "plaintext",
            Self::Json => "json",
            Self::KeepAlive => "keep-alive",
            Self::Pipelined => "pipelined",
            Self::Short => "short",
            Self::Routed => "routed",
            Self::Streaming => "streaming",
            Self::File => "file",
            Self::Offload => "offload",
            Self::Slow => "slow",
            Self::Tls => "tls",
            Self::Websocket => "websocket",
            Self::Idle => "idle",
        })
    }
}

pub(super) const JSON_PATH: &str = "/json";
pub(super) const STREAM_PATH: &str = "/stream";
pub(super) const OFFLOAD_PATH: &str = "/offload";
pub(super) const WEBSOCKET_PATH: &str = "/websocket";

/// The pattern that the path of [`Mode::Routed`] has, in the syntax that all peers share.
pub(super) const ROUTE: &str = "/orders/{id}/comments";

/// The body of [`Mode::Streaming`].
pub(super) const PIECES: usize = 16;
pub(super) const PIECE_BYTES: usize = 4 * 1024;

/// The length of the file of [`Mode::File`].
pub(super) const FILE_BYTES: usize = 16 * 1024;
