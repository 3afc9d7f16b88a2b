//! Redis through the crate [`redis`](https://docs.rs/redis), with its blocking calls on fibers.
//!
//! The crate has commands, pipelines and a parser over any type that sends bytes and reads an
//! answer (`ConnectionLike`). Here that type is a [`Connection`] over our sockets.
//!
//! A connection whose fiber unwound in the middle of a command is closed: its answer may be under
//! way, and would be taken for the next one. Redis has no cancel request; its commands are short. A
//! connection whose fiber unwound elsewhere is closed as well, because a transaction (`WATCH`,
//! `MULTI`) may be open.

mod connection;
mod manager;

pub use ::redis;
pub use connection::Connection;
pub use manager::Redis;
