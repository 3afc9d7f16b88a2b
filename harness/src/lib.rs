//! The code that the project's benchmarks and trials share.
//!
//! Both start servers as processes ([`ServerProcess`]), read their command line in the same way
//! ([`cli`]), read responses ([`ReplyReader`]) and count times ([`Histogram`]). They are two
//! programs, so that a change to a trial need not build the benchmarks' peers. Nothing here depends
//! on straightline.

mod child;
pub mod cli;
mod histogram;
mod reply;

pub use child::{KillOnDrop, READY, READY_TLS, ServerProcess};
pub use histogram::Histogram;
pub use reply::{End, FromReply, Head, READ_BYTES, Reply, ReplyReader};
