//! PostgreSQL through [`tokio_postgres`], with blocking calls on fibers.
//!
//! A [`Postgres`] makes the connections of a [`Pool`](crate::Pool). A [`Client`] is one of them.
//! The protocol is `tokio-postgres`'s. The sockets, TLS and the fibers are straightline's.
//!
//! # What the pool does with a connection that comes back
//!
//! | its last user | the pool |
//! |---|---|
//! | returned | hands it to the next user as it is |
//! | dropped a [`Transaction`] without a commit | sends `ROLLBACK`, and hands it on |
//! | unwound between two calls | sends `ROLLBACK`, and hands it on |
//! | unwound in a call, or left [`Rows`] or a `COPY` | has the server stop, and closes it |
//! | broke it, or the server has closed it | closes it |
//!
//! A connection whose call was cancelled is never used again. A cancel request may arrive late, and
//! would then end the call of the next user: the protocol gives no way to tell.
//!
//! # Waiting
//!
//! All waits end by the fiber's deadline. A server that vanishes without a word is found by TCP's
//! keepalive probes; set `keepalives_idle` or `tcp_user_timeout` in the address for less than two
//! hours. `options=-c statement_timeout=30s` has the server bound each statement.
//!
//! # Messages
//!
//! [`Postgres::listen`] makes a connection that gets the messages of `NOTIFY`. On the connections
//! of a pool they are dropped, and so are notices of the server.

mod client;
mod copy;
mod endpoint;
mod flight;
mod manager;
mod notifications;
mod rows;
mod statements;
mod wire;

pub use client::{Client, Transaction};
pub use copy::{CopyIn, CopyOut};
pub use manager::{Postgres, PostgresBuilder};
pub use notifications::Notifications;
pub use rows::Rows;
pub use tokio_postgres;
pub use tokio_postgres::{Row, types};
