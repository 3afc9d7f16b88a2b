//! Databases on straightline's fibers.
//!
//! A handler asks a database as blocking code does, and only its fiber waits. What is here is the
//! part between a driver and the fibers: sockets, a [`Pool`] of connections for each shard, and the
//! end of what is not wanted any more.
//!
//! - [`Pool`] hands out connections in the order of asking. A fiber's deadline bounds the wait, and
//!   so does a timeout of the pool. A connection that breaks is replaced. It is generic: a
//!   [`Manager`] tells what a connection is.
//! - `postgres` (feature `postgres`) is PostgreSQL through [`tokio-postgres`][driver], with
//!   blocking calls. A handler that unwinds in the middle of a query has the server stop it.
//! - `redis` (feature `redis`) is Redis through the crate [`redis`][redis-crate], whose blocking
//!   calls run over our sockets.
//! - SQLite needs nothing of this crate. Its calls block their thread, so they run on an
//!   [`OffloadPool`](straightline_sched::OffloadPool): the program `sqlite` in `examples/outside`
//!   and the sample `json_api` show it.
//!
//! The feature `tls` adds TLS to both, of `straightline-tls`. In a `Cargo.toml`, beside
//! straightline:
//! `straightline-db = { path = "../straightline/db", features = ["postgres"] }`.
//!
//! ```no_run
//! # #[cfg(feature = "postgres")] {
//! use straightline_db::postgres::Postgres;
//! use straightline_db::{Error, Pool, PoolConfig};
//!
//! # straightline_sched::run(|| {
//! let pool = Pool::new(Postgres::new("postgres://ann@localhost/shop")?, &PoolConfig::default());
//! let goods: i64 = pool.get()?.query_one("SELECT count(*) FROM goods", &[])?.get(0);
//! println!("{goods} goods");
//! # Ok::<(), Error>(())
//! # });
//! # }
//! ```
//!
//! [driver]: https://docs.rs/tokio-postgres
//! [redis-crate]: https://docs.rs/redis

#![forbid(unsafe_code)]

mod error;
mod pool;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "redis")]
pub mod redis;

pub use error::Error;
pub use pool::{Manager, Pool, PoolConfig, PoolStats, Pooled, Returned};
