//! The types of [`std::net`], on straightline's fibers.
//!
//! The names and the manners are those of [`std::net`] and [`std::os::unix::net`]: what waits there
//! waits here too, but it is the fiber that waits and not the thread. Streams implement
//! [`Read`](std::io::Read) and [`Write`](std::io::Write), also for shared references, so anything
//! generic over those traits runs on a fiber as it is.
//!
//! ```
//! use std::io::{Read, Write};
//! use straightline_net::{TcpListener, TcpStream};
//! use straightline_sched as sched;
//!
//! sched::run(|| {
//!     let listener = TcpListener::bind("127.0.0.1:0")?;
//!     let address = listener.local_addr()?;
//!     let echo = sched::spawn(move || {
//!         let (stream, _peer) = listener.accept()?;
//!         std::io::copy(&mut &stream, &mut &stream)
//!     });
//!     let mut client = TcpStream::connect(address)?;
//!     client.write_all(b"straight")?;
//!     client.shutdown(std::net::Shutdown::Write)?;
//!     let mut answer = String::new();
//!     client.read_to_string(&mut answer)?;
//!     assert_eq!(answer, "straight");
//!     assert_eq!(echo.join().unwrap()?, 8);
//!     std::io::Result::Ok(())
//! })??;
//! # std::io::Result::Ok(())
//! ```
//!
//! A listener or stream can be made on any thread, but belongs to the thread whose fiber first
//! waits on it. Where no fiber runs nothing can wait: a call that would have to is an error there,
//! and what needs no waiting is done. To hand one to another shard take the
//! standard library's type out of it (`into_std`) and wrap that on the other side; a listener can
//! go as what it was before it belonged to a shard ([`BoundTcpListener`]).
//!
//! Inside of a [simulation](straightline_sched::sim) the same types are sockets of a network in
//! memory, see [`sim`].
//!
//! Connect neither in the initialiser of a lazy `thread_local!` or `LazyLock`, nor wait elsewhere
//! inside of a closure that ties state to its thread: other fibers of the thread run meanwhile, and
//! find that state half-made. [`straightline_sched`] says what comes of it; a client for all fibers
//! of a thread is a [`shard_local!`](straightline_sched::shard_local!).
//!
//! Names are resolved by the system's resolver, which blocks, and so runs on other threads
//! ([`lookup_host`]); an address never leaves the fiber.

#![deny(unsafe_code)]

mod bound;
#[cfg(any(feature = "tokio-io", feature = "futures-io"))]
pub mod compat;
mod connect;
pub mod inherit;
mod io;
mod listen;
mod lookup;
mod nonblocking;
#[allow(unsafe_code)]
mod raw_fd;
pub mod sim;
mod socket;
mod stream_set;
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod sys;
mod tcp;
mod udp;
mod unix;

pub use bound::{BoundTcpListener, BoundUnixListener};
pub use listen::{Keepalive, ListenOptions};
pub use lookup::{Addresses, IntoTarget, Target, lookup_host};
pub use stream_set::StreamSet;
pub use tcp::{IntoAddr, TcpListener, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixListener, UnixStream};
