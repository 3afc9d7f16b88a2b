//! WebSockets (RFC 6455), as straight-line code: a handler receives and sends messages, and each
//! wait leaves the thread to other requests. Feature `websocket`.
//!
//! ```no_run
//! use straightline::websocket::{WebSocket, upgrade};
//! use straightline::{Request, Response, Server};
//!
//! fn echo(mut socket: WebSocket) -> std::io::Result<()> {
//!     while let Some(message) = socket.receive()? {
//!         socket.send(message)?;
//!     }
//!     Ok(())
//! }
//!
//! fn main() -> std::io::Result<()> {
//!     let handler = |request: &mut Request| upgrade(request, echo);
//!     Server::builder().bind("127.0.0.1:8080").shutdown_on_signals().build(handler)?.run()?;
//!     Ok(())
//! }
//! ```
//!
//! - [`upgrade()`] opens a WebSocket with the defaults, [`Endpoint`] with other settings.
//! - [`WebSocket::receive`] gets messages; [`WebSocket::receive_or`] waits for something else too.
//! - [`WebSocket::sender`] gives another fiber a value that sends.
//!
//! # What is bounded
//!
//! | bound | default | beyond it |
//! |---|---|---|
//! | [a message](Endpoint::message_bytes), and [a frame](Endpoint::frame_bytes) | 1 MiB | 1009 |
//! | [the queue of a client](Endpoint::send_queue_bytes) | 64 KiB | the [policy](SlowReceiver) |
//! | Pongs that wait | one | a newer Ping replaces one that is not answered yet |
//! | [silence](Endpoint::idle_timeout) | 60 s; [Ping](Endpoint::ping_interval) after 25 s | 1008 |
//! | [a client that takes nothing](Endpoint::write_timeout) | 30 s | disconnected |
//! | [the slowest client that reads](crate::Timeouts::write) | the server's | disconnected |
//! | [the answer to a Close frame](Endpoint::close_timeout) | 5 s | disconnected |
//! | [connections](Endpoint::connections) | the server's | 503 |
//! | memory for messages that come or wait | [server's](crate::Capacity::memory_bytes) | 1013 |
//!
//! A conversation at rest has no buffer: its memory is its fiber's.
//!
//! # When the server drains
//!
//! A program that receives learns of the drain as of a Close frame, and the client gets a 1001.
//! From then on the client has the [close timeout](Endpoint::close_timeout) in all, for what waits
//! to be sent and for its own Close frame. A client that takes nothing for so long while the
//! program still sends is disconnected as well. Both are among the
//! [counters](WebSocketCounters::too_slow).
//!
//! # Which pages may connect
//!
//! A browser lets any page open a WebSocket to any server, with the user's cookies. So a request
//! with an `Origin` is refused unless it is the server's own, or one of a
//! [list](Endpoint::origins).
//!
//! # Compression
//!
//! With the feature `websocket-deflate`, `Endpoint::compression` lets clients compress messages
//! (RFC 7692), each by itself. Otherwise an offer of compression is declined: the conversation
//! goes on without it.
//!
//! # What is missing
//!
//! WebSockets over HTTP/2 (RFC 8441) need HTTP/2.
//!
//! # Inside
//!
//! `tungstenite` reads and writes the heads of frames and makes the key of the handshake. The
//! conversation itself (fragments, control frames, the Close handshake) is here, because
//! `tungstenite`'s own cannot be bounded as this one is: its reading and its writing share one
//! `&mut`, so one fiber cannot write while another waits to read; its buffer of Pongs grows while a
//! client sends Pings and reads nothing; it keeps a read buffer for each connection; and it reads
//! inside of the call that waits, so an unwind would lose bytes.
//!
//! From the bottom up: `message`, `close`, `error`, `violation`, `origins` and `settings` are
//! values, `frame` the heads of frames; `decoder` makes items of bytes (`growing_text` checks a
//! text, `deflate` inflates) and `outbox` is what waits to be sent, both without a socket; `reader`
//! and `writer` are the directions of a socket; `conversation` has the timers and the end, and
//! `socket` is the program's view of it; `handshake` checks a request, and `endpoint` brings them
//! together. `numbers` counts.

mod close;
mod conversation;
mod decoder;
#[cfg(feature = "websocket-deflate")]
mod deflate;
mod endpoint;
mod error;
mod frame;
mod growing_text;
mod handshake;
mod message;
mod numbers;
mod origins;
mod outbox;
mod reader;
mod settings;
mod socket;
mod violation;
mod writer;

pub use close::{CloseCode, CloseFrame};
#[cfg(feature = "internals")]
pub(crate) use decoder::{Decoder, Item};
#[cfg(all(feature = "internals", feature = "websocket-deflate"))]
pub(crate) use deflate::{Inflated, Inflation};
pub use endpoint::{Endpoint, upgrade};
pub use error::Error;
pub use message::{Message, Text};
pub use numbers::WebSocketCounters;
pub use origins::Origins;
#[cfg(feature = "internals")]
pub(crate) use settings::FrameLimits;
pub use settings::SlowReceiver;
pub use socket::{Incoming, Sender, WebSocket};
#[cfg(feature = "internals")]
pub(crate) use violation::Violation;
